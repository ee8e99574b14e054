"""Sweeps from end to end on a small game: files, crashes, Ctrl-C, parts, what is learned."""

import csv
import signal
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from interrupted_sweeps import (
    a_copy,
    assert_same_results,
    compute_nothing,
    crash_after,
    listener,
    spec,
    stopped_after,
)

from jaxmarl_core import hparams
from jaxmarl_core.report.sweep_report import lost_metrics, report_sweep
from jaxmarl_core.store import atomic, lease, segments, sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.sweeps import program, worker
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import Stopped, load_run_state, run


def test_writes_what_was_asked_and_what_came_of_it(whole):
    names = sorted(path.name for path in (whole / "part-000").iterdir())
    assert names == ["checkpoints", "metrics-000000.npz", "runs.json"]
    names = sorted(path.name for path in whole.iterdir())
    assert names == ["facts.json", "part-000", "plan.json", "spec.json"]
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


@pytest.mark.fast("after the second")
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
    monkeypatch.setattr(program, "compile_program", None)  # nothing is compiled again
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
        ({"seeds": 1}, "seeds: expected at least 2, that of the sweep in"),
        ({"updates": 4}, "updates: expected at least 6"),
        ({"first_seed": 8}, "first_seed: expected 7"),
        ({"config": {"rollout_length": 8}}, "config: expected"),
        ({"grid": {"hparams": {"learning_rate": [0.1, 0.3]}}}, "grid: expected"),
    ],
)
def test_a_different_spec_is_not_resumed(whole, changes, message):
    with pytest.raises(ValueError, match=message):
        run(spec(**changes), whole, resume=True)


def test_resuming_nothing_begins(tmp_path, monkeypatch, whole):
    """A job that is queued again says --resume the first time, too."""
    compute_nothing(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert str(run(spec(name="few"), resume=True)) == "runs/few"
    (tmp_path / "empty").mkdir()
    run(spec(), tmp_path / "empty", resume=True)
    (tmp_path / "begun").mkdir()  # what a crash before the first line of the spec leaves
    (tmp_path / "begun" / "facts.json").write_text("{}")
    (tmp_path / "begun" / ".spec.json-ab.tmp").write_text("{")
    run(spec(), tmp_path / "begun", resume=True)
    for folder in ("runs/few", "empty", "begun"):
        assert sorted(p.name for p in (tmp_path / folder).iterdir()) == [
            "facts.json", "plan.json", "spec.json"
        ]  # fmt: skip
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"out: expected a new folder or a sweep, got .*other"):
        run(spec(), tmp_path / "other", resume=True)
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "changes", [{"evaluation": {"every": -1}}, {"memory_gb": 1e-12}, {"hparams": {"gamma": 2.0}}]
)
def test_a_mistake_leaves_no_folder(tmp_path, changes):
    with pytest.raises(ValueError, match="expected"):
        run(spec(**changes), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_folders_are_numbered_and_the_newest_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compute_nothing(monkeypatch)
    for expected in ("few", "few-2", "few-3"):
        assert run(spec(name="few")).name == expected
    assert run(spec(name="few"), resume=True).name == "few-3"


def test_sweeps_of_one_name_that_start_together_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = spec(name="array")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: worker._folder(asked, None, False), range(16)))
    assert len({folder for folder, _ in found}) == 16
    assert all(is_ours and folder.is_dir() for folder, is_ours in found)


def test_more_seeds_and_updates_are_computed_and_nothing_else(tmp_path, whole, monkeypatch):
    copy = a_copy(whole, tmp_path)
    before = sweep_folder.read(copy)
    kept = (copy / "part-000" / "metrics-000000.npz").stat().st_mtime_ns
    run(spec(seeds=3), copy, resume=True)
    more = sweep_folder.read(copy)
    assert (copy / "part-000" / "metrics-000000.npz").stat().st_mtime_ns == kept
    assert more.runs[:4] == before.runs
    assert [(r["run"], r["seed"], r["hparams"]["learning_rate"]) for r in more.runs[4:]] == [
        (4, 9, 0.1), (5, 9, 0.2)
    ]  # fmt: skip
    run(spec(seeds=3, updates=8), copy, resume=True)
    longer = sweep_folder.read(copy)
    assert longer.num_updates_done.tolist() == [8] * 6
    for name, figures in more.metrics.items():
        np.testing.assert_array_equal(longer.metrics[name][:, :6], figures)
    assert from_dict(sweep_folder.read_spec(copy)) == spec(seeds=3, updates=8)
    at_once = sweep_folder.read(run(spec(updates=8), tmp_path / "at_once"))
    for name, figures in at_once.metrics.items():  # as if it had been asked for from the start
        np.testing.assert_array_equal(longer.metrics[name][:4], figures)


def test_title_and_objective_are_as_the_file_has_them_now(tmp_path, whole, monkeypatch):
    copy = a_copy(whole, tmp_path)
    monkeypatch.setattr(program, "compile_program", None)
    now = spec(title="A new title", objective="eval_return_player_1", higher_is_better=False)
    run(now, copy, resume=True)
    _, goal, _ = report_sweep(copy)
    assert goal == ("eval_return_player_1", False, 0.1, "iqm")
    assert "A new title" in (copy / "report.html").read_text("utf-8")
    with pytest.raises(ValueError, match=r"objective: .*did you mean 'eval_return_player_1'"):
        run(spec(objective="eval_return_player1"), copy, resume=True)


