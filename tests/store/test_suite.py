"""Suites: who is on which task, on which scale, and what marl-eval makes of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxmarl_core.store import suite as suites
from jaxmarl_core.store.suite import Sweep, collect
from jaxmarl_core.store.tables import Objective, Results

GOAL = Objective("eval_return")
FIELDS = ("metrics", "num_updates_done", "diverged_at")
REFERENCE = Path(__file__).parents[1] / "reference" / "marl_eval.json"


def sweep(algorithm, environment, curves, goal=GOAL, options=None, steps=10, **more):
    """A sweep of one configuration whose runs measured these curves, [R, U]."""
    curves = np.asarray(curves, np.float32)
    num, length = curves.shape
    runs = [
        {"run": i, "seed": i, "hparams": {}, "static": {}, "env_steps_per_update": steps}
        for i in range(num)
    ]
    spec = {
        "algorithm": algorithm,
        "environment": environment,
        "environment_options": options or {},
    }
    results = Results(runs, {goal.metric: curves}, np.full(num, length), np.full(num, -1), spec)
    return Sweep(algorithm, results, goal, f"runs/{algorithm}_{environment}")._replace(**more)


def drawn(seed, shift=0.0, num=4, length=30):
    """Curves that rise from 0 to 10 + shift, with noise of 1; the last tenth is at the top."""
    rise = np.clip(np.linspace(0, 1.2, length), 0, 1) * (10 + shift)
    return rise + np.random.default_rng(seed).normal(size=(num, length))


def two_by_two():
    """Two algorithms on two tasks, the first better by 3 on both."""
    return collect([
        sweep("a", "spread", drawn(0, 3)),
        sweep("b", "spread", drawn(1)),
        sweep("b", "tag", 10 * drawn(2)),
        sweep("a", "tag", 10 * drawn(3, 3)),
    ])  # fmt: skip


def test_scores_lie_between_the_worst_and_the_best_of_a_task():
    suite = two_by_two()
    assert (suite.algorithms, suite.tasks) == (["a", "b"], ["spread", "tag"])
    bounds = suite.bounds["spread"]
    seen = np.concatenate([drawn(0, 3), drawn(1)]).astype(np.float32)
    np.testing.assert_allclose((bounds.worst, bounds.best), (seen.min(), seen.max()), rtol=1e-6)
    entry = suite.entries["a", "spread"]
    np.testing.assert_allclose(entry.figures, drawn(0, 3)[:, -3:].mean(1), rtol=1e-5)
    wanted = (entry.figures - bounds.worst) / (bounds.best - bounds.worst)
    np.testing.assert_allclose(entry.scores, wanted)
    assert not bounds.told


def test_bounds_may_be_told_and_less_may_be_better():
    cost = Objective("cost", higher_is_better=False)
    sweeps = [
        sweep("a", "lq", [[5.0, 3.0], [5.0, 2.0]], cost),
        sweep("b", "lq", [[5.0, 5.0]], cost),
    ]
    found = collect(sweeps, {"lq": (6.0, 1.0)})
    np.testing.assert_allclose(found.entries["a", "lq"].scores, [3 / 5, 4 / 5])
    np.testing.assert_allclose(found.entries["b", "lq"].scores, [1 / 5])
    np.testing.assert_allclose(collect(sweeps).entries["a", "lq"].scores, [2 / 3, 1])
    for wrong in ((1.0, 6.0), (2.0, 2.0), (np.inf, 0.0)):
        with pytest.raises(ValueError, match="bounds of lq: expected finite ones, what is 0 above"):
            collect(sweeps, {"lq": wrong})
    with pytest.raises(ValueError, match="bounds: expected one of lq; got 'lw'"):
        collect(sweeps, {"lw": (1.0, 0.0)})


def test_tasks_are_told_apart_by_the_options_that_vary():
    sweeps = [
        sweep("a", "matrix_game", drawn(0), options={"name": "chicken", "num_rounds": 3}),
        sweep("a", "matrix_game", drawn(1), options={"name": "climbing", "num_rounds": 3}),
        sweep("a", "tag", drawn(2)),
    ]
    tasks = ["matrix_game (name chicken)", "matrix_game (name climbing)", "tag"]
    assert collect(sweeps).tasks == tasks


def test_a_sweep_over_worlds_is_several_tasks():
    one = sweep("a", "matrix_game", drawn(0))
    runs = [
        record | {"static": {"name": name}}
        for record, name in zip(one.results.runs, ("chicken", "climbing", "chicken", "climbing"))
    ]
    spec = one.results.spec | {"grid": {"environment_options": {"name": ["chicken", "climbing"]}}}
    results = Results(runs, *(getattr(one.results, x) for x in FIELDS), spec=spec)
    found = collect([one._replace(results=results)])
    assert found.tasks == ["matrix_game (name chicken)", "matrix_game (name climbing)"]
    assert found.entries["a", found.tasks[1]].seeds == [1, 3]


def test_a_diverged_run_is_left_out_and_counted():
    one = sweep("a", "spread", drawn(0))
    one.results.diverged_at[2] = 5
    entry = collect([one, sweep("b", "spread", drawn(1))]).entries["a", "spread"]
    assert (entry.seeds, entry.num_diverged, len(entry.scores)) == ([0, 1, 3], 1, 3)
    one.results.diverged_at[:] = 5
    with pytest.raises(ValueError, match="runs/a_spread: expected a run with a figure, got 4"):
        collect([one])


def test_what_is_no_suite_is_refused_by_name():
    with pytest.raises(ValueError, match="folders: expected a sweep of b on tag, got none"):
        collect([sweep("a", "spread", drawn(0)), sweep("b", "spread", drawn(1)),
                 sweep("a", "tag", drawn(2))])  # fmt: skip
    twice = sweep("a", "tag", drawn(0))
    with pytest.raises(ValueError, match=r"LABEL=FOLDER; got a on tag in runs/a_tag and in other"):
        collect([twice, twice._replace(source="other")])
    with pytest.raises(
        ValueError, match=r"metric: expected eval_return \(more is better\), as runs/a_tag"
    ):
        collect([twice, sweep("b", "tag", drawn(1), Objective("win"))])
    with pytest.raises(ValueError, match=r"got eval_return \(less is better\) in runs/b_tag"):
        collect([twice, sweep("b", "tag", drawn(1), Objective("eval_return", False))])
    with pytest.raises(
        ValueError, match="runs/a_tag: metric: expected one of eval_return; got 'w'"
    ):
        collect([twice._replace(objective=Objective("w"))])
    with pytest.raises(ValueError, match="bounds of tag: expected to be told, as all runs"):
        collect([sweep("a", "tag", np.ones((2, 3)))])


def test_what_is_better_comes_out_better():
    suite = two_by_two()
    found = suites.estimates(suite)
    assert found["a"]["iqm"].low > found["b"]["iqm"].high
    assert found["a"]["optimality_gap"].value < found["b"]["optimality_gap"].value
    chance = suites.improvements(suite)
    np.testing.assert_allclose(chance["a", "b"].value + chance["b", "a"].value, 1)
    assert chance["a", "b"].value > 0.95
    profile = suites.profiles(suite, np.array([-1.0, 0.5, 2.0]))
    np.testing.assert_array_equal(profile["a"].value[[0, 2]], [1, 0])


def test_curves_are_compared_at_equal_env_steps():
    """One plays 2 updates of 10 steps, the other 4 of 5: both 20 steps; each rises in a line."""
    sweeps = [
        sweep("a", "tag", [[10.0, 20.0]], steps=10),
        sweep("b", "tag", [[5.0, 10.0, 15.0, 20.0]], steps=5),
    ]
    suite = collect(sweeps, {"tag": (0.0, 20.0)})
    assert suites.shared_budget(suite, "tag") == 20
    found = suites.efficiency(suite, np.array([0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(found["a"].value, [0.5, 0.5, 0.75, 1])  # nothing before step 10
    np.testing.assert_allclose(found["b"].value, [0.25, 0.5, 0.75, 1])


def three_by_three():
    """Three algorithms, not far apart, on three tasks of other scales, five runs each."""
    shifts = {"a": 0.6, "b": 0.0, "c": -0.4}
    return collect([
        sweep(name, task, scale * drawn(10 * i + j, shift, num=5))
        for i, (name, shift) in enumerate(shifts.items())
        for j, (task, scale) in enumerate({"spread": 1.0, "tag": 10.0, "crypto": -0.1}.items())
    ])  # fmt: skip


def test_marl_eval_finds_the_same_on_what_is_exported():
    """Its own figures of this export, and rliable's of what it makes of it: recorded from both."""
    suite, recorded = three_by_three(), json.loads(REFERENCE.read_text())
    for algorithm, matrix in recorded["scores"].items():  # [runs, tasks]
        np.testing.assert_allclose(np.stack(suite.scores(algorithm), 1), matrix, rtol=1e-6)
    found = suites.estimates(suite)
    for algorithm, figures in recorded["aggregates"].items():
        for name, (value, low, high) in figures.items():
            ours = found[algorithm][name]
            np.testing.assert_allclose(ours.value, value, rtol=1e-6)
            # ends of two bootstraps, of 2,000 and 20,000 draws
            np.testing.assert_allclose((ours.low, ours.high), (low, high), atol=0.1 * (high - low))
    chances = suites.improvements(suite)
    for pair, (value, low, high) in recorded["improvement"].items():
        ours = chances[tuple(pair.split(" over "))]
        np.testing.assert_allclose(ours.value, value, rtol=1e-6)
        # of 25 pairs of runs on 3 tasks: they move in steps of 1/75, here two at most
        np.testing.assert_allclose((ours.low, ours.high), (low, high), atol=2.01 / 75)
    profiles = suites.profiles(suite, np.array(recorded["thresholds"]))
    for algorithm, shares in recorded["profile"].items():
        np.testing.assert_allclose(profiles[algorithm].value, shares)


