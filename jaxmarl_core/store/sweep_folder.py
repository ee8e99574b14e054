"""The folder of a sweep on disk: nothing in it is ever lost, overwritten or half written.

    out/spec.json                     what was asked for
    out/facts.json                    what it ran on: versions, device, date, and what changed since
    out/plan.json                     which runs are computed together: the parts
    out/lease.json                    who writes here now (see `lease`)
    out/opponents/blue/               a trained opponent, as the sweep began with it; if it has any
    out/part-000/runs.json            the runs of one compiled program
    out/part-000/metrics-000000.npz   their metrics (see `segments`)
    out/part-000/checkpoints/         their state (see `checkpoint`)

The parts are those that the plan names; without a plan, all folders with a `runs.json`. A segment
that is computed again after a crash has the same name and, a sweep being deterministic, the same
content.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.store import atomic, lease, schedule, segments
from jaxmarl_core.store.schedule import Schedule
from jaxmarl_core.store.tables import Results, first_divergence

SPEC, FACTS, PLAN, RUNS = "spec.json", "facts.json", "plan.json", "runs.json"
OPPONENTS = "opponents"  # of a sweep, or of a policy: a folder for each that was trained
_UNFINISHED = {FACTS, PLAN, OPPONENTS, lease.FILE}  # what a sweep that has not begun may have left


def host_facts() -> dict[str, Any]:
    """Returns what a result depends on besides its spec: versions, device, cores, date."""
    packages = ("jaxmarl-core", "jax", "jaxlib", "flax", "optax", "numpy")
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "host_cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def is_sweep(folder: str | os.PathLike) -> bool:
    """Returns whether a folder holds a sweep."""
    return (Path(folder) / SPEC).is_file()


def is_free(folder: str | os.PathLike) -> bool:
    """Returns whether a sweep may begin here: nothing, or only what one left before it began."""
    folder = Path(folder)
    if not folder.exists():
        return True
    temporary = re.compile(r"\..*\.tmp")
    return folder.is_dir() and all(
        path.name in _UNFINISHED or temporary.fullmatch(path.name) for path in folder.iterdir()
    )


def create(
    folder: str | os.PathLike, spec: Mapping[str, Any], facts: Mapping[str, Any] | None = None
) -> Path:
    """Makes the folder of a new sweep, writes its spec and facts, and returns its path.

    Args:
      folder: a path where nothing is yet, or a folder that `is_free`.
      spec: what was asked for, as JSON can hold it.
      facts: added to `host_facts()`.

    Raises:
      ValueError: the folder has something in it.
    """
    folder = Path(folder)
    require(is_free(folder), "out", "a new folder", f"{folder} (use --resume or another name)")
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / FACTS, _to_json(host_facts() | dict(facts or {})))
    write_spec(folder, spec)  # last: with it, the folder is a sweep
    return folder


def read_spec(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the spec of a sweep; raises ValueError where there is none."""
    require(is_sweep(folder), "out", f"the folder of a sweep, with a {SPEC}", folder)
    return _from_json(Path(folder) / SPEC)


def write_spec(folder: str | os.PathLike, spec: Mapping[str, Any]) -> None:
    """Writes what was asked for, in place of what was asked for before."""
    atomic.write(Path(folder) / SPEC, _to_json(spec))


