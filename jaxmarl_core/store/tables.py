"""What a sweep found: the runs, their metrics, and the configurations in order of merit.

A *configuration* is one choice of static options and hyper-parameters; its runs differ by their
seed alone. A run's figure is the mean over the end of its objective's curve; a configuration's is
the interquartile mean of its runs' figures. A run that diverged has no figure: it is left out of
the statistics and counted beside them.
"""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional import statistics
from jaxmarl_core.store import atomic
from jaxmarl_core.store.number_formats import number, option
from jaxmarl_core.store.schedule import Schedule
from jaxmarl_core.types import MAY_OVERFLOW, MEASURED_AT_TIMES

STATISTICS = {"iqm": statistics.iqm, "mean": statistics.mean, "median": statistics.median}


class Objective(NamedTuple):
    """What the runs are ranked by."""

    metric: str
    higher_is_better: bool = True
    last: float = 0.1  # in (0, 1]; the share of a run's values that its final figure averages
    statistic: str = "iqm"  # of STATISTICS, over the seeds of a configuration


@dataclass(frozen=True)
class Results:
    """The runs [R] of a sweep and their metrics over the updates [U]."""

    runs: Sequence[Mapping[str, Any]]
    # [R]: {"run": int, "seed": int, "hparams": {name: float}, "static": {name: value}}, and
    # "env_steps_per_update": int where it is known, those after an end included
    metrics: Mapping[str, np.ndarray]  # name -> [R, U] f32, NaN after the last update done
    num_updates_done: np.ndarray  # [R] int
    diverged_at: np.ndarray  # [R] int, the first update that is not finite; -1 for none
    spec: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0  # of computing, over all segments
    compile_seconds: float = 0.0  # before it, over all programs
    dropped_at: np.ndarray | None = None
    # [R] int, the update after which a search dropped a run; -1 for none. None: none of them
    search: Mapping[str, Any] = field(default_factory=dict)  # what it decided, as the plan has it
    schedules: Sequence[tuple[np.ndarray, Schedule]] = ()
    # of each part whose runs copied each other: the numbers of its runs, and who copied whom


def dropped_at(results: Results) -> np.ndarray:
    """Returns [R] int, the update after which a search dropped a run, -1 where it did not."""
    if results.dropped_at is None:
        return np.full(len(results.runs), -1)
    return np.asarray(results.dropped_at, int)


class Configuration(NamedTuple):
    """One choice of options, and the runs that share it."""

    label: str  # the options that vary over the sweep, "clip 0.1, learning_rate 3e-4"
    options: dict[str, Any]  # static options and hparams, all of them
    runs: np.ndarray  # [S] int, positions in Results.runs


