"""The folder of a sweep on disk: nothing in it is ever lost, overwritten or half written.

    out/spec.json                     what was asked for
    out/facts.json                    what it ran on: versions, device, date
    out/part-000/runs.json            the runs of one compiled program
    out/part-000/metrics-000000.npz   their metrics from update 0 on, [R, k] each
    out/part-000/metrics-000050.npz   from update 50 on

A part is any folder in it that has a `runs.json`. A segment that is computed again after a crash
has the same name and, a sweep being deterministic, the same content.
"""

import datetime
import importlib.metadata
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.store import atomic
from jaxmarl_core.store.tables import Results, first_divergence

_METRIC = "metric."  # before each name in the archive, which may hold "seconds" or "file" then


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


def create(
    folder: str | os.PathLike, spec: Mapping[str, Any], facts: Mapping[str, Any] | None = None
) -> Path:
    """Makes the folder of a new sweep, writes its spec and facts, and returns its path.

    Args:
      folder: a path where nothing is yet, or an empty folder.
      spec: what was asked for, as JSON can hold it.
      facts: added to `host_facts()`.

    Raises:
      ValueError: the folder has something in it.
    """
    folder = Path(folder)
    is_new = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    require(is_new, "out", "a new folder", f"{folder} (use --resume or another name)")
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / "facts.json", _to_json(host_facts() | dict(facts or {})))
    atomic.write(folder / "spec.json", _to_json(spec))  # last: with it, the folder is a sweep
    return folder


def read_spec(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the spec of a sweep; raises ValueError where there is none."""
    path = Path(folder) / "spec.json"
    require(path.is_file(), "out", "the folder of a sweep, with a spec.json", folder)
    return json.loads(path.read_text("utf-8"))


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
    path = Path(part_folder) / "runs.json"
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
    num_runs = len(_read_runs(Path(part_folder)))
    shapes = {name: array.shape for name, array in arrays.items()}
    fits = len(set(shapes.values())) == 1 and all(
        len(shape) == 2 and shape[0] == num_runs and shape[1] > 0 for shape in shapes.values()
    )
    require(fits, "metrics", f"arrays [{num_runs}, k] of one shape", shapes)
    archive = io.BytesIO()
    named: dict[str, Any] = {_METRIC + name: array for name, array in arrays.items()}
    np.savez(archive, seconds=np.float64(seconds), **named)
    path = Path(part_folder) / f"metrics-{first:06d}.npz"
    atomic.write(path, archive.getvalue())
    return path


def read(folder: str | os.PathLike) -> Results:
    """Returns all that the folder of a sweep holds, be it finished or not.

    Runs come in the order of their index. Where segments overlap, the one that starts later
    counts. `finite` stays 0 once it was, in the segments after it, too. Raises ValueError for a
    folder without a spec, a run found in two parts, or a segment missing between two others.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    parts = [_read_part(path.parent) for path in sorted(folder.glob("*/runs.json"))]
    runs = [run for part_runs, _, _ in parts for run in part_runs]
    indices = np.array([run["run"] for run in runs], int)
    require(len(set(indices)) == len(runs), "runs", "each index once", sorted(indices.tolist()))
    order = np.argsort(indices)

    done = [_num_updates(metrics) for _, metrics, _ in parts]
    sizes = [len(part_runs) for part_runs, _, _ in parts]
    diverged = [
        first_divergence(metrics) if metrics else np.full(size, -1)
        for (_, metrics, _), size in zip(parts, sizes)
    ]
    names = list(dict.fromkeys(name for _, metrics, _ in parts for name in metrics))
    metrics = {
        name: np.full((len(runs), max(done, default=0)), np.nan, np.float32) for name in names
    }
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
        facts=json.loads((folder / "facts.json").read_text("utf-8")),
        seconds=sum(seconds for _, _, seconds in parts),
    )


def diverged(part_folder: str | os.PathLike, num_updates: int) -> np.ndarray:
    """Returns [R] bool: which runs of a part had diverged after its first `num_updates` updates."""
    runs, metrics, _ = _read_part(Path(part_folder))
    metrics = {name: values[:, :num_updates] for name, values in metrics.items()}
    return first_divergence(metrics) >= 0 if metrics else np.zeros(len(runs), bool)


def _read_runs(part_folder: Path) -> list[dict[str, Any]]:
    path = part_folder / "runs.json"
    require(path.is_file(), "part", "a folder with a runs.json", part_folder)
    return json.loads(path.read_text("utf-8"))


def _read_part(part_folder: Path) -> tuple[list[dict], dict[str, np.ndarray], float]:
    """Returns the runs of a part, its metrics [R, number of updates done], and its seconds."""
    runs = _read_runs(part_folder)
    metrics: dict[str, np.ndarray] = {}
    seconds = 0.0
    for path in sorted(part_folder.glob("metrics-*.npz"), key=_first):
        with np.load(path) as archive:
            segment = {k[len(_METRIC) :]: archive[k] for k in archive if k.startswith(_METRIC)}
            seconds += float(archive["seconds"])
        metrics = _append(metrics, _first(path), segment, part_folder.name)
    if "finite" in metrics:
        metrics["finite"] = np.minimum.accumulate(metrics["finite"], axis=1)
    return runs, metrics, seconds


def _first(path: Path) -> int:
    return int(path.stem.removeprefix("metrics-"))


def _append(
    metrics: dict[str, np.ndarray], first: int, segment: dict[str, np.ndarray], part: str
) -> dict[str, np.ndarray]:
    """Returns the metrics up to `first`, then the segment's, then what stood after it."""
    done = _num_updates(metrics)
    require(first <= done, part, f"a segment from update {done}", f"the next from {first}")
    same = not metrics or set(metrics) == set(segment)
    require(same, part, f"the metrics {sorted(metrics)} in each segment", sorted(segment))
    end = first + _num_updates(segment)
    empty = next(iter(segment.values()))[:, :0]
    return {
        name: np.concatenate(
            [metrics.get(name, empty)[:, :first], values, metrics.get(name, empty)[:, end:]], axis=1
        )
        for name, values in segment.items()
    }


def _num_updates(metrics: Mapping[str, np.ndarray]) -> int:
    return next(iter(metrics.values())).shape[1] if metrics else 0


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
