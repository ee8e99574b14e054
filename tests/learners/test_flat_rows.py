"""Rows of words give back what was stored, bit for bit, however they are written and read."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional.packing import compiling_for
from jaxmarl_core.learners.flat_rows import empty_rows, read_rows, write_rows


class Entry(NamedTuple):
    view: Any
    action: Any
    alive: Any
    picture: Any
    mask: Any = None


def entry(rng, agents, envs=2):
    view = rng.normal(size=(envs, agents, 3, 2)).astype(np.float32)
    view[0, 0, 0] = [np.nan, -0.0]
    return Entry(
        view=jnp.asarray(view),
        action=jnp.asarray(rng.integers(-(2**31), 2**31, (envs, agents)), jnp.int32),
        alive=jnp.asarray(rng.random((envs, agents)) < 0.5),
        picture=jnp.asarray(rng.integers(0, 256, (envs, agents, 2, 2)), jnp.uint8),
    )


def bits(tree):
    return [(x.shape, x.dtype, np.asarray(x).tobytes()) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_what_is_written_is_read(platform):
    rng = np.random.default_rng(0)
    parts = [[entry(rng, 2), entry(rng, 3)] for _ in range(4)]
    with compiling_for(platform):
        like = jax.tree.map(lambda *x: jnp.concatenate(x, 1), *parts[0])
        buffer = empty_rows(like, 4, 2)
        assert buffer.words.shape == (4, 2, 5, 6 + 1 + 1) and len(buffer.others) == 1
        for t, of_step in enumerate(parts):
            buffer = write_rows(buffer, of_step, jnp.int32(t))
        steps = [jax.tree.map(lambda *x: jnp.concatenate(x, 1), *of_step) for of_step in parts]
        expected = jax.tree.map(lambda *x: jnp.stack(x), *steps)
        assert bits(buffer.tree) == bits(expected)
        at = jnp.array([0, 3, 4]), jnp.array([1, 0, 1]), jnp.array([4, 2, 0])
        drawn = jax.tree.map(lambda x: x[jnp.array([0, 3, 0]), at[1], at[2]], expected)
        assert bits(read_rows(buffer, *at)) == bits(drawn)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_runs_write_and_read_alike(platform):
    rng = np.random.default_rng(1)
    runs = [entry(rng, 2) for _ in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *runs)
    with compiling_for(platform):
        buffers = jax.vmap(lambda e: empty_rows(e, 2, 1))(stacked)
        write = jax.vmap(lambda b, e, t: write_rows(b, [e], t), (0, 0, None))
        buffers = write(buffers, stacked, jnp.int32(1))
        read = jax.vmap(lambda b: read_rows(b, jnp.array([1]), jnp.array([1]), jnp.array([0])))
        expected = jax.tree.map(lambda x: x[:, 1, 0][:, None], stacked)
        assert bits(read(buffers)) == bits(expected)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(2)
    buffer = empty_rows(entry(rng, 2), 2, 1)
    with pytest.raises(ValueError, match="leaf 0 of shape"):
        wrong = entry(rng, 2)._replace(view=jnp.zeros((2, 2, 6)))
        write_rows(buffer, [wrong], jnp.int32(0))
    with pytest.raises(ValueError, match="entry"):
        write_rows(buffer, [entry(rng, 3)], jnp.int32(0))
    with pytest.raises(ValueError, match="entry"):
        write_rows(buffer, [entry(rng, 2)._replace(mask=jnp.zeros((2, 2)))], jnp.int32(0))
