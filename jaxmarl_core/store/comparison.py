"""Two sweeps side by side: what they were told differently, and whose best runs are better."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional import statistics
from jaxmarl_core.store.tables import Objective, Results, dropped_at, final, key_of, table

SWEEP = "sweep"  # the option by which runs of two sweeps are told apart
NOT_OPTIONS = ("name", "title", "segment", "checkpoint_seconds", "memory_gb", "devices_per_run")


class Difference(NamedTuple):
    """How much better the second's best configuration is than the first's, in their objective."""

    iqm: float  # of the second, less that of the first
    low: float  # the ends of its 95 % bootstrap interval
    high: float
    chance: float  # that a run of the second is better than one of the first, ties half


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns what two specs say differently: name, with dots, -> (the first's, the second's).

    What only one of them says is None in the other. Names and how they are computed count not.
    """
    ours, theirs = _flat(first), _flat(second)
    names = [name for name in ours | theirs if name.partition(".")[0] not in NOT_OPTIONS]
    pairs = {name: (ours.get(name), theirs.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if key_of(pair[0]) != key_of(pair[1])}


def _flat(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in spec.items():
        is_table = isinstance(value, Mapping)
        found |= _flat(value, f"{prefix}{name}.") if is_table else {f"{prefix}{name}": value}
    return found


def joined(first: Results, second: Results, names: tuple[str, str]) -> Results:
    """Returns the runs of two sweeps as those of one, told apart by the option `sweep`.

    Metrics that only one of them has are NaN in the other's runs.
    """
    runs, start = [], 0
    for results, name in zip((first, second), names):
        for record in results.runs:
            static = {SWEEP: name, **record.get("static", {})}
            runs.append({**record, "run": start + record["run"], "static": static})
        start += 1 + max((record["run"] for record in results.runs), default=-1)
    sizes = len(first.runs), len(second.runs)
    length = max((x.shape[1] for r in (first, second) for x in r.metrics.values()), default=0)

    def padded(results: Results, size: int, name: str) -> np.ndarray:
        values = np.full((size, length), np.nan, np.float32)
        known = results.metrics.get(name, np.zeros((size, 0)))
        values[:, : known.shape[1]] = known
        return values

    metrics = {
        name: np.concatenate([padded(r, n, name) for r, n in zip((first, second), sizes)])
        for name in dict.fromkeys([*first.metrics, *second.metrics])
    }
    join = lambda field: np.concatenate([getattr(first, field), getattr(second, field)])
    spec = {"specs": dict(zip(names, (first.spec, second.spec)))}
    facts = {f"{name}: {k}": v for name, r in zip(names, (first, second))
             for k, v in r.facts.items() if k in ("device", "date")}  # fmt: skip
    done, diverged = join("num_updates_done"), join("diverged_at")
    seconds = first.seconds + second.seconds
    dropped = np.concatenate([dropped_at(first), dropped_at(second)])
    return Results(runs, metrics, done, diverged, spec, facts, seconds, dropped_at=dropped)


def only(results: Results, runs: np.ndarray) -> Results:
    """Returns some runs [S] of a sweep, by position, as its results."""
    return replace(
        results,
        runs=[results.runs[i] for i in runs],
        metrics={name: values[runs] for name, values in results.metrics.items()},
        num_updates_done=results.num_updates_done[runs],
        diverged_at=results.diverged_at[runs],
        dropped_at=dropped_at(results)[runs],
    )


def best_only(results: Results, goal: Objective) -> Results:
    """Returns the results of a sweep's best configuration alone."""
    return only(results, table(results, goal)[0]["runs"])


def difference(first: Results, second: Results, goal: Objective) -> Difference:
    """Returns by how much the second's runs are better; both are of one configuration.

    The interval is of IQM(second) - IQM(first), their runs drawn again independently, 2000 times.
    The chance is Mann and Whitney's, 1947; Agarwal et al., 2021, arXiv:2108.13264, section 4.3.
    Runs that diverged have no figure, and do not count.
    """
    for results in (first, second):
        if goal.metric not in results.metrics:
            raise ValueError(unknown("objective", goal.metric, results.metrics))
    ours, theirs = (x[~np.isnan(x)] for x in (final(first, goal), final(second, goal)))
    require(min(len(ours), len(theirs)) > 0, "runs", "some that did not diverge", "none")
    sign = 1 if goal.higher_is_better else -1
    draws = [_redrawn(values, seed) for seed, values in enumerate((ours, theirs))]
    low, high = np.quantile(draws[1] - draws[0], [0.025, 0.975])
    if min(len(ours), len(theirs)) < 2:  # one run says nothing of its spread
        low = high = np.nan
    better = np.sign(sign * (theirs[:, None] - ours))
    gap = float(statistics.iqm(theirs) - statistics.iqm(ours))
    return Difference(gap, float(low), float(high), float(np.mean((better + 1) / 2)))


def _redrawn(values: np.ndarray, seed: int) -> np.ndarray:
    """Returns the interquartile means of 2000 draws of as many values with replacement."""
    draw = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    return statistics.iqm(values[draw], axis=1)
