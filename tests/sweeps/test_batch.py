"""Many runs as one program: their order, the filling, the axes, the devices, the compilations."""

import gc
import weakref
from contextlib import contextmanager

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.hparams import grid, hparam
from jaxmarl_core.sweeps.batch import pad, pairs, run_mesh, sharded, sweep, swept


@struct.dataclass
class Hparams:
    a: float = hparam(1.0)
    b: float = hparam(2.0)


ROWS = grid(Hparams(), a=[1.0, 2.0, 3.0])  # H = 3
KEYS = jax.random.split(jax.random.key(0), 4)  # S = 4


def train(key, hp):
    """A run whose result tells its key and its row."""
    number = jax.random.uniform(key)
    return {"key": number, "vector": jnp.stack([hp.a, hp.b])}, {"sum": hp.a + number}


def test_pairs_run_through_keys_first():
    keys, rows = pairs(KEYS, ROWS)
    np.testing.assert_array_equal(rows.a, np.repeat([1.0, 2.0, 3.0], 4))
    np.testing.assert_array_equal(rows.b, np.full(12, 2.0))
    expected = np.tile(jax.random.key_data(KEYS), (3, 1))
    np.testing.assert_array_equal(jax.random.key_data(keys), expected)


def test_pad_repeats_the_last_row():
    padded = pad({"x": jnp.arange(5), "key": KEYS}, 4)
    np.testing.assert_array_equal(padded["x"], [0, 1, 2, 3, 4, 4, 4, 4])
    assert padded["key"].shape == (4,)
    assert pad(jnp.arange(8), 4).shape == (8,)


@pytest.mark.parametrize("num_devices", [1, 5, 8])
def test_axes_are_hparams_then_seeds(num_devices):
    """12 runs: on 5 and on 8 devices some are filling, and none of it is seen."""
    state, metrics = sweep(train, KEYS, ROWS, run_mesh(jax.devices()[:num_devices]))
    drawn = np.array([jax.random.uniform(key) for key in KEYS])
    np.testing.assert_allclose(state["key"], np.tile(drawn, (3, 1)), rtol=1e-6)
    assert state["vector"].shape == (3, 4, 2)
    expected = np.array([1.0, 2.0, 3.0])[:, None] + drawn
    np.testing.assert_allclose(metrics["sum"], expected, rtol=1e-6)


def test_all_devices_by_default():
    assert run_mesh().axis_names == ("run",)
    assert run_mesh().size == len(jax.devices())
    _, metrics = sweep(train, KEYS, grid(Hparams(), a=[0.0, 1.0]))
    assert len(metrics["sum"].sharding.device_set) == len(jax.devices())


def test_each_device_loops_for_its_own_runs_only():
    """No collective: a device whose runs are short does not step for another's long one."""

    def steps(limit):
        condition = lambda carry: carry[0] < limit
        count, total = jax.lax.while_loop(
            condition, lambda c: (c[0] + 1, c[1] + c[0]), (jnp.int32(0), jnp.int32(0))
        )
        return count, total

    program = sharded(steps, run_mesh(jax.devices()[:4]), (0,))
    limits = jnp.array([1, 3, 2, 50])
    np.testing.assert_array_equal(program(limits)[0], limits)
    text = program.lower(limits).compile().as_text()
    assert not any(word in text for word in ("all-reduce", "all-gather", "collective-permute"))


def test_an_argument_may_be_common_to_all_runs():
    program = sharded(lambda x, index: x + index, run_mesh(jax.devices()[:2]), (0, None))
    np.testing.assert_array_equal(program(jnp.arange(4), jnp.int32(10)), [10, 11, 12, 13])


def test_donated_memory_is_given_away():
    program = sharded(lambda x: x + 1, run_mesh(jax.devices()[:2]), (0,), donate=(0,))
    x = jnp.arange(4.0)
    x = jax.device_put(x, program(x + 0).sharding)
    program(x)
    assert x.is_deleted()


@contextmanager
def compilations():
    """A list that grows with every program that XLA compiles, or loads where it did before."""
    found = []

    def heed(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(heed)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(heed)


def a_train():
    """A `train` of its own, as `make_train` makes one each time."""
    return lambda key, hp: train(key, hp)


def test_the_same_sweep_compiles_once():
    mesh, mine = run_mesh(jax.devices()[:2]), a_train()
    with compilations() as found:
        first = sweep(mine, KEYS, ROWS, mesh)
    assert found, "a program was compiled"
    others = KEYS[::-1], ROWS.replace(a=ROWS.b)
    with compilations() as found:
        again = sweep(mine, KEYS, ROWS, mesh)
        other = sweep(mine, *others, run_mesh(jax.devices()[:2]))
    assert found == []
    jax.tree.map(np.testing.assert_array_equal, first, again)
    np.testing.assert_array_equal(other[0]["vector"][..., 0], ROWS.b[0])


def test_what_was_compiled_is_forgotten_with_its_train():
    mesh, mine = run_mesh(jax.devices()[:1]), a_train()
    sweep(mine, KEYS, ROWS, mesh)
    gone = weakref.ref(mine), weakref.ref(swept(mine, mesh))
    del mine
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@struct.dataclass
class Scaled:
    """A `train` without a hash: it holds an array."""

    by: jax.Array

    def __call__(self, key, hp):
        return self.by * hp.a, {}


def test_a_train_that_cannot_be_kept_is_swept_too():
    with pytest.raises(TypeError):
        hash(Scaled(jnp.ones(2)))
    state, _ = sweep(Scaled(jnp.array([1.0, 2.0])), KEYS, ROWS, run_mesh(jax.devices()[:1]))
    np.testing.assert_array_equal(state[:, 0], [[1, 2], [2, 4], [3, 6]])


def test_a_sweep_inside_a_program():
    """What is traced leaves nothing behind that a later call would meet."""
    mesh, mine = run_mesh(jax.devices()[:1]), a_train()
    total = jax.jit(lambda a: sweep(mine, KEYS, ROWS.replace(a=a), mesh)[1]["sum"].sum())
    expected = sweep(mine, KEYS, ROWS, mesh)[1]["sum"].sum()
    np.testing.assert_allclose(total(ROWS.a), expected, rtol=1e-6)
    np.testing.assert_allclose(total(2 * ROWS.a), expected + 4 * ROWS.a.sum(), rtol=1e-6)