def test_what_is_exported_has_as_many_steps_for_all():
    suite = collect([sweep("a", "tag", drawn(0, length=7)), sweep("b", "tag", drawn(1))])
    exported = suites.marl_eval(suite, most_steps=5)["jaxmarl_core"]["tag"]
    assert list(exported) == ["a", "b"] and list(exported["a"]) == [f"seed_{i}" for i in range(4)]
    for name in ("a", "b"):
        run = exported[name]["seed_2"]
        assert list(run) == [
            *(f"step_{i}" for i in range(5)),
            "absolute_metrics",
        ]  # it reads the last
        # all have played 70 env steps; updates are of 10
        assert [run[f"step_{k}"]["step_count"] for k in range(5)] == [14, 28, 42, 56, 70]
        values = suite.entries[name, "tag"].values[2]
        assert run["step_4"]["eval_return"] == pytest.approx([float(values[6])])
        between = 0.6 * values[0] + 0.4 * values[1]  # 14 steps: between 10 and 20
        assert run["step_0"]["eval_return"] == pytest.approx([float(between)])
    assert suites.unequal_budgets(suite) == ["tag"]


def test_whom_learners_met_where_they_were_measured_is_the_same():
    def against(name, evaluated, trained=None, metric="eval_return"):
        one = sweep(name, "tag", drawn(0), Objective(metric))
        told = {"evaluation": {"opponents": evaluated}, "opponents": trained or {}}
        return one._replace(results=replace(one.results, spec=one.results.spec | told))

    collect([against("a", {"blue": "random"}, {"blue": "self"}), against("b", {"blue": "random"})])
    with pytest.raises(
        ValueError, match=r"folders: expected opponents .*random.*, got .*runs/b_tag"
    ):
        collect([against("a", {"blue": "random"}), against("b", {})])
    with pytest.raises(ValueError, match=r"folders: expected opponents .*self.*, as runs/a_tag"):
        collect([against("a", {}, {"blue": "self"}, "win"), against("b", {}, {}, "win")])


def test_less_is_better_is_exported_with_its_sign_turned():
    cost = Objective("cost", higher_is_better=False)
    suite = collect([sweep("a", "lq", [[5.0, 3.0], [5.0, 2.0]], cost)])
    run = suites.marl_eval(suite)["jaxmarl_core"]["lq"]["a"]["seed_1"]
    assert run["absolute_metrics"] == {"cost": [-2.0]} and run["step_0"]["cost"] == [-5.0]
