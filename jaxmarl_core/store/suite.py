"""Many sweeps as one answer: which algorithm is better over a suite of tasks, and how sure that is.

A sweep is an algorithm on a task; a suite has every algorithm on every task. Each sweep brings the
runs of its best configuration. Their figures are normalised by task, 0 to 1, so that tasks can be
averaged (`functional.aggregates`): between bounds that are told, or else between the worst and the
best that any of these runs measured at any time, as marl-eval does (Gorsane et al., 2022,
arXiv:2209.10485).
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional import aggregates
from jaxmarl_core.functional.aggregates import Estimate
from jaxmarl_core.store.comparison import best_only, only
from jaxmarl_core.store.data import env_steps
from jaxmarl_core.store.tables import Objective, Results, configurations, final, key_of

NUM_RESAMPLES_OF_CURVES = 500  # there is an interval at every point


Estimates = dict[str, dict[str, Estimate]]  # algorithm -> name of an aggregate -> what it is


class Sweep(NamedTuple):
    """A sweep that is to be part of a suite."""

    algorithm: str  # what it is called
    results: Results
    objective: Objective
    source: str  # its folder, for messages


class Bounds(NamedTuple):
    """What is 0 and what is 1 of a task."""

    worst: float
    best: float
    told: bool  # by the user; else found in the runs


class Entry(NamedTuple):
    """An algorithm on a task: the runs of its best configuration that did not diverge."""

    figures: np.ndarray  # [S] f64, as measured
    scores: np.ndarray  # [S], normalised
    seeds: list[int]  # [S]
    steps: list[np.ndarray]  # run -> [E] env steps, at which its objective was measured
    values: list[np.ndarray]  # run -> [E], what it was
    seconds: float  # of computing, of the whole sweep
    num_tried: int  # configurations of the sweep
    num_diverged: int  # of the best one's runs
    source: str


class Suite(NamedTuple):
    """All algorithms on all tasks, in the order in which they were given."""

    algorithms: list[str]
    tasks: list[str]
    entries: dict[tuple[str, str], Entry]  # (algorithm, task)
    objectives: dict[str, Objective]  # task
    bounds: dict[str, Bounds]  # task

    def scores(self, algorithm: str) -> list[np.ndarray]:
        """Returns an algorithm's normalised figures, task -> [S]."""
        return [self.entries[algorithm, task].scores for task in self.tasks]


def collect(
    sweeps: Sequence[Sweep], bounds: Mapping[str, tuple[float, float]] | None = None
) -> Suite:
    """Returns the suite that some sweeps make.

    A task is called by its environment, and by those of its options in which the sweeps differ.

    Args:
      sweeps: at least one; each algorithm once on each task.
      bounds: task -> what is worth 0 and what is worth 1; found in the runs for tasks not named.

    Raises:
      ValueError: an algorithm is missing on a task, or there twice; a task is measured by two
        objectives; no run of a sweep has a figure; bounds that are not finite, equal, the wrong way
        round, or of no task.
    """
    require(len(sweeps) > 0, "folders", "at least one sweep", "none")
    sweeps = [one for sweep in sweeps for one in by_world(sweep)]
    names = task_names([sweep.results.spec for sweep in sweeps])
    algorithms = list(dict.fromkeys(sweep.algorithm for sweep in sweeps))
    tasks = list(dict.fromkeys(names))
    found = _by_place(sweeps, names)
    for place in itertools.product(algorithms, tasks):
        require(place in found, "folders", f"a sweep of {place[0]} on {place[1]}", "none")
    told = dict(bounds or {})
    for name in told:
        if name not in tasks:
            raise ValueError(unknown("bounds", name, tasks))
    entries, objectives, limits = {}, {}, {}
    for task in tasks:
        of_task = {name: found[name, task] for name in algorithms}
        objectives[task] = _one_objective(task, of_task.values())
        runs = {name: _entry(sweep) for name, sweep in of_task.items()}
        higher = objectives[task].higher_is_better
        limits[task] = _bounds(task, told.get(task), runs.values(), higher)
        for name, entry in runs.items():
            scores = normalised(entry.figures, limits[task])
            entries[name, task] = entry._replace(scores=scores)
    return Suite(algorithms, tasks, entries, objectives, limits)


def by_world(sweep: Sweep) -> list[Sweep]:
    """Returns a sweep as one for each choice of environment options that it was told to try."""
    results = sweep.results
    grid = dict(results.spec.get("grid", {}))
    swept = grid.pop("environment_options", {})
    if not swept:
        return [sweep]
    own = [{name: run["static"][name] for name in swept} for run in results.runs]
    found = []
    for choice in {key_of(options): options for options in own}.values():
        runs = np.flatnonzero([key_of(options) == key_of(choice) for options in own])
        told = {**results.spec.get("environment_options", {}), **choice}
        spec = {**results.spec, "grid": grid, "environment_options": told}
        part = replace(only(results, runs), spec=spec)
        found.append(sweep._replace(results=part))
    return found


