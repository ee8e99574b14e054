"""Sweeps that go on elsewhere: other devices, less memory, parts cut again."""

import json

import jax
import numpy as np
import pytest
from interrupted_sweeps import (
    assert_same_results,
    listener,
    spec,
    stopped_after,
)

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps import program
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import run


def on(num_devices):
    return run_mesh(jax.devices()[:num_devices])


BARE = {"evaluation": {}}


def needed(num_runs):
    """GiB that the program of some of these runs takes on one device."""
    (variant,) = variants(spec(**BARE))
    return program.compile_program(variant, num_runs, 2, on(1)).num_bytes / 2**30


@pytest.mark.slow
def test_too_little_memory_cuts_the_sweep_into_parts(tmp_path, whole):
    """The same runs in narrower programs: the same figures but for rounding."""
    small = spec(memory_gb=needed(3), **BARE)  # three fit, so two parts of two
    run(small, tmp_path / "x", mesh=on(1))
    parts = json.loads((tmp_path / "x" / "plan.json").read_text())["parts"]
    assert [part["runs"] for part in parts] == [[0, 1], [2, 3]]
    assert (tmp_path / "x" / "part-001" / "metrics-000000.npz").exists()
    cut, together = sweep_folder.read(tmp_path / "x"), sweep_folder.read(whole)
    assert cut.runs == together.runs
    assert_like(cut, together)


def assert_like(results, others):
    """The same runs in programs of other widths: a flipped action sends one its own way."""
    same = [
        np.isclose(figures, others.metrics[name], rtol=1e-4, equal_nan=True).all(axis=1)
        for name, figures in results.metrics.items()
    ]
    assert np.mean(same) > 0.7


@pytest.mark.fast("8-2")
@pytest.mark.parametrize(("before", "after"), [(1, 8), (2, 1), (8, 2)])
def test_a_sweep_goes_on_on_other_devices(tmp_path, monkeypatch, before, after):
    """Two runs: with 2 and with 8 devices each is alone on its own, and so the same bit for bit."""
    two = spec(grid={})
    unbroken = sweep_folder.read(run(two, tmp_path / "unbroken", mesh=on(before)))
    stopped_after(monkeypatch, 2, two, tmp_path / "moved", mesh=on(before))
    run(two, tmp_path / "moved", resume=True, mesh=on(after))
    moved = sweep_folder.read(tmp_path / "moved")
    assert moved.num_updates_done.tolist() == [6, 6]
    if {before, after} == {2, 8}:
        assert_same_results(tmp_path / "moved", tmp_path / "unbroken")
    for name, figures in unbroken.metrics.items():
        np.testing.assert_array_equal(moved.metrics[name][:, :2], figures[:, :2])
    assert_like(moved, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ippo", "qmix"])
def test_a_state_with_empty_arrays_goes_on_on_two_devices(tmp_path, monkeypatch, algorithm):
    """Nobody speaks in simple_spread: its messages have no words, and no sharding of their own."""
    spread = {
        "algorithm": algorithm,
        "environment": "simple_spread",
        "seeds": 3,
        "updates": 4,
        "segment": 2,
        "checkpoint_seconds": 0.0,
        "environment_options": {"max_steps": 4},
        "config": {"num_envs": 4},
    }
    asked = from_dict(spread)
    run(asked, tmp_path / "unbroken", mesh=on(2))
    stopped_after(monkeypatch, 2, asked, tmp_path / "moved", mesh=on(2))
    run(asked, tmp_path / "moved", resume=True, mesh=on(2))
    assert_same_results(tmp_path / "moved", tmp_path / "unbroken")


def test_a_part_that_does_not_fit_is_refused_or_cut_again(tmp_path, monkeypatch, whole):
    stopped_after(monkeypatch, 4, spec(**BARE), tmp_path / "x", mesh=on(8))
    small = spec(memory_gb=needed(2), **BARE)
    message = r"memory_gb: expected at least .* what the 4 runs of part-000 need, got .*--recut"
    with pytest.raises(ValueError, match=message):
        run(small, tmp_path / "x", resume=True, mesh=on(1))
    said = []
    run(small, tmp_path / "x", True, listener(said), on(1), cut_again=True)
    assert any("part-000 (4 runs) is cut into 2 parts" in text for text in said)
    assert sorted(p.name for p in (tmp_path / "x").glob("part-*")) == ["part-001", "part-002"]
    found, together = sweep_folder.read(tmp_path / "x"), sweep_folder.read(whole)
    assert found.runs == together.runs
    assert found.num_updates_done.tolist() == [6] * 4
    for name, figures in found.metrics.items():  # what was computed before is as it was
        np.testing.assert_array_equal(figures[:, :4], together.metrics[name][:, :4])
    assert_like(found, together)