def read_plan(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the plan of a sweep, {"parts": [{"folder": its name, ...}], ...}; None: none yet."""
    path = Path(folder) / PLAN
    return _from_json(path) if path.exists() else None


def write_plan(folder: str | os.PathLike, plan: Mapping[str, Any]) -> None:
    """Writes which runs are computed together; parts are `{"folder": its name, ...}`."""
    atomic.write(Path(folder) / PLAN, json.dumps(plan, default=_plain) + "\n")


def note_changes(
    folder: str | os.PathLike, now: Mapping[str, Any], whole_machine: bool = True
) -> list[str]:
    """Records what a sweep goes on with that is not what it ran on before; returns it in words.

    Args:
      folder: of the sweep.
      now: as `host_facts` returns them.
      whole_machine: whether the number of devices counts; of several processes each has its share.
    """
    path = Path(folder) / FACTS
    facts = _from_json(path) if path.exists() else dict(now)
    latest = facts | (facts["later"][-1] if facts.get("later") else {})
    if not whole_machine and latest["device"].split()[1:] == now["device"].split()[1:]:
        now = {**now, "device": latest["device"]}  # "8 x cpu (cpu)", less the number
    changed = {
        name: now[name] for name in ("versions", "device", "system") if now[name] != latest[name]
    }
    if not changed and path.exists():
        return []
    words = [
        f"{name} was {latest['versions'].get(name)}, is now {version}"
        for name, version in changed.get("versions", {}).items()
        if version != latest["versions"].get(name)
    ]
    words += [f"{n} was {latest[n]}, is now {x}" for n, x in changed.items() if n != "versions"]
    if changed:
        facts["later"] = [*facts.get("later", []), {"date": now["date"], **changed}]
    atomic.write(path, _to_json(facts))
    return words


def write_runs(part_folder: str | os.PathLike, runs: Sequence[Mapping[str, Any]]) -> None:
    """Writes which runs a part computes, making its folder; the same rows again change nothing.

    Args:
      part_folder: a folder inside that of the sweep.
      runs: {"run": its index in the sweep, "seed": int, "hparams": {name: float},
        "static": {name: value}} each, and "env_steps_per_update": int where it is known; the metric
        "env_steps" counts those that were played.

    Raises:
      ValueError: the part already has other rows, or an option is static and an hparam.
    """
    for run in runs:
        both = sorted(set(run["hparams"]) & set(run["static"]))
        require(not both, "runs", "each option static or an hparam", f"both for {both}")
    path = Path(part_folder) / RUNS
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _to_json(runs)
    if path.exists():
        same = path.read_text("utf-8") == text
        require(same, "runs", f"the rows that {path.parent.name} already has", "others")
    else:
        atomic.write(path, text)


def write_segment(
    part_folder: str | os.PathLike,
    first: int,
    metrics: Mapping[str, np.ndarray],
    seconds: float = 0.0,
) -> Path:
    """Writes the metrics of updates `first` to `first + k - 1` of a part; returns the file's path.

    Args:
      part_folder: where `write_runs` wrote the part's rows.
      first: the index of the first of these updates.
      metrics: name -> [R, k] f32, kept bit for bit.
      seconds: how long they took to compute.

    Raises:
      ValueError: a shape is not [R, k] with the part's number of runs.
    """
    arrays = {name: np.asarray(values, np.float32) for name, values in metrics.items()}
    num_runs = len(read_runs(part_folder))
    shapes = {name: array.shape for name, array in arrays.items()}
    fits = len(set(shapes.values())) == 1 and all(
        len(shape) == 2 and shape[0] == num_runs and shape[1] > 0 for shape in shapes.values()
    )
    require(fits, "metrics", f"arrays [{num_runs}, k] of one shape", shapes)
    return segments.write(part_folder, first, segments.Segment(arrays, seconds))


def part_folders(folder: str | os.PathLike) -> list[Path]:
    """Returns the folders of a sweep's parts that have begun, in order."""
    folder, plan = Path(folder), read_plan(folder)
    if plan is None:
        return sorted(path.parent for path in folder.glob(f"*/{RUNS}"))
    parts = (folder / part["folder"] for part in plan["parts"])
    return [part for part in parts if (part / RUNS).exists()]


def read(folder: str | os.PathLike) -> Results:
    """Returns all that the folder of a sweep holds, be it finished or not.

    Runs come in the order of their index. Where segments overlap, the one that starts later
    counts. `finite` stays 0 once it was, in the segments after it, too. Runs that a search dropped
    say so in `dropped_at`; their metrics end there. Raises ValueError for a
    folder without a spec, a run found in two parts, or a segment missing between two others.
    """
    folder = Path(folder)
    spec, plan = read_spec(folder), read_plan(folder) or {"parts": []}
    folders = part_folders(folder)
    parts = [_read_part(part) for part in folders]
    runs = [run for part_runs, _, _ in parts for run in part_runs]
    indices = np.array([run["run"] for run in runs], int)
    require(len(set(indices)) == len(runs), "runs", "each index once", sorted(indices.tolist()))
    order = np.argsort(indices)

    done = [segments.length(metrics) for _, metrics, _ in parts]
    sizes = [len(part_runs) for part_runs, _, _ in parts]
    diverged = [
        _divergence(path, metrics, size)
        for path, (_, metrics, _), size in zip(folders, parts, sizes)
    ]
    names = list(dict.fromkeys(name for _, metrics, _ in parts for name in metrics))
    metrics = {
        name: np.full((len(runs), max(done, default=0)), np.nan, np.float32) for name in names
    }
    stages = {entry["folder"]: entry.get("stage", {}) for entry in plan["parts"]}
    own = [stages.get(part.name, {}) for part in folders]
    dropped = [stage["end"] if stage.get("dropped") else -1 for stage in own]
    start = 0
    for (_, part_metrics, _), size, num_updates in zip(parts, sizes, done):
        for name, values in part_metrics.items():
            metrics[name][start : start + size, :num_updates] = values
        start += size
    return Results(
        runs=[runs[i] for i in order],
        metrics={name: values[order] for name, values in metrics.items()},
        num_updates_done=np.repeat(done, sizes).astype(int)[order],
        diverged_at=np.concatenate([np.zeros(0, int), *diverged])[order],
        spec=spec,
        facts=_from_json(folder / FACTS),
        seconds=sum(seconds for _, _, seconds in parts),
        compile_seconds=sum(x.get("compile_seconds", 0.0) for x in plan.get("measured", [])),
        dropped_at=np.repeat(dropped, sizes).astype(int)[order],
        search={"rungs": plan["rungs"]} if "rungs" in plan else {},
        schedules=_schedules(folders, [part_runs for part_runs, _, _ in parts]),
    )


def _schedules(folders: Sequence[Path], runs: Sequence[list[dict]]) -> list[tuple[Any, Schedule]]:
    """Returns (numbers of the runs, schedule) of each part whose runs copied each other."""
    found = [(np.array([run["run"] for run in own]), schedule.read(path))
             for path, own in zip(folders, runs)]  # fmt: skip
    return [(numbers, own) for numbers, own in found if own is not None]


def diverged(part_folder: str | os.PathLike, num_updates: int) -> np.ndarray:
    """Returns [R] bool: which runs of a part had diverged after its first `num_updates` updates."""
    runs, metrics, _ = _read_part(Path(part_folder))
    metrics = {name: values[:, :num_updates] for name, values in metrics.items()}
    return _divergence(Path(part_folder), metrics, len(runs)) >= 0


def _divergence(part_folder: Path, metrics: dict[str, np.ndarray], num_runs: int) -> np.ndarray:
    """Returns [R] int, where the learners that the runs are now diverged; -1 where they did not."""
    if not metrics:
        return np.full(num_runs, -1)
    length = segments.length(metrics)
    before = np.arange(length) < _own_since(part_folder, length, num_runs)[:, None]
    return first_divergence({name: np.where(before, 1.0, x) for name, x in metrics.items()})


def read_runs(part_folder: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns the runs of a part, as `write_runs` took them."""
    path = Path(part_folder) / RUNS
    require(path.is_file(), "part", f"a folder with a {RUNS}", part_folder)
    return _from_json(path)


def _read_part(part_folder: Path) -> tuple[list[dict], dict[str, np.ndarray], float]:
    """Returns the runs of a part, its metrics [R, number of updates done], and its seconds."""
    runs = read_runs(part_folder)
    metrics, seconds = segments.read(part_folder)
    if "finite" in metrics:
        since = _own_since(part_folder, segments.length(metrics), len(runs))
        before = np.arange(segments.length(metrics)) < since[:, None]
        latched = np.minimum.accumulate(np.where(before, 1.0, metrics["finite"]), axis=1)
        metrics["finite"] = np.where(before, metrics["finite"], latched).astype(np.float32)
    return runs, metrics, seconds


def _own_since(part_folder: Path, num_updates: int, num_runs: int) -> np.ndarray:
    """Returns [R] int, the update since which each run has not copied another's state; 0: ever.

    A learner that was lost, and gave way to the copy of another, is not what the run is now.
    """
    found = schedule.read(part_folder)
    if found is None:
        return np.zeros(num_runs, int)
    return found.until(num_updates).last_copies()


def _from_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got a damaged file ({error})") from error


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Returns what JSON can hold in place of a NumPy or JAX value or a path."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not hasattr(value, "tolist"):
        raise TypeError(f"spec: expected what JSON can hold, got {value!r}")
    array = np.asarray(value)
    if array.dtype == np.float32:  # 0.0003, not the 0.0003000000142 that is the same float32
        array = array.astype(str).astype(np.float64)
    return array.tolist()