def task_names(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what the task of each spec is called: its world, and the options that vary."""
    options = [spec.get("environment_options", {}) for spec in specs]
    names = []
    for spec, own in zip(specs, options):
        world = spec.get("environment", "")
        peers = [x for other, x in zip(specs, options) if other.get("environment", "") == world]
        keys = dict.fromkeys(key for x in peers for key in x)
        varying = [key for key in keys if len({key_of(x.get(key)) for x in peers}) > 1]
        told = ", ".join(f"{key} {own[key]}" for key in varying if key in own)
        names.append(f"{world} ({told})" if told else str(world))
    return names


def normalised(values: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Returns values on the scale on which the bounds are 0 and 1."""
    return (np.asarray(values, np.float64) - bounds.worst) / (bounds.best - bounds.worst)


def _by_place(sweeps: Sequence[Sweep], names: Sequence[str]) -> dict[tuple[str, str], Sweep]:
    found: dict[tuple[str, str], Sweep] = {}
    for sweep, task in zip(sweeps, names):
        place = sweep.algorithm, task
        if place in found:
            raise ValueError(
                f"folders: expected each algorithm once on each task, or names of one's own, "
                f"LABEL=FOLDER; got {sweep.algorithm} on {task} in {found[place].source} and in "
                f"{sweep.source}"
            )
        found[place] = sweep
    return found


def _one_objective(task: str, sweeps: Iterable[Sweep]) -> Objective:
    """Returns what all sweeps of a task are measured by."""
    sweeps = list(sweeps)
    first = sweeps[0].objective
    for sweep in sweeps:
        expected = f"{_told(first)}, as {sweeps[0].source} on {task} is measured by"
        same = sweep.objective[:2] == first[:2]
        require(same, "metric", expected, f"{_told(sweep.objective)} in {sweep.source}")
        met, wanted = (_opponents(x) for x in (sweep, sweeps[0]))
        expected = f"opponents {wanted}, as {sweeps[0].source} on {task} has"
        require(met == wanted, "folders", expected, f"{met} in {sweep.source}")
    return first


def _told(goal: Objective) -> str:
    return f"{goal.metric} ({'more' if goal.higher_is_better else 'less'} is better)"


def _opponents(sweep: Sweep) -> Any:
    """Returns whom the learner met where it was measured, as JSON."""
    spec = sweep.results.spec
    of_evaluation = spec.get("evaluation", {}).get("opponents")
    return key_of((of_evaluation if sweep.objective.metric.startswith("eval_") else None)
                  or spec.get("opponents") or {})  # fmt: skip


def _entry(sweep: Sweep) -> Entry:
    """Returns what a sweep brings, its scores not yet normalised."""
    goal = sweep.objective
    if goal.metric not in sweep.results.metrics:
        raise ValueError(f"{sweep.source}: {unknown('metric', goal.metric, sweep.results.metrics)}")
    best = best_only(sweep.results, goal)
    figures, played = final(best, goal), env_steps(best)
    valued = np.flatnonzero(~np.isnan(figures)).tolist()
    got = f"{len(best.runs)} that diverged or measured nothing"
    require(len(valued) > 0, sweep.source, "a run with a figure", got)
    measured = np.asarray(best.metrics[goal.metric], np.float64)
    updates = [np.flatnonzero(~np.isnan(measured[run])) for run in valued]
    return Entry(
        figures[valued],
        figures[valued],
        [best.runs[run]["seed"] for run in valued],
        [played[run, own + 1] for run, own in zip(valued, updates)],
        [measured[run, own] for run, own in zip(valued, updates)],
        sweep.results.seconds,
        len(configurations(sweep.results)),
        int(np.sum(best.diverged_at >= 0)),
        sweep.source,
    )


def _bounds(
    task: str, told: tuple[float, float] | None, entries: Iterable[Entry], higher_is_better: bool
) -> Bounds:
    if told is not None:
        worst, best = told
        fits = bool(np.isfinite(told).all()) and worst != best
        fits &= (worst < best) == higher_is_better
        order = "below" if higher_is_better else "above"
        require(fits, f"bounds of {task}", f"finite ones, what is 0 {order} what is 1", told)
        return Bounds(float(worst), float(best), True)
    seen = np.concatenate([x for entry in entries for x in (entry.figures, *entry.values)])
    low, high = float(seen.min()), float(seen.max())
    require(low < high, f"bounds of {task}", "to be told, as all runs measured the same", low)
    return Bounds(low, high, False) if higher_is_better else Bounds(high, low, False)


def unequal_budgets(suite: Suite) -> list[str]:
    """Returns the tasks of which some algorithm has played over 1 % more env steps than another."""
    found = []
    for task in suite.tasks:
        entries = [suite.entries[algorithm, task] for algorithm in suite.algorithms]
        ends = [float(steps[-1]) for entry in entries for steps in entry.steps]
        if max(ends) > 1.01 * min(ends):
            found.append(task)
    return found


# ---- answers


def estimates(suite: Suite) -> Estimates:
    """Returns algorithm -> name of an aggregate -> what it is, with its 95 % interval."""
    interval = aggregates.stratified_interval
    return {
        algorithm: {
            name: interval(statistic, suite.scores(algorithm))
            for name, statistic in aggregates.AGGREGATES.items()
        }
        for algorithm in suite.algorithms
    }


def improvements(suite: Suite) -> dict[tuple[str, str], Estimate]:
    """Returns (algorithm, other) -> the chance that the first one's run is better."""
    interval = aggregates.stratified_interval
    return {
        (ours, theirs): interval(
            aggregates.probability_of_improvement, suite.scores(ours), suite.scores(theirs)
        )
        for ours, theirs in itertools.permutations(suite.algorithms, 2)
    }


def profiles(suite: Suite, thresholds: np.ndarray) -> dict[str, Estimate]:
    """Returns algorithm -> the share of its runs above each threshold [P]."""

    def share(scores: aggregates.Scores) -> np.ndarray:
        return aggregates.performance_profile(scores, thresholds)

    return {
        algorithm: aggregates.stratified_interval(
            share, suite.scores(algorithm), num_resamples=NUM_RESAMPLES_OF_CURVES
        )
        for algorithm in suite.algorithms
    }


def shared_budget(suite: Suite, task: str) -> float:
    """Returns the env steps of a task that every run of every algorithm has played."""
    entries = [suite.entries[algorithm, task] for algorithm in suite.algorithms]
    return float(min(steps[-1] for entry in entries for steps in entry.steps))


def efficiency(suite: Suite, shares: np.ndarray) -> dict[str, Estimate]:
    """Returns algorithm -> the interquartile mean of all runs [P] after equal env steps.

    Between two measurements a run's line is straight; before its first it is that one's.

    Args:
      suite: the suite.
      shares: [P] of each task's `shared_budget`, in [0, 1].
    """
    budgets = {task: shared_budget(suite, task) for task in suite.tasks}

    def curves(algorithm: str, task: str) -> np.ndarray:
        entry = suite.entries[algorithm, task]
        at = shares * budgets[task]
        each = [np.interp(at, steps, values) for steps, values in zip(entry.steps, entry.values)]
        return normalised(np.stack(each), suite.bounds[task])  # [S, P]

    def estimate(algorithm: str) -> Estimate:
        whole = [curves(algorithm, task) for task in suite.tasks]
        points = [
            aggregates.stratified_interval(
                aggregates.interquartile_mean,
                [runs[:, point] for runs in whole],
                num_resamples=NUM_RESAMPLES_OF_CURVES,
            )
            for point in range(len(shares))
        ]
        return Estimate(*(np.array(x) for x in zip(*points)))

    return {algorithm: estimate(algorithm) for algorithm in suite.algorithms}


# ---- for marl-eval


def marl_eval(suite: Suite, most_steps: int = 50) -> dict[str, Any]:
    """Returns the suite as marl-eval reads it: environment -> task -> algorithm -> run -> steps.

    A run has as many steps as any other, at the same env steps, as marl-eval compares them by
    number: `most_steps`, or as many as the run with fewest has measured, evenly apart up to what
    all have played of the task; straight lines between two measurements. Figures are under the
    metric's name, or "score" where tasks are measured by different ones; where less is better,
    their sign is turned. `absolute_metrics` are runs' final figures. `elapsed_time` is the
    sweep's, of all its runs together, in proportion.
    """
    metrics = {goal.metric for goal in suite.objectives.values()}
    name = metrics.pop() if len(metrics) == 1 else "score"
    lengths = [len(values) for entry in suite.entries.values() for values in entry.values]
    num_steps = min(most_steps, *lengths)
    tasks: dict[str, Any] = {}
    for task in suite.tasks:
        at = np.linspace(1 / num_steps, 1, num_steps) * shared_budget(suite, task)
        sign = 1.0 if suite.objectives[task].higher_is_better else -1.0
        tasks[task] = {}
        for algorithm in suite.algorithms:
            entry = suite.entries[algorithm, task]
            runs: dict[str, Any] = {}
            for i, seed in enumerate(entry.seeds):
                steps, values = entry.steps[i], entry.values[i]
                measured = np.interp(at, steps, values)
                elapsed = entry.seconds * at / max(steps[-1], 1)
                lines = {
                    f"step_{k}": {
                        "step_count": round(float(at[k])),
                        "elapsed_time": float(elapsed[k]),
                        name: [sign * float(measured[k])],
                    }
                    for k in range(num_steps)
                }
                final_figure = {name: [sign * float(entry.figures[i])]}
                runs[f"seed_{seed}"] = {**lines, "absolute_metrics": final_figure}
            tasks[task][algorithm] = runs
    return {"jaxmarl_core": tasks}
