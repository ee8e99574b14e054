"""Halving on a sweep's folder: who is dropped, what stays on disk, and going on after crashes."""

import numpy as np
import pytest
from interrupted_sweeps import assert_same_results, crash_after, listener
from searches import RATES, halving

from jaxmarl_core.cli import main
from jaxmarl_core.report.sweep_report import report_sweep
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints, saved_steps
from jaxmarl_core.store.data import load_results
from jaxmarl_core.store.tables import Objective, table
from jaxmarl_core.sweeps import plan, worker
from jaxmarl_core.sweeps.saved_run import find_run
from jaxmarl_core.sweeps.search.rungs import total_updates
from jaxmarl_core.sweeps.sharing import run_with_workers, work
from jaxmarl_core.sweeps.spec import variants
from jaxmarl_core.sweeps.worker import Start, load_run_state, run


def by_rate(results):
    """Returns rate -> positions of its runs."""
    rates = np.array([run["hparams"]["learning_rate"] for run in results.runs])
    return {rate: np.flatnonzero(rates == rate) for rate in RATES}


def test_runs_learn_as_far_as_their_rungs_let_them(halved):
    results = sweep_folder.read(halved)
    assert [run["run"] for run in results.runs] == list(range(12))
    done = results.num_updates_done
    for runs in by_rate(results).values():  # seeds stay together
        assert len(set(done[runs].tolist())) == 1
    # three rates in each bracket, of which one goes on at its first rung, update 2 or 4
    assert sorted(done.tolist()) == [2] * 4 + [4] * 4 + [8] * 4
    np.testing.assert_array_equal(results.dropped_at, np.where(done < 8, done, -1))
    for values in results.metrics.values():  # every update that was computed is there
        np.testing.assert_array_equal(np.isfinite(values).sum(axis=1), done)


def test_the_best_of_each_rung_go_on_by_an_independent_count(halved):
    results = sweep_folder.read(halved)
    returns = results.metrics["episode_return_player_0"]
    rungs = results.search["rungs"]
    assert sorted((x["bracket"], x["update"]) for x in rungs) == [(0, 2), (0, 4), (1, 4)]
    for rung in rungs:
        last = [[returns[run, rung["update"] - 1] for run in runs] for runs in rung["runs"]]
        figures = [float(np.mean(values)) for values in last]  # a tenth of few updates is the last
        np.testing.assert_allclose(rung["figures"], figures, rtol=1e-6)
        worst_kept = min(x for x, kept in zip(figures, rung["kept"]) if kept)
        dropped = [x for x, kept in zip(figures, rung["kept"]) if not kept]
        assert worst_kept >= max(dropped, default=-np.inf)
        assert sum(rung["kept"]) == max(1, len(figures) // 2)


def test_what_was_dropped_is_marked_and_never_ranked_before_what_was_not(halved):
    results = sweep_folder.read(halved)
    rows = table(results, Objective("episode_return_player_0"))
    status = [row["status"] for row in rows]
    assert status == ["ok"] * 2 + ["dropped at update 4"] * 2 + ["dropped at update 2"] * 2
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    states = load_results(halved).runs["state"]
    assert states.tolist().count("dropped") == 8 and states.tolist().count("done") == 4
    best = find_run(results, halving(), "best")
    assert results.dropped_at[best] == -1


def test_every_run_can_be_loaded_as_it_was_left(halved):
    results = sweep_folder.read(halved)
    for position in (np.argmin(results.num_updates_done), np.argmax(results.num_updates_done)):
        _, state = load_run_state(halved, int(position))
        assert np.isfinite(state.params.tables["player_0"].q).all()
    for folder in sweep_folder.part_folders(halved):
        (entry,) = [
            e for e in sweep_folder.read_plan(halved)["parts"] if e["folder"] == folder.name
        ]
        assert saved_steps(folder / "checkpoints")[-1] == entry["stage"]["end"]


def test_survivors_go_on_as_if_nobody_had_been_dropped(tmp_path, halved):
    """Learning does not depend on who learns beside one, but for the last bits."""
    full = sweep_folder.read(run(halving(search={}), tmp_path / "full"))
    results = sweep_folder.read(halved)
    same = [
        np.allclose(values[run, :done], full.metrics[name][run, :done], rtol=1e-4)
        for name, values in results.metrics.items()
        for run, done in enumerate(results.num_updates_done)
    ]
    assert np.mean(same) > 0.9


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (sweep_folder, "write_segment", 2),
        (Checkpoints, "save", 2),  # the first of a rung's new parts
        (Checkpoints, "save", 3),
        (plan, "write", 1),  # decided, and nothing tidied up
        (plan, "write", 2),
    ],
)
def test_goes_on_bit_for_bit_after_a_crash_at_a_rung(
    tmp_path, monkeypatch, halved, owner, name, calls
):
    with monkeypatch.context() as patch:
        crash_after(patch, owner, name, calls)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            run(halving(), tmp_path / "x")
    run(halving(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", halved)
    ours, theirs = (sweep_folder.read(folder).search for folder in (tmp_path / "x", halved))
    assert ours == theirs


def test_a_damaged_checkpoint_at_a_rung_is_computed_again(tmp_path, monkeypatch, halved):
    said, broken = [], []
    original = worker.next_stage

    def harmed(spec, out, parts, *rest):
        if not broken:
            path = parts[0].folder / "checkpoints" / "checkpoint-000002.npz"
            path.write_bytes(path.read_bytes()[:-30])
            broken.append(path)
        return original(spec, out, parts, *rest)

    monkeypatch.setattr(worker, "next_stage", harmed)
    run(halving(), tmp_path / "x", progress=listener(said))
    assert_same_results(tmp_path / "x", halved)
    assert any("going back to the checkpoint before it" in text for text in said)


def test_resuming_what_is_finished_changes_nothing(halved):
    before = {p: p.stat().st_mtime_ns for p in halved.rglob("*.npz")}
    plan_before = (halved / "plan.json").read_text()
    run(halving(), halved, resume=True)
    assert {p: p.stat().st_mtime_ns for p in halved.rglob("*.npz")} == before
    assert (halved / "plan.json").read_text() == plan_before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 3}, "seeds: expected 2"),
        ({"updates": 16}, "updates: expected 8"),
        ({"last": 0.5}, "last: expected 0.1"),
        ({"objective": "episode_return_player_1"}, "objective: expected ''"),
        ({"search": {"kind": "halving", "min_updates": 4}}, "search: expected"),
    ],
)
def test_what_was_decided_by_stays(halved, changes, message):
    with pytest.raises(ValueError, match=message):
        run(halving(**changes), halved, resume=True)


