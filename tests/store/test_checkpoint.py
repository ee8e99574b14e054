"""Checkpoints: exact, without filling or devices, refused where they do not belong."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.sharding import NamedSharding, PartitionSpec

from jaxmarl_core.store.checkpoint import (
    Checkpoints,
    placed,
    read_leaves,
    signature,
    typed,
)
from jaxmarl_core.store.named_leaves import named_leaves
from jaxmarl_core.sweeps.batch import pad, run_mesh

PROGRAM = {"algorithm": "mfq", "config": {"num_envs": 2, "hidden": (4, 4)}, "hparams": [0.1]}
NUM_RUNS = 5


@struct.dataclass
class State:
    """A leaf of every kind that a learner has."""

    key: jax.Array
    params: dict
    count: jax.Array
    memory: tuple = ()
    nothing: None = None


def state(number=1.0):
    """The states of 5 runs."""
    return State(
        key=jax.random.split(jax.random.key(int(number)), (NUM_RUNS, 2)),
        params={
            "w": jnp.arange(15.0).reshape(NUM_RUNS, 3) * number / 3,
            "half": jnp.full((NUM_RUNS,), 0.1 * number, jnp.bfloat16),
            "a/b 'c'": [{"alive": jnp.arange(NUM_RUNS) % 2 == 0}, jnp.ones((NUM_RUNS, 1), "int8")],
        },
        memory=(jnp.zeros((NUM_RUNS, 0, 2)), ()),  # where nobody speaks: messages of no words
        count=jnp.arange(NUM_RUNS, dtype=jnp.uint32) + int(number),
    )


def spread(tree, num_devices):
    """The states filled up to a multiple of the devices, on them."""
    mesh = run_mesh(jax.devices()[:num_devices])
    return jax.device_put(pad(tree, num_devices), NamedSharding(mesh, PartitionSpec("run")))


LIKE = jax.eval_shape(state)


@pytest.fixture
def saved(tmp_path):
    """A folder with a checkpoint of update 5."""
    Checkpoints(tmp_path, PROGRAM, LIKE).save(5, state(5))
    return tmp_path


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        assert (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, wanted = jax.random.key_data(leaf), jax.random.key_data(wanted)
        np.testing.assert_array_equal(leaf, wanted)


@pytest.mark.parametrize("before", [1, 2, 8])
@pytest.mark.parametrize("after", [1, 2, 8])
def test_what_is_saved_on_some_devices_comes_back_on_others(tmp_path, before, after):
    Checkpoints(tmp_path, PROGRAM, LIKE).save(5, spread(state(5), before))
    step, raw = Checkpoints(tmp_path, PROGRAM, LIKE).restore()
    assert step == 5
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(raw))
    assert_equal(typed(LIKE, raw), state(5))
    wanted = spread(state(5), after)
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), wanted
    )
    found = placed(shapes, raw)
    assert_equal(found, wanted)
    for leaf, like in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
        assert leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)


def test_numpy_alone_reads_a_checkpoint(saved):
    with np.load(saved / "checkpoint-000005.npz") as arrays:
        assert arrays["params.w"].shape == (NUM_RUNS, 3)
        np.testing.assert_array_equal(arrays["count"], np.arange(NUM_RUNS) + 5)
    assert set(read_leaves(saved, 5, "params.")) == {
        "params.w", "params.half", "params.a/b 'c'.0.alive", "params.a/b 'c'.1"
    }  # fmt: skip


def test_leaves_whose_plain_names_are_the_same_are_told_apart(tmp_path):
    tree = {"a.b": jnp.zeros((2, 1)), "a": {"b": jnp.ones((2, 1))}}
    assert list(named_leaves(tree)) == ["['a']['b']", "['a.b']"]
    Checkpoints(tmp_path, PROGRAM, tree).save(1, tree)
    _, raw = Checkpoints(tmp_path, PROGRAM, tree).restore()
    assert raw["a"]["b"][0] == 1 and raw["a.b"][0] == 0


def test_the_two_newest_are_kept(saved):
    checkpoints = Checkpoints(saved, PROGRAM, LIKE)
    for step in (6, 7, 8):
        checkpoints.save(step, state(step))
    assert checkpoints.restore()[0] == 8
    assert checkpoints.steps() == [7, 8]
    assert [checkpoints.newest(at_most) for at_most in (None, 8, 7, 6)] == [8, 8, 7, 0]
    assert checkpoints.restore(7)[0] == 7


def test_who_went_back_leaves_what_lay_ahead(saved):
    checkpoints = Checkpoints(saved, PROGRAM, LIKE)
    checkpoints.save(6, state(6))
    checkpoints.save(2, state(2))
    assert checkpoints.steps() == [2]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (PROGRAM | {"algorithm": "il"}, "algorithm = 'il'.* with 'mfq'"),
        (PROGRAM | {"config": {"num_envs": 3, "hidden": (4, 4)}}, "config.num_envs = 3.* with 2"),
        (PROGRAM | {"hparams": [0.2]}, r"hparams = \[0.2\].* with \[0.1\]"),
        (PROGRAM | {"seeds": [1]}, r"seeds = \[1\].* with None"),
    ],
)
def test_another_program_is_refused_by_name(saved, program, message):
    with pytest.raises(ValueError, match=message):
        Checkpoints(saved, program, LIKE)


def test_another_structure_is_refused_by_name(saved):
    other = state()
    other = other.replace(params=other.params | {"w": other.params["w"][:, :2]})
    with pytest.raises(ValueError, match=r"state.\.params\['w'\] = 'float32\[5, 2\]'"):
        Checkpoints(saved, PROGRAM, other)


def test_reading_writes_nothing(saved, tmp_path):
    before = (saved / "program.json").read_text()
    with pytest.raises(ValueError, match="checkpoint"):
        Checkpoints(saved, {}, LIKE)
    assert (saved / "program.json").read_text() == before
    none = Checkpoints(tmp_path / "none", PROGRAM, LIKE)
    assert none.steps() == [] and none.restore() == (0, None)
    assert not (tmp_path / "none").exists()


def test_a_half_written_step_is_ignored(saved):
    """What a kill in the middle of a save leaves: a file under its temporary name."""
    (saved / ".checkpoint-000006.npz-ab12.tmp").write_bytes(b"half")
    checkpoints = Checkpoints(saved, PROGRAM, LIKE)
    assert checkpoints.steps() == [5]
    checkpoints.save(6, state(6))
    assert checkpoints.restore()[0] == 6


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "other"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(saved, harm):
    checkpoints = Checkpoints(saved, PROGRAM, LIKE)
    checkpoints.save(6, state(6))
    path = saved / "checkpoint-000006.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    harmed = {"cut": data[:-200], "flip": data, "empty": b""}
    if harm == "other":
        np.savez(path, x=np.zeros(3))
    else:
        path.write_bytes(harmed[harm])
    said = []
    step, raw = checkpoints.restore(say=said.append)
    assert step == 5
    assert_equal(typed(LIKE, raw), state(5))
    assert len(said) == 1 and str(path) in said[0] and "going on from the" in said[0]


def test_signature_tells_every_leaf():
    tree = {"key": jax.random.key(0), "x": jnp.zeros((2, 3), jnp.int32)}
    assert signature(tree) == {"['key']": "key<fry>[]", "['x']": "int32[2, 3]"}
    assert json.dumps(signature(jax.eval_shape(lambda: tree))) == json.dumps(signature(tree))
