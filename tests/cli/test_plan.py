"""`jaxmarl-core plan`: figures that can be counted by hand, and what it refuses."""

import sys

import jax
import pytest
from commands import called

from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.devices import DEVICES, mesh_of
from jaxmarl_core.sweeps.forecast import forecast, roofline_seconds
from jaxmarl_core.sweeps.spec import from_dict

SPEC = """
algorithm = "q_learning"
environment = "matrix_game"
seeds = 3
updates = 4
[grid.hparams]
gamma = [0.0, 0.9]
"""


@pytest.fixture(scope="module")
def found():
    """What a tiny PPO would ask of one device here."""
    config = {"num_envs": 2, "rollout_length": 4, "num_minibatches": 2, "num_epochs": 3}
    spec = {
        "algorithm": "ippo",
        "environment": "matrix_game",
        "seeds": 2,
        "updates": 4,
        "segment": 4,
        "config": config | {"hidden": [8]},
    }
    (one,) = forecast(from_dict(spec), run_mesh(jax.devices()[:1]))
    return one


def test_a_sweep_is_planned(found):
    assert (found.num_runs, found.runs_per_part, found.num_parts) == (2, 2, 1)
    assert found._replace(num_devices=2).runs_per_device == 1
    assert found.num_bytes >= found.held_bytes >= 2 * found.state_bytes > 0
    assert found.kernels == 0 and found.compile_seconds > 0  # a CPU launches none
    trips = [loop.trips for loop in found.loops if loop.trips != 1]
    assert trips[0] == 4 and 3 * 2 in trips  # updates; minibatches of all epochs


def test_least_times_are_of_the_device(found):
    """Of figures in round numbers: 494 TFLOP, 4.8 TB, half a million launches a second."""
    asked = found._replace(product_flops=494e12, bytes_moved=9.6e12, kernels=1e6)
    assert roofline_seconds(asked, DEVICES["h200"]) == {
        "products": 1.0,
        "memory": 2.0,
        "launches": 2.0,
    }


def test_too_little_memory_is_refused():
    spec = from_dict({"algorithm": "q_learning", "environment": "matrix_game", "memory_gb": 1e-9})
    with pytest.raises(ValueError, match="memory_gb: expected at least"):
        forecast(spec, run_mesh(jax.devices()[:1]))


def test_the_command_prints_what_is_asked(tmp_path, capsys):
    path = tmp_path / "my.toml"
    path.write_text(SPEC)
    code, text, _ = called(capsys, "plan", path, "--loops")
    assert code == 0
    for words in ("1 of 6 runs, 6 in all", "state of a run", "compiled in", "trips"):
        assert words in text, words
    assert max(map(len, text.splitlines())) <= max(80, len(str(path)) + 20)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("h20", "did you mean 'h200'"),
        ("v5e", r"pip install 'jaxmarl-core\[aot\]', got no libtpu"),
        ("h200", r"pip install 'jaxmarl-core\[aot\]', got no jax_plugins.xla_cuda12"),
    ],
)
def test_what_cannot_be_compiled_for_is_named(monkeypatch, device, words):
    for missing in ("libtpu", "jax_plugins.xla_cuda12"):
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=words):
        mesh_of(device)