def test_several_processes_are_refused(tmp_path, halved):
    with pytest.raises(ValueError, match=r"search: expected a spec without .search., or one proc"):
        work(halved)
    with pytest.raises(ValueError, match=r"my.toml: search: expected .*--workers.* got 'halving'"):
        start = Start(halving(), tmp_path / "x", source="my.toml")
        run_with_workers(start, 2, lambda folder: [], lambda number: {})
    assert not (tmp_path / "x").exists()


def test_worlds_are_searched_each_by_itself(tmp_path):
    grid = {"hparams": {"learning_rate": RATES[:2]}, "environment_options": {"num_rounds": [3, 30]}}
    search = {"kind": "halving", "min_updates": 2, "eta": 2}
    options = {"grid": grid, "search": search, "updates": 4, "environment_options": {}, "seeds": 1}
    results = sweep_folder.read(run(halving(**options), tmp_path / "x"))
    kept = [
        run["static"]["num_rounds"] for run, at in zip(results.runs, results.dropped_at) if at < 0
    ]
    assert sorted(kept) == [3, 30]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "halvin", "min_updates": 2}, "search.kind: .* did you mean 'halving'"),
        ({"min_updates": 2}, "search.kind: expected one of .*, got nothing"),
        ({"kind": "halving"}, "search.min_updates: expected a value, got nothing"),
        ({"kind": "halving", "min_update": 2}, "search: .* did you mean 'min_updates'"),
        ({"kind": "halving", "min_updates": True}, "search.min_updates: expected int, got True"),
        ({"kind": "halving", "min_updates": 8}, "search.min_updates: expected less than"),
        ({"kind": "halving", "min_updates": 2, "brackets": 9}, "search.brackets: expected at most"),
    ],
)
def test_a_wrong_table_is_told_before_anything_is_compiled(table, message):
    with pytest.raises((ValueError, TypeError), match=message):
        halving(search=table)


def test_the_page_says_what_was_decided_and_the_costs_are_planned(halved, tmp_path, capsys):
    results, _, _ = report_sweep(halved)
    text = (halved / "report.html").read_text("utf-8")
    assert "<h2>Halving</h2>" in text and "8 runs of 12 stopped at a rung" in text
    assert "dropped at update 2" in text and "dropped at update 4" in (
        halved / "results.csv"
    ).read_text("utf-8")
    # 4 runs of 2, 4 of 4 and 4 of 8 updates; 12 of 8 in full
    assert "58 % of what all runs to the end would take" in text
    (variant,) = variants(halving())
    assert total_updates(halving(), [variant]) == 4 * 2 + 4 * 4 + 4 * 8
    assert results.num_updates_done.sum() == 56
    spec = tmp_path / "dry.toml"
    spec.write_text(
        'algorithm = "q_learning"\nenvironment = "matrix_game"\nseeds = 2\nupdates = 8\n'
        "[grid.hparams]\nlearning_rate = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]\n"
        '[search]\nkind = "halving"\nmin_updates = 2\neta = 2\nbrackets = 2\n'
    )
    main(["sweep", str(spec), "--dry-run"])
    said = " ".join(capsys.readouterr().out.split())
    assert "12 runs of 6 configurations, 1 program, 56 updates" in said
    assert "58 % of the" in said and "0 to 2" in said and "4 to 8" in said
    assert not (tmp_path / "runs").exists()