def first_divergence(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns [R] int: the first update at which a run was not finite, -1 where there is none.

    That is where the metric "finite" is 0, or any metric is NaN or infinite, but for those that may
    be: see `train.is_sound`.

    Args:
      metrics: name -> [R, k] f32, as one program reports them.
    """
    require(len(metrics) > 0, "metrics", "at least one", "none")
    bad = np.logical_or.reduce(list(_unsound(metrics).values()))
    return np.where(bad.any(axis=1), bad.argmax(axis=1), -1) if bad.size else np.full(len(bad), -1)


def _unsound(metrics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns name -> [R, k] bool, where a metric tells that a run is lost."""
    wrong = {
        name: np.isinf(values) if name.startswith(MEASURED_AT_TIMES) else ~np.isfinite(values)
        for name, values in metrics.items()
        if not name.startswith(MAY_OVERFLOW)
    }
    if "finite" in wrong:
        wrong["finite"] = wrong["finite"] | (metrics["finite"] == 0)
    return wrong


def divergences(results: Results) -> list[tuple[int, int, list[str]]]:
    """Returns (position, update, metrics that told) of every run that diverged.

    The latch `finite` is named where nothing else told: a parameter was lost.
    """
    wrong = _unsound(results.metrics)
    found = []
    for position in np.flatnonzero(results.diverged_at >= 0).tolist():
        update = int(results.diverged_at[position])
        told = [n for n, x in results.metrics.items() if not np.isnan(x[position]).all()]
        names = [name for name in told if name in wrong and wrong[name][position, update]]
        found.append((position, update, [n for n in names if n != "finite"] or ["finite"]))
    return found


def final(results: Results, objective: Objective) -> np.ndarray:
    """Returns [R] f64, each run's figure; NaN where it diverged or never had a value.

    It is the mean of the last `objective.last` of the values that are not NaN, at least one.
    """
    require(bool(results.metrics), "results", "the metrics of at least one segment", "none yet")
    if objective.metric not in results.metrics:
        raise ValueError(unknown("objective", objective.metric, results.metrics))
    require(0 < objective.last <= 1, "last", "in (0, 1]", objective.last)
    figures = np.full(len(results.runs), np.nan)
    for run, values in enumerate(np.asarray(results.metrics[objective.metric], np.float64)):
        values = values[~np.isnan(values)]
        if len(values) and results.diverged_at[run] < 0:
            figures[run] = values[-max(1, round(objective.last * len(values))) :].mean()
    return figures


def options(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the static options and hyper-parameters of a run in one dict."""
    return {**run.get("static", {}), **run.get("hparams", {})}


def swept(results: Results) -> dict[str, list[Any]]:
    """Returns the options that vary over the runs, with their values in order."""
    values: dict[str, dict[str, Any]] = {}
    for run in results.runs:
        for name, value in options(run).items():
            values.setdefault(name, {})[key_of(value)] = value
    return {name: _sorted(list(seen.values())) for name, seen in values.items() if len(seen) > 1}


def _sorted(values: list[Any]) -> list[Any]:
    """Returns numbers in order; words and mixtures as they came."""
    return sorted(values) if all(isinstance(value, int | float) for value in values) else values


def key_of(value: Any) -> str:
    """Returns an option's value as text that is equal where values are."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)  # what JSON says of it, in a tenth of the time
    return json.dumps(value, sort_keys=True, default=str)


def configurations(results: Results) -> list[Configuration]:
    """Returns the configurations, in the order in which their first run stands."""
    groups: dict[str, list[int]] = {}
    for position, run in enumerate(results.runs):
        groups.setdefault(key_of(options(run)), []).append(position)
    varying = swept(results)
    found = []
    for positions in groups.values():
        own = options(results.runs[positions[0]])
        label = ", ".join(f"{name} {option(own[name])}" for name in varying if name in own)
        found.append(Configuration(label or "the configuration", own, np.asarray(positions)))
    return found


def table(results: Results, objective: Objective) -> list[dict[str, Any]]:
    """Returns one row per configuration, the best first; those that all diverged come last.

    The best is that by the objective's statistic. Configurations that a search dropped come after
    those it let learn to the end, those that came further first: their figures are of less
    learning.

    Each row holds `rank` (None without a figure), `configuration` (its label), `options`, `runs`
    (positions), `numbers` (of those runs), `iqm` with its 95 % bootstrap interval `low` and `high`,
    `mean`, `median`, `standard_error`, `num_seeds`, `num_diverged`, `num_updates` (of its slowest
    run), `dropped_at` (an update, or None) and `status`: "ok", "1 of 4 diverged", "diverged" (all
    of them), "no value", and with "dropped at update 20" in front where a search did so.
    """
    figures = final(results, objective)
    rows = [_row(results, config, figures[config.runs]) for config in configurations(results)]
    sign, name = -1 if objective.higher_is_better else 1, objective.statistic
    rows.sort(
        key=lambda row: (
            np.isnan(row[name]),
            -np.inf if row["dropped_at"] is None else -row["dropped_at"],
            sign * np.nan_to_num(row[name]),
        )
    )
    for rank, row in enumerate(rows, 1):
        row["rank"] = None if np.isnan(row["iqm"]) else rank
    return rows


def _row(results: Results, config: Configuration, figures: np.ndarray) -> dict[str, Any]:
    num_diverged = int(np.sum(results.diverged_at[config.runs] >= 0))
    figures = figures[~np.isnan(figures)]
    low, high = statistics.bootstrap_interval(figures)
    update = int(dropped_at(results)[config.runs].max())  # a search drops a configuration whole
    dropped = update if update >= 0 else None
    return {
        "rank": None,
        "configuration": config.label,
        "options": config.options,
        "runs": config.runs,
        "numbers": [results.runs[i]["run"] for i in config.runs],
        "iqm": float(statistics.iqm(figures)),
        "low": float(low),
        "high": float(high),
        "mean": float(statistics.mean(figures)),
        "median": float(statistics.median(figures)),
        "standard_error": statistics.standard_error(figures),
        "num_seeds": len(config.runs),
        "num_diverged": num_diverged,
        "num_updates": int(results.num_updates_done[config.runs].min()),
        "dropped_at": dropped,
        "status": _status(len(config.runs), num_diverged, len(figures), dropped),
    }


def _status(num_seeds: int, num_diverged: int, num_figures: int, dropped: int | None) -> str:
    if dropped is not None:
        rest = _status(num_seeds, num_diverged, num_figures, None)
        return f"dropped at update {dropped}" + ("" if rest == "ok" else f", {rest}")
    if num_diverged == num_seeds:
        return "diverged"
    if num_diverged:
        return f"{num_diverged} of {num_seeds} diverged"
    return "ok" if num_figures else "no value"


COLUMNS = (
    "iqm",
    "low",
    "high",
    "mean",
    "median",
    "standard_error",
    "num_seeds",
    "num_diverged",
    "num_updates",
    "status",
)


def write_csv(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows of `table` as CSV: rank, every option, the statistics, and the runs' numbers.

    Numbers are written so that reading them gives the same float; no value is an empty cell.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["options"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", *map(csv_cell, names), *COLUMNS, "runs"])
    for row in rows:
        cells = [row["rank"], *map(row["options"].get, names), *(row[name] for name in COLUMNS)]
        cells.append(" ".join(map(str, row["numbers"])))
        writer.writerow(map(csv_cell, cells))
    atomic.write(path, text.getvalue())


def write_rows(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with the same names as CSV, the names in front; cells as in `write_csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, rows[0]))
    writer.writerows(map(csv_cell, row.values()) for row in rows)
    atomic.write(path, text.getvalue())


def csv_cell(value: Any) -> Any:
    """Returns what stands in a cell: nothing for no value, and never a spreadsheet's formula."""
    if value is None or value != value:
        return ""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


def interval(row: Mapping[str, Any], digits: int = 4) -> str:
    """Returns a row's interval in words, "11.8 to 12.9"; an en dash where there is none."""
    if np.isnan(row["low"]):
        return "–"
    return f"{number(row['low'], digits)} to {number(row['high'], digits)}"
