"""Results as data: two tables of columns, one row a run and one row an update of a run.

    runs, curves = load_results("runs/battle_mfq")
    pandas.DataFrame(runs)        polars.DataFrame(curves)

A table is a dict, column -> NumPy array, all of one length.
"""

import csv
import dataclasses
import inspect
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core import registry
from jaxmarl_core.errors import lookup, package
from jaxmarl_core.store import atomic, sweep_folder
from jaxmarl_core.store.tables import Objective, Results, csv_cell, dropped_at, final

STEPS = "env_steps"  # the metric: steps played in an update
Table = dict[str, np.ndarray]  # column -> [rows]


class ResultTables(NamedTuple):
    """What a sweep found, as data."""

    runs: Table
    curves: Table


def load_results(folder: str | os.PathLike) -> ResultTables:
    """Returns the tables of a sweep, finished or not; see `run_table` and `curve_table`.

    Raises ValueError where `folder` is no sweep's.
    """
    results = sweep_folder.read(folder)
    return ResultTables(run_table(results), curve_table(results))


def run_table(results: Results) -> Table:
    """Returns a row for each run.

    `run`, its number; `seed`; `state`: "done", "stopped" before its last update, "dropped" by a
    search, or "diverged";
    `num_updates` done; `env_steps` played; `diverged_at`, an update or -1; `hparams.NAME` of every
    hyper-parameter; `config.NAME` and `environment.NAME` of every static and environment option,
    told or by default; `final.METRIC`, the mean over the last tenth of its values, NaN where it
    diverged or has none.
    """
    runs, done = results.runs, np.asarray(results.num_updates_done)
    table: dict[str, Any] = {
        "run": [record["run"] for record in runs],
        "seed": [record["seed"] for record in runs],
        "state": states(results),
        "num_updates": done,
        "env_steps": env_steps(results)[np.arange(len(runs)), done],
        "diverged_at": np.asarray(results.diverged_at),
    }
    told = [run_options(results, record) for record in runs]
    for name in dict.fromkeys(name for own in told for name in own):
        table[name] = [own.get(name) for own in told]
    for name in results.metrics:
        if name != STEPS:
            table[f"final.{name}"] = final(results, Objective(name))
    return {name: _column(values) for name, values in table.items()}


def curve_table(results: Results) -> Table:
    """Returns a row for each update of each run: `run`, `update`, `env_steps` after it, metrics.

    Updates count from 0; what was not measured in an update is NaN.
    """
    done = np.asarray(results.num_updates_done, int)
    updates = np.concatenate([np.arange(num) for num in done] or [np.zeros(0, int)])
    position = np.repeat(np.arange(len(done)), done)
    table = {
        "run": np.array([record["run"] for record in results.runs], int)[position],
        "update": updates,
        "env_steps": env_steps(results)[position, updates + 1],
    }
    metrics = {name: values for name, values in results.metrics.items() if name != STEPS}
    return table | {name: values[position, updates] for name, values in metrics.items()}


def states(results: Results) -> list[str]:
    """Returns each run's state: "done", "stopped", "dropped" or "diverged"."""
    updates, steps = results.spec.get("updates", 0), results.spec.get("env_steps", 0)
    wanted = [
        -(-steps // run["env_steps_per_update"]) if steps else updates for run in results.runs
    ]
    ends = zip(results.diverged_at, dropped_at(results), results.num_updates_done, wanted)
    return [
        "diverged" if diverged >= 0 else "dropped" if dropped >= 0
        else "done" if done >= asked else "stopped"
        for diverged, dropped, done, asked in ends
    ]  # fmt: skip


def env_steps(results: Results) -> np.ndarray:
    """Returns [R, U + 1] int, the environment steps of each run after 0 ... U updates.

    Steps that were played, where the metric `env_steps` tells of them; else all that updates are
    made of; 0 where not even that is known.
    """
    num_updates = max((values.shape[1] for values in results.metrics.values()), default=0)
    told = np.array([record.get("env_steps_per_update", 0) for record in results.runs], float)
    each = np.repeat(told[:, None], num_updates, axis=1)
    each = results.metrics.get(STEPS, each)
    total = np.nancumsum(each, axis=1, dtype=np.float64)
    return np.concatenate([np.zeros((len(told), 1)), total], axis=1).astype(int)


def run_options(results: Results, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all that a run had, told or by default, under the names its columns have."""
    spec, static = results.spec, record.get("static", {})
    numbers = {**spec.get("grid", {}).get("environment_numbers", {}),
               **spec.get("random", {}).get("environment_numbers", {})}  # fmt: skip
    told = {
        f"{'environment' if name in numbers else 'hparams'}.{name}": value
        for name, value in record["hparams"].items()
    }
    for kind, label in (("config", "config"), ("environment_options", "environment")):
        swept = {n: static[n] for n in spec.get("grid", {}).get(kind, {}) if n in static}
        own = {**_defaults(spec, kind), **spec.get(kind, {}), **swept}
        told = {f"{label}.{name}": value for name, value in own.items()} | told
    return told


def _defaults(spec: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Returns the defaults of static or environment options; {} of what cannot be found here."""
    try:
        if kind == "config":
            fields = dataclasses.fields(registry.config_type(spec["algorithm"]))
            return {field.name: field.default for field in fields}
        options = registry.environment_options(spec["environment"]).values()
        return {x.name: x.default for x in options if x.default is not inspect.Parameter.empty}
    except (KeyError, ValueError, ImportError):  # a folder of another version, or of one's own file
        return {}


def _column(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Returns a column; numbers and words as they are, missing numbers NaN, the rest as JSON."""
    if isinstance(values, np.ndarray):
        return values
    known = [value for value in values if value is not None]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in known)
    if known and numbers:
        complete = len(known) == len(values)
        return np.array(values if complete else [np.nan if x is None else x for x in values])
    if all(isinstance(x, bool) for x in known) and len(known) == len(values):
        return np.array(values, bool)
    text = lambda x: x if isinstance(x, str) or x is None else json.dumps(x)
    return np.array([text(x) for x in values], object)


def write_tables(folder: str | os.PathLike, tables: ResultTables, kind: str = "csv") -> list[Path]:
    """Writes `runs` and `curves` into a folder that is there, as .csv or .parquet; returns both.

    Raises:
      ValueError: an unknown kind, or "parquet" without pyarrow.
    """
    write = lookup(WRITERS, kind, "format")
    paths = [Path(folder) / f"{name}.{kind}" for name in tables._fields]
    for path, table in zip(paths, tables):
        write(path, table)
    return paths


def _write_csv(path: Path, table: Table) -> None:
    """Writes a table so that reading it gives the same numbers; no value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, table))
    for row in zip(*(column.tolist() for column in table.values())):
        writer.writerow(map(csv_cell, row))
    atomic.write(path, text.getvalue())


def _write_parquet(path: Path, table: Table) -> None:
    pyarrow = package("pyarrow", "parquet", "format")
    parquet = package("pyarrow.parquet", "parquet", "format")
    buffer = pyarrow.BufferOutputStream()
    columns = {name: pyarrow.array(column) for name, column in table.items()}
    parquet.write_table(pyarrow.table(columns), buffer)
    atomic.write(path, buffer.getvalue().to_pybytes())


WRITERS = {"csv": _write_csv, "parquet": _write_parquet}
