"""Arrays laid side by side come back bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import ippo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.functional.packing import (
    LARGEST,
    compiling_for,
    pack,
    packed_scan,
    packing_of,
    packs,
    unpack,
)
from jaxmarl_core.train import Schedule, make_train


@pytest.fixture(autouse=True)
def for_an_accelerator():
    with compiling_for("gpu"):
        yield


TREE = {
    "numbers": jnp.array([[[1.5, -0.0], [jnp.nan, jnp.inf]], [[3e-45, 2.0], [-jnp.inf, 1e30]]]),
    "counts": jnp.array([[-1, 2**31 - 1], [-(2**31), 0]], jnp.int32),
    "seen": jnp.array([[True, False], [False, True]]),
    "nothing": jnp.zeros((2, 2, 0)),
    "image": jnp.arange(2 * 2 * 3, dtype=jnp.uint8).reshape(2, 2, 3),
    "wide": jnp.arange(4.0 * (LARGEST + 1)).reshape(2, 2, -1),
    "elsewhere": jnp.ones((1, 2, 3)),
    "none": None,
}


def bits(tree):
    return [(x.shape, x.dtype, np.asarray(x).tobytes()) for x in jax.tree.leaves(tree)]


def test_what_is_packed_comes_back_bit_for_bit():
    tree = dict(TREE)
    packing = packing_of(tree, 2)
    packed = pack(packing, tree)
    shapes = {kind: array.shape for kind, array in packed.arrays.items()}
    assert shapes == {"floats": (2, 2, 2), "bits": (2, 2, 1 + 1)}
    assert len(packed.others) == 4
    back = unpack(packing, packed)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert bits(back) == bits(tree)


@pytest.mark.parametrize("which", [[1, 0], [0, 0, 1]])
def test_rows_are_drawn_as_from_the_leaves(which):
    tree = {name: TREE[name] for name in ("counts", "numbers", "seen")}
    packing = packing_of(tree, 2)
    drawn = jax.tree.map(lambda x: x[:, jnp.array(which)], pack(packing, tree))
    assert bits(unpack(packing, drawn)) == bits(
        jax.tree.map(lambda x: x[:, jnp.array(which)], tree)
    )


def test_derivatives_flow_through():
    """d/dx of the sum over t of x^t, t = 1 ... 4, and of how often it is above 1: none."""

    def powers(x):
        step = lambda power, _: (power * x, {"power": power * x, "above": power * x > 1})
        _, found = packed_scan(step, jnp.float32(1), jnp.arange(4))
        return jnp.where(found["above"], found["power"], 0.0).sum()

    assert jax.grad(powers)(2.0) == 1 + 2 * 2 + 3 * 4 + 4 * 8


def test_a_scan_that_packs_is_a_scan():
    def step(carry, x):
        return carry + x, {"sum": carry + x, "even": (carry + x) % 2 == 0, "none": jnp.zeros(0)}

    rows = jnp.arange(5, dtype=jnp.int32)
    expected, found = (scan(step, jnp.int32(0), rows) for scan in (jax.lax.scan, packed_scan))
    assert bits(found) == bits(expected)


def test_numbers_of_python_are_rows_too():
    _, found = packed_scan(lambda carry, x: (carry, (1.5, x, 2)), 0, jnp.arange(3.0))
    assert [x.tolist() for x in found] == [[1.5] * 3, [0, 1, 2], [2] * 3]


def test_nothing_is_packed_for_a_processor():
    tree = {"numbers": TREE["numbers"], "seen": TREE["seen"]}
    assert packs()
    with compiling_for("cpu"):
        assert not packs()
        assert pack(packing_of(tree, 2), tree).arrays == {}


def test_a_learner_learns_the_same_packed_or_not():
    env = matrix_game("chicken", num_rounds=3)

    def learnt(platform):
        algorithm = ippo(env, Config(num_envs=4, rollout_length=8, hidden=(4,)))
        train, _ = make_train(algorithm, env, Schedule(3))
        with compiling_for(platform):
            state, metrics = jax.jit(train)(jax.random.key(0), algorithm.hparams)
        return state.params, metrics

    # one flipped action would part them for good; in so few updates there is none
    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5)
    jax.tree.map(close, learnt("gpu"), learnt("cpu"))