def test_a_finished_part_without_its_metrics_is_computed_again(tmp_path, whole):
    """What a purge of old files does; the state alone is not the result."""
    copy, said = a_copy(whole, tmp_path), []
    (copy / "part-000" / "metrics-000000.npz").unlink()
    (sentence,) = lost_metrics(copy, sweep_folder.read(copy))
    assert "expected metrics of 6 updates, got those of 0" in sentence
    assert lost_metrics(whole, sweep_folder.read(whole)) == []
    run(spec(), copy, True, listener(said))
    assert_same_results(copy, whole)
    assert any("going back to update 0" in text for text in said)


@pytest.mark.parametrize("what", ["metrics", "checkpoint"])
def test_what_is_damaged_is_computed_again_and_said(tmp_path, monkeypatch, whole, what):
    stopped_after(monkeypatch, 4, spec(), tmp_path / "x")
    part, said = tmp_path / "x" / "part-000", []
    files = {"metrics": "metrics-000002.npz", "checkpoint": "checkpoints/checkpoint-000004.npz"}
    harmed = part / files[what]
    harmed.write_bytes(harmed.read_bytes()[:-30])
    run(spec(), tmp_path / "x", True, listener(said))
    assert_same_results(tmp_path / "x", whole)
    assert any(str(harmed) in text for text in said)


def test_a_folder_that_is_written_is_refused_by_name(tmp_path, whole):
    copy = a_copy(whole, tmp_path)
    with lease.Lease(copy), pytest.raises(ValueError, match=r"out: .*process \d+ on .* since"):
        run(spec(), copy, resume=True)
    run(spec(), copy, resume=True)


def test_a_lost_lease_ends_the_work(tmp_path, monkeypatch):
    original = sweep_folder.write_segment

    def taken(*args):
        (tmp_path / "x" / "lease.json").write_text('{"pid": 1, "host": "elsewhere"}')
        return original(*args)

    monkeypatch.setattr(sweep_folder, "write_segment", taken)
    with pytest.raises(OSError, match="lost: process 1 on elsewhere has it"):
        run(spec(), tmp_path / "x")


def test_other_versions_are_said_and_recorded(tmp_path, monkeypatch):
    stopped_after(monkeypatch, 2, spec(), tmp_path / "x")
    facts, said = sweep_folder.host_facts(), []
    facts["versions"] = facts["versions"] | {"jax": "99.0"}
    monkeypatch.setattr(sweep_folder, "host_facts", lambda: facts | {"device": "1 x tea kettle"})
    run(spec(), tmp_path / "x", True, listener(said))
    assert any("jax was" in text and "is now 99.0" in text for text in said)
    assert any("device was" in text and "is now 1 x tea kettle" in text for text in said)
    (later,) = sweep_folder.read(tmp_path / "x").facts["later"]
    assert later["versions"]["jax"] == "99.0" and later["device"] == "1 x tea kettle"
    report_sweep(tmp_path / "x")
    assert "tea kettle" in (tmp_path / "x" / "report.html").read_text("utf-8")


def test_other_metrics_are_refused_before_a_row_is_written(tmp_path, monkeypatch):
    """What another version of a learner would do to a folder."""
    stopped_after(monkeypatch, 2, spec(), tmp_path / "x")
    file = tmp_path / "x" / "part-000" / "metrics-000000.npz"
    metrics, seconds = segments.read(file.parent)
    metrics["of_old"] = metrics.pop("finite")
    segments.write(file.parent, 0, segments.Segment(metrics, seconds))
    with pytest.raises(ValueError, match=r"part-000: .*'of_old'. are gone, .'finite'. are new"):
        run(spec(), tmp_path / "x", resume=True)
    assert [path.name for path in segments.files(file.parent)] == [file.name]


def test_a_full_disk_harms_nothing(tmp_path, monkeypatch, whole):
    original, count = atomic.os.fsync, []

    def full(descriptor):
        count.append(1)
        if len(count) == 15:
            raise OSError(28, "No space left on device")
        return original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            run(spec(), tmp_path / "x")
    assert not list((tmp_path / "x").rglob("*.tmp"))
    run(spec(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", whole)


@pytest.mark.fast("SIGUSR1")
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="a signal of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_scheduler_is_obeyed(tmp_path, monkeypatch, whole, name):
    number, original, said = getattr(signal, name), sweep_folder.write_segment, []

    def interrupted(*args):
        signal.raise_signal(number)
        signal.raise_signal(number)  # some send it again; one is enough
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_folder, "write_segment", interrupted)
        with pytest.raises(Stopped) as stopped:
            run(spec(checkpoint_seconds=1e6), tmp_path / "x", progress=listener(said))
    assert stopped.value.signal == number
    assert said == [f"asked to stop ({name}): stopping after this segment, when all is saved"]
    run(spec(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", whole)


def test_static_grids_become_parts(tmp_path):
    folder = run(
        spec(
            seeds=1,
            updates=2,
            grid={"config": {"rollout_length": [4, 8]}},
            config={},
            evaluation={},
        ),
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
