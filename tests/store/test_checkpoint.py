"""Checkpoints: exact, refused where they do not belong, and safe against a kill."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.sharding import NamedSharding, PartitionSpec

from jaxmarl_core.store.checkpoint import Checkpoints, signature
from jaxmarl_core.sweeps.batch import run_mesh

PROGRAM = {"algorithm": "mfq", "config": {"num_envs": 2, "hidden": (4, 4)}, "hparams": [0.1]}


@struct.dataclass
class State:
    key: jax.Array
    params: dict
    count: jax.Array
    memory: tuple = ()


def state(number=1.0):
    """A learner's state of 8 runs, spread over 8 devices."""
    tree = State(
        key=jax.random.split(jax.random.key(int(number)), 8),
        params={"w": jnp.full((8, 3), number / 3), "half": jnp.full((8,), 0.1, jnp.bfloat16)},
        memory=(jnp.zeros((8, 0, 2)),),  # a world where nobody speaks has messages of no words
        count=jnp.arange(8) + int(number),
    )
    return jax.device_put(tree, NamedSharding(run_mesh(), PartitionSpec("run")))


@pytest.fixture
def saved(tmp_path):
    """A folder with a checkpoint of update 5."""
    with Checkpoints(tmp_path, PROGRAM, state()) as checkpoints:
        checkpoints.save(5, state(5))
    return tmp_path


def test_what_comes_back_is_what_was_saved(saved):
    like = jax.eval_shape(state)
    spread = NamedSharding(run_mesh(), PartitionSpec("run"))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread), like)
    with Checkpoints(saved, PROGRAM, like) as checkpoints:
        assert checkpoints.latest() == 5
        step, back = checkpoints.restore()
    assert step == 5
    expected = state(5)
    assert jax.tree.structure(back) == jax.tree.structure(expected)
    np.testing.assert_array_equal(jax.random.key_data(back.key), jax.random.key_data(expected.key))
    assert jnp.issubdtype(back.key.dtype, jax.dtypes.prng_key)
    np.testing.assert_array_equal(back.params["w"], expected.params["w"])
    np.testing.assert_array_equal(back.count, expected.count)
    for leaf, wanted in zip(jax.tree.leaves(back), jax.tree.leaves(expected)):
        assert (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)
        assert leaf.sharding.device_set == wanted.sharding.device_set


def test_the_two_newest_are_kept(saved):
    with Checkpoints(saved, PROGRAM, state()) as checkpoints:
        for step in (6, 7, 8):
            checkpoints.save(step, state(step))
        assert checkpoints.restore()[0] == 8
    assert sorted(p.name for p in (saved / "steps").iterdir() if p.name.isdigit()) == ["7", "8"]


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
        Checkpoints(saved, program, state())


def test_another_structure_is_refused_by_name(saved):
    other = state()
    other = other.replace(params={"w": other.params["w"][:, :2], "half": other.params["half"]})
    with pytest.raises(ValueError, match=r"state.\.params\['w'\] = 'float32\[8, 2\]'"):
        Checkpoints(saved, PROGRAM, other)


def test_a_refusal_changes_nothing(saved):
    before = (saved / "program.json").read_text()
    with pytest.raises(ValueError, match="checkpoint"):
        Checkpoints(saved, {}, state())
    assert (saved / "program.json").read_text() == before


def test_without_one_there_is_nothing_to_restore(tmp_path):
    with Checkpoints(tmp_path / "new", PROGRAM, state()) as checkpoints:
        assert checkpoints.latest() is None
        with pytest.raises(ValueError, match="checkpoint: expected one in"):
            checkpoints.restore()


def test_a_half_written_step_is_ignored(saved):
    """What a kill in the middle of a save leaves: a folder under its temporary name."""
    names = [p.name for p in (saved / "steps" / "5").iterdir()]
    assert names, "a checkpoint is a folder with something in it"
    half = saved / "steps" / "6.orbax-checkpoint-tmp-1"
    half.mkdir()
    (half / "default").write_text("half")
    with Checkpoints(saved, PROGRAM, state()) as checkpoints:
        assert checkpoints.latest() == 5
        np.testing.assert_array_equal(checkpoints.restore()[1].count, state(5).count)
        checkpoints.save(6, state(6))
        assert checkpoints.restore()[0] == 6


def test_signature_tells_every_leaf():
    tree = {"key": jax.random.key(0), "x": jnp.zeros((2, 3), jnp.int32)}
    assert signature(tree) == {"['key']": "key<fry>[]", "['x']": "int32[2, 3]"}
    assert json.dumps(signature(jax.eval_shape(lambda: tree))) == json.dumps(signature(tree))
