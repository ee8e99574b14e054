"""Sweeps from end to end on a small game: files, crashes, Ctrl-C, parts, what is learned."""

import csv
import signal

import jax
import numpy as np
import pytest

from jaxmarl_core import hparams
from jaxmarl_core.report.sweep_report import report_sweep
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.sweeps import plan, worker
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import Stopped, load_run_state, run

SWEEP = {
    "algorithm": "q_learning",
    "environment": "matrix_game",
    "environment_options": {"num_rounds": 3},
    "seeds": 2,
    "first_seed": 7,
    "updates": 6,
    "segment": 2,
    "checkpoint_seconds": 0.0,  # after every segment
    "config": {"rollout_length": 4},
    "grid": {"hparams": {"learning_rate": [0.1, 0.2]}},
    "evaluation": {"every": 3, "episodes": 2, "opponents": {"player_1": "random"}},
}


def spec(**changes):
    return from_dict(SWEEP | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted sweep."""
    return run(spec(), tmp_path_factory.mktemp("whole") / "sweep")


def assert_same_results(folder, other):
    a, b = sweep_folder.read(folder), sweep_folder.read(other)
    assert a.runs == b.runs
    assert a.metrics.keys() == b.metrics.keys()
    for name in a.metrics:
        np.testing.assert_array_equal(a.metrics[name], b.metrics[name], err_msg=name)


def crash_after(monkeypatch, owner, name, calls):
    """Makes `owner.name` raise at the call after so many, once its work is done."""
    original, count = getattr(owner, name), []

    def crash(*args, **kwargs):
        result = original(*args, **kwargs)
        count.append(1)
        if len(count) > calls:
            raise RuntimeError("pulled the plug")
        return result

    monkeypatch.setattr(owner, name, crash)


def test_writes_what_was_asked_and_what_came_of_it(whole):
    names = sorted(path.name for path in (whole / "part-000").iterdir())
    segments = [f"metrics-{first:06d}.npz" for first in (0, 2, 4)]
    assert names == ["checkpoints", *segments, "runs.json"]
    results = sweep_folder.read(whole)
    assert [(r["seed"], r["hparams"]["learning_rate"]) for r in results.runs] == [
        (7, 0.1), (8, 0.1), (7, 0.2), (8, 0.2)
    ]  # fmt: skip
    assert [r["run"] for r in results.runs] == [0, 1, 2, 3]
    for name, figures in results.metrics.items():
        assert figures.shape == (4, 6)
        due = [False, False, True] * 2 if name.startswith("eval_") else [True] * 6
        np.testing.assert_array_equal(np.isfinite(figures), [due] * 4, err_msg=name)
    assert from_dict(sweep_folder.read_spec(whole)) == spec()


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (sweep_folder, "write_segment", 0),
        (sweep_folder, "write_segment", 1),
        (Checkpoints, "save", 1),
    ],
    ids=["before the first checkpoint", "before the second", "after the second"],
)
def test_resumes_bit_for_bit_after_a_crash(tmp_path, monkeypatch, whole, owner, name, calls):
    with monkeypatch.context() as patch:
        crash_after(patch, owner, name, calls)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            run(spec(), tmp_path / "x")
    run(spec(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", whole)


def test_resuming_what_is_finished_changes_nothing(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(worker, "make_train", None)  # nothing is built again
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.npz")}
    run(spec(), whole, resume=True)
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.npz")} == before


def test_ctrl_c_saves_and_can_be_resumed(tmp_path, monkeypatch, whole):
    original, count = sweep_folder.write_segment, []

    def interrupted(*args):
        count.append(1)
        if len(count) == 2:
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(sweep_folder, "write_segment", interrupted)
        with pytest.raises(Stopped, match="stopped after update 4 of the sweep"):
            run(spec(checkpoint_seconds=1e6), tmp_path / "x")
    assert len(count) == 2
    assert signal.getsignal(signal.SIGINT) is handler
    assert sweep_folder.read(tmp_path / "x").num_updates_done.tolist() == [4] * 4
    run(spec(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", whole)


def test_a_second_ctrl_c_kills(tmp_path, monkeypatch):
    def impatient(*args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sweep_folder, "write_segment", impatient)
    with pytest.raises(KeyboardInterrupt):
        run(spec(), tmp_path / "x")


def test_an_existing_folder_is_never_overwritten(whole):
    with pytest.raises(ValueError, match=r"out: expected a new folder, .*--resume"):
        run(spec(), whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 3}, "seeds: expected 2, that of the sweep in"),
        ({"updates": 12}, "updates: expected 6"),
        ({"grid": {"hparams": {"learning_rate": [0.1, 0.3]}}}, "grid: expected"),
    ],
)
def test_a_different_spec_is_not_resumed(whole, changes, message):
    with pytest.raises(ValueError, match=message):
        run(spec(**changes), whole, resume=True)


def test_resuming_needs_a_sweep(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="out: expected the folder of a sweep"):
        run(spec(), tmp_path, resume=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out: expected a sweep to resume"):
        run(spec(), resume=True)


@pytest.mark.parametrize(
    "changes", [{"evaluation": {"every": -1}}, {"memory_gb": 1e-12}, {"hparams": {"gamma": 2.0}}]
)
def test_a_mistake_leaves_no_folder(tmp_path, changes):
    with pytest.raises(ValueError, match="expected"):
        run(spec(**changes), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_folders_are_numbered_and_the_newest_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "_run_part", lambda *args: None)
    for expected in ("few", "few-2", "few-3"):
        assert run(spec(name="few")).name == expected
    assert run(spec(name="few"), resume=True).name == "few-3"


def test_too_little_memory_cuts_the_sweep_into_parts(tmp_path, whole):
    """The same runs in narrower programs: the same figures but for rounding."""
    variant = variants(spec())[0]
    row = jax.tree.map(lambda x: x[0], variant.hparams)
    state = jax.eval_shape(variant.algorithm.init, jax.eval_shape(lambda: jax.random.key(0)), row)
    each = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    small = spec(memory_gb=2 * each * 3.5 / 2**30)  # three runs fit, so two parts of two
    assert [len(part.numbers) for part in plan.cut(small, variants(small), tmp_path)] == [2, 2]
    run(small, tmp_path / "x")
    assert (tmp_path / "x" / "part-001" / "metrics-000004.npz").exists()
    cut, together = sweep_folder.read(tmp_path / "x"), sweep_folder.read(whole)
    assert cut.runs == together.runs
    same = [
        np.isclose(cut.metrics[name], figures, rtol=1e-4, equal_nan=True).all(axis=1)
        for name, figures in together.metrics.items()
    ]
    assert np.mean(same) > 0.7  # a flipped action sends a run its own way


def test_static_grids_become_parts(tmp_path):
    folder = run(
        spec(seeds=1, updates=2, grid={"config": {"rollout_length": [4, 8]}}),
        tmp_path / "x",
    )
    results = sweep_folder.read(folder)
    assert [r["static"] for r in results.runs] == [{"rollout_length": 4}, {"rollout_length": 8}]
    assert [r["env_steps_per_update"] for r in results.runs] == [4, 8]
    np.testing.assert_array_equal(results.num_updates_done, 2)


def test_what_was_learned_can_be_played(whole):
    for index in range(4):
        variant, state = load_run_state(whole, index)
        assert state.params.tables["player_0"].q.shape == (1, 1, 2)
        _, timestep = variant.env.reset(jax.random.key(0))
        actions, _ = variant.algorithm.policy.greedy(state.params, jax.random.key(0), timestep, ())
        assert variant.env.groups["player_0"].action.contains(actions["player_0"])
    tables = [
        np.asarray(load_run_state(whole, index)[1].params.tables["player_0"].q) for index in (0, 3)
    ]
    assert (tables[0] != tables[1]).any()
    with pytest.raises(ValueError, match="run: expected one of the sweep"):
        load_run_state(whole, 4)


def test_publish_writes_the_table_and_the_report(whole):
    results, goal, rows = report_sweep(whole)
    assert goal.metric == "eval_return_player_0"
    assert len(results.runs) == 4
    assert len(rows) == 2  # a row for each learning rate
    with open(whole / "results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    page = (whole / "report.html").read_text("utf-8")
    assert "q_learning on matrix_game" in page
    assert "learning_rate" in page
    assert "the best, against player_1: random" in page  # the replay


def test_publish_works_on_a_sweep_that_has_not_saved_yet(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_after(patch, sweep_folder, "write_segment", 0)
        with pytest.raises(RuntimeError):
            run(spec(), tmp_path / "x")
    results, _, _ = report_sweep(tmp_path / "x")
    assert results.num_updates_done.tolist() == [2] * 4
    assert (tmp_path / "x" / "report.html").exists()


def test_a_run_that_diverges_is_marked_and_the_others_are_not(tmp_path, monkeypatch):
    """A rate no check would let pass makes the table infinite, then no number."""
    monkeypatch.setattr(hparams, "check", lambda table: None)
    grid = {"hparams": {"learning_rate": [0.1, 1e30]}}
    folder = run(spec(grid=grid, evaluation={}), tmp_path / "x")
    diverged = sweep_folder.read(folder).diverged_at
    np.testing.assert_array_equal(diverged[:2], -1)
    assert (diverged[2:] >= 0).all()
