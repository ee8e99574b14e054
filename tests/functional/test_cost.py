"""Checks of shapes cost nothing when a program runs: compiled, it is that of the bare formula."""

import re

import jax
import jax.numpy as jnp
import pytest

from jaxmarl_core.functional import exploration, losses, returns
from jaxmarl_core.learners import replay

T, FLAGS, ACTIONS = jnp.ones(8), jnp.ones(8, bool), jnp.zeros(8, jnp.int32)
Q = jnp.ones((8, 5))


def gae(reward, discount, value, bootstrap, lam):
    """Without a row that is not valid."""
    delta = reward + discount * jnp.append(value[1:], bootstrap) - value

    def backward(later, row):
        later = row[0] + row[1] * later
        return later, later

    return jax.lax.scan(backward, jnp.zeros(()), (delta, discount * lam), reverse=True)[1]


PAIRS = {
    "ppo_clip": (
        losses.ppo_clip,
        lambda r, a, c: jnp.minimum(r * a, jnp.clip(r, 1 - c, 1 + c) * a),
        (T, T, jnp.float32(0.1)),
    ),
    "masked_mean": (
        losses.masked_mean,
        lambda x, m: jnp.sum(jnp.where(m, x, 0)) / jnp.maximum(jnp.sum(m), 1),
        (T, FLAGS),
    ),
    "td_target": (losses.td_target, lambda r, d, v: r + d * v, (T, T, T)),
    "chosen": (
        losses.chosen,
        lambda q, a: jnp.take_along_axis(q, a[..., None], axis=-1)[..., 0],
        (Q, ACTIONS),
    ),
    "gae": (returns.gae, gae, (T, T, T, jnp.float32(1), jnp.float32(0.9))),
    "greedy": (
        exploration.greedy,
        lambda q: jnp.argmax(q, axis=-1).astype(jnp.int32),
        (Q,),
    ),
    "write_block": (
        replay.write_block,
        lambda buffer, block, i: jax.lax.dynamic_update_slice_in_dim(
            buffer, block, i % 4 * 2, axis=0
        ),
        (Q, Q[:2], jnp.int32(3)),
    ),
}


def instructions(function, arguments):
    """How often the compiled program has each operation; names and sources left out."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    found = re.findall(r"= \S+ ([a-z-]+)\(", text)
    assert found
    return sorted(found)


@pytest.mark.parametrize("name", PAIRS)
def test_compiled_it_is_the_bare_formula(name):
    checked, bare, arguments = PAIRS[name]
    assert instructions(checked, arguments) == instructions(bare, arguments)
