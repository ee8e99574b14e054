"""Populations on a sweep's folder: what was changed is saved, and changed again after a crash."""

import jax
import numpy as np
import pytest
from interrupted_sweeps import a_copy, assert_same_results, crash_after, listener
from searches import population

from jaxmarl_core.report.search_section import lineages
from jaxmarl_core.report.sweep_report import report_sweep
from jaxmarl_core.store import schedule, sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints, read_leaves
from jaxmarl_core.store.tables import Objective
from jaxmarl_core.sweeps import worker
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.search.generations import whole_populations
from jaxmarl_core.sweeps.worker import run

GOAL = Objective("episode_return_player_0")
PART = "part-000"


def assert_same_schedules(folder, other):
    ours, theirs = (schedule.read(path / PART) for path in (folder, other))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_the_schedule_says_who_copied_whom_by_what_was_measured(evolved):
    results = sweep_folder.read(evolved)
    ((numbers, found),) = results.schedules
    assert found.updates.tolist() == [4, 8, 12]
    returns = results.metrics[GOAL.metric][numbers]
    seeds = np.array([results.runs[number]["seed"] for number in numbers])
    assert seeds.tolist() == [7] * 5 + [8] * 5  # a population after another
    for update, parents, figures in zip(found.updates, found.parents, found.figures):
        last = returns[:, update - 1]  # a tenth of an interval of four is its last update
        np.testing.assert_allclose(figures, last, rtol=1e-6)
        for own in (np.arange(5), np.arange(5, 10)):
            copied = own[parents[own] != own]
            assert len(copied) == 1 and last[copied[0]] == last[own].min()
            assert last[parents[copied[0]]] == last[own].max()  # of five one is the top
    rates = found.hparams["learning_rate"]
    assert ((rates >= np.float32(0.01)) & (rates <= np.float32(0.9))).all()
    began = np.array([results.runs[n]["hparams"]["learning_rate"] for n in numbers], np.float32)
    now = np.concatenate([began[None], rates])
    stayed = found.parents == np.arange(10)
    np.testing.assert_array_equal(now[1:][stayed], now[:-1][stayed])


def test_the_state_is_copied_too(tmp_path, monkeypatch):
    """Of runs that learn nothing more after a copy, two have the same tables."""
    frozen = {"num": 3, "learning_rate": {"kind": "choice", "values": [0.0, 0.5]}}
    spec = population(random=frozen, updates=4, search={"kind": "population", "every": 2})
    crash_after(monkeypatch, Checkpoints, "save", 0)  # as the first generation is saved
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(spec, tmp_path / "x")
    found = schedule.read(tmp_path / "x" / PART)
    tables = read_leaves(tmp_path / "x" / PART / "checkpoints", 2)["params.tables.player_0.q"]
    (parents,) = found.parents
    assert (parents != np.arange(6)).any()
    np.testing.assert_array_equal(tables, tables[parents])


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (sweep_folder, "write_segment", 1),  # measured, and nothing changed
        (schedule, "write", 0),  # changed and written, not saved
        (schedule, "write", 1),
        (Checkpoints, "save", 3),
        (sweep_folder, "write_segment", 4),  # within an interval
    ],
)
def test_goes_on_bit_for_bit_after_a_crash(tmp_path, monkeypatch, evolved, owner, name, calls):
    with monkeypatch.context() as patch:
        crash_after(patch, owner, name, calls)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            run(population(), tmp_path / "x")
    run(population(), tmp_path / "x", resume=True)
    assert_same_results(tmp_path / "x", evolved)
    assert_same_schedules(tmp_path / "x", evolved)


def test_a_damaged_schedule_is_computed_again(tmp_path, evolved):
    copy, said = a_copy(evolved, tmp_path), []
    path = copy / PART / schedule.FILE
    path.write_bytes(path.read_bytes()[:-20])
    run(population(), copy, True, listener(said))
    assert_same_results(copy, evolved)
    assert_same_schedules(copy, evolved)
    assert any("the part is computed again" in text for text in said)
    assert path.with_name("schedule.npz.damaged").exists()


def test_devices_hold_filling_that_is_nobodys_parent(tmp_path, evolved):
    """Ten runs on four devices: two of twelve are copies of the last."""
    narrow = run(population(), tmp_path / "x", mesh=run_mesh(jax.devices()[:4]))
    found = schedule.read(narrow / PART)
    assert found.parents.shape == (3, 10) and found.parents.max() < 10
    one = run(population(), tmp_path / "y", mesh=run_mesh(jax.devices()[:1]))
    same = schedule.read(one / PART).parents == found.parents
    assert same[0].all()  # later ones hang on last bits


def test_a_lost_member_comes_back_as_another(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxmarl_core.hparams.check", lambda table: None)
    monkeypatch.setattr(
        "jaxmarl_core.sweeps.draws.Choice.quantile",
        lambda self, point: np.float32(self.values)[np.arange(len(point)) % 2],
    )
    wild = {"num": 4, "learning_rate": {"kind": "choice", "values": [0.1, 1.0]}}
    search = {"kind": "population", "every": 4, "resample": 0.0, "fraction": 0.5, "factors": [1.0]}
    monkeypatch.setattr("jaxmarl_core.sweeps.draws.Choice.perturbed", lambda self, value, *_: value)
    original = worker.first_divergence

    def harmed(metrics):  # as if the second and fourth members were lost in the first interval
        found = original(metrics)
        found[[1, 3]] = np.where(len(schedules) == 0, 0, found[[1, 3]])
        return found

    schedules = []
    write = schedule.write
    monkeypatch.setattr(schedule, "write", lambda *a: (schedules.append(a), write(*a)))
    monkeypatch.setattr(worker, "first_divergence", harmed)
    folder = run(population(random=wild, search=search, seeds=1), tmp_path / "x")
    found = schedule.read(folder / PART)
    assert np.isnan(found.figures[0][[1, 3]]).all()
    assert set(found.parents[0][[1, 3]].tolist()) <= {0, 2}
    assert np.isfinite(found.figures[1]).all()


def test_the_page_draws_what_was_found(evolved):
    results, goal, _ = report_sweep(evolved)
    text = (evolved / "report.html").read_text("utf-8")
    assert "<h2>Populations</h2>" in text and "Schedules of learning_rate" in text
    found = lineages(results, goal)
    assert [one.seed for one in found] == [7, 8]
    for one in found:
        assert one.members[one.line[-1]] == one.best and len(one.line) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"random": {}}, "random: expected the numbers that a population explores, got nothing"),
        ({"search": {"kind": "population", "every": 5}}, "search.every: expected a divisor"),
        ({"search": {"kind": "population"}}, "search.every: expected a value, got nothing"),
        (
            {"search": {"kind": "population", "every": 4, "fraction": "all"}},
            "search.fraction: expected float, got 'all'",
        ),
        ({"random": {"num": 1, "learning_rate": [0.1, 0.2]}}, "search: expected at least 2 memb"),
    ],
)
def test_wrong_specs_leave_no_folder(tmp_path, changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(population(**changes), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_parts_are_whole_populations():
    assert [whole_populations(num, 5, "part-000") for num in (5, 9, 10, 24)] == [5, 5, 10, 20]
    with pytest.raises(ValueError, match="memory_gb: expected what the 5 members of a population"):
        whole_populations(4, 5, "part-000")
