"""One run on several devices: the same as on one, up to rounding, and divided indeed."""

import dataclasses
import re

import jax
import numpy as np
import pytest
from divided_runs import SPECS, metrics_of, spec_of
from jax.sharding import PartitionSpec

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.data_parallel import divided_mesh, environment_axes, state_shardings
from jaxmarl_core.sweeps.program import Programs
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import run


@pytest.mark.fast("ippo")
@pytest.mark.parametrize("name", SPECS)
def test_four_devices_find_what_one_finds(name, tmp_path):
    alone = metrics_of(spec_of(name), tmp_path / "alone")
    divided = metrics_of(spec_of(name, 4), tmp_path / "divided")
    assert set(alone) == set(divided)
    for metric, values in alone.items():
        np.testing.assert_allclose(divided[metric], values, 2e-4, 2e-5, err_msg=metric)


@pytest.fixture(scope="module")
def program():
    """IPPO's, of two runs on four devices each."""
    spec = spec_of("ippo", 4)
    mesh = divided_mesh(run_mesh(), 4)
    assert dict(mesh.shape) == {"run": 2, "data": 4}
    return Programs(variants(spec), mesh).get(0, 2, 1)


def test_environments_are_divided_and_weights_are_not(program):
    play = jax.tree.leaves(program.state.play.env_state)
    assert {leaf.sharding.spec for leaf in play} == {PartitionSpec("run", "data")}
    weights = {leaf.sharding.spec for leaf in jax.tree.leaves(program.state.params)}
    assert weights == {PartitionSpec("run")}


@pytest.mark.parametrize(("name", "field"), [("mfq", "words"), ("maddpg", "")])
def test_what_is_stored_lies_with_its_environments(name, field):
    spec = spec_of(name, 4)
    (variant,) = variants(spec)
    shardings = state_shardings(variant.environment_axes, divided_mesh(run_mesh(), 4))
    stored = getattr(shardings.buffer, field) if field else shardings.buffer
    found = {leaf.spec for leaf in jax.tree.leaves(stored)}
    assert found == {PartitionSpec("run", None, "data")}


def test_a_mesh_and_a_spec_must_agree():
    programs = Programs(variants(spec_of("ippo")), divided_mesh(run_mesh(), 4))
    with pytest.raises(ValueError, match="devices_per_run: expected that of the mesh, 4, got a"):
        programs.get(0, 2, 1)


def test_gradients_are_summed_over_devices_and_play_speaks_to_none(program):
    """Of the loops within an update that speak, all take gradient steps."""
    speaks = r"= .*\b(all-reduce|all-gather|all-to-all|collective-permute)(?:-start)?\("
    lines = [line for line in program.segment.as_text().splitlines() if re.search(speaks, line)]
    of_loops = [line for line in lines if line.count("while/") >= 2]
    assert len(of_loops) >= 2  # the actor's and the critic's
    for line in of_loops:
        assert "all-reduce" in line and "jvp(" in line


def test_what_several_devices_began_one_ends(tmp_path):
    spec = spec_of("ippo", 4, updates=2)
    out = run(spec, tmp_path / "run")
    run(dataclasses.replace(spec, updates=4, devices_per_run=1), out, resume=True)
    alone = metrics_of(spec_of("ippo", updates=4), tmp_path / "alone")
    for metric, values in sweep_folder.read(out).metrics.items():
        np.testing.assert_allclose(values, alone[metric], 5e-4, 5e-5, err_msg=metric)


def test_the_axis_of_environments_is_the_one_that_follows_their_number():
    def state_of(num_envs):
        if num_envs > 6:
            raise ValueError("capacity: expected a multiple")
        shapes = {"play": (num_envs, 6), "buffer": (10, num_envs, 3), "weights": (6, 6)}
        return {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}

    assert environment_axes(state_of, 6, 2) == {"play": 0, "buffer": 1, "weights": -1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"devices_per_run": 3},
            "devices_per_run: expected a divisor of the 8 .*, got 3",
        ),
        ({"devices_per_run": 0}, "devices_per_run: expected at least 1, got 0"),
        ({"algorithm": "fmq", "environment": "matrix_game"}, "devices_per_run: expected 1, as"),
        ({"config": {"num_envs": 6}}, r"num_envs: expected a multiple of devices_per_run \(4\)"),
    ],
)
def test_what_cannot_be_divided_is_refused(change, message, tmp_path):
    told = {"algorithm": "ippo", "environment": "simple_spread", "devices_per_run": 4} | change
    with pytest.raises(ValueError, match=message):
        run(from_dict(told), tmp_path / "run")
    assert not (tmp_path / "run").exists()
