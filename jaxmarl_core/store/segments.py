"""The metrics of a part on disk: a file a segment, joined as they grow many.

    part-000/metrics-000000.npz   metrics from update 0 on, [R, k] each
    part-000/metrics-000050.npz   from update 50 on

A segment that is computed again has the same name. Eight files of one length become one, eight of
those become one, and a finished part has a single file: a long run leaves few files, and no row is
written more often than the logarithm of their number.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.store import archive

_METRIC = "metric."  # before each name in the archive, which may hold "seconds" or "file" then
JOINED = 8  # files of one length that become one


class Segment(NamedTuple):
    """Metrics of updates in a row."""

    metrics: dict[str, np.ndarray]  # name -> [R, k] f32
    seconds: float  # of computing


def write(part_folder: str | os.PathLike, first: int, segment: Segment) -> Path:
    """Writes metrics from update `first` on; returns the path of the file that holds them.

    What older files have of these updates is replaced, and what they have of later ones stays.
    """
    folder, end = Path(part_folder), first + length(segment.metrics)
    older = [path for path in files(folder) if first <= first_of(path) < end]
    if not older or (older == [_path(folder, first)] and _ends(older[0]) <= end):
        return _save(folder, first, segment)
    # who went back to another rhythm meets files that begin in between, or reach further
    whole = read(folder)
    metrics = _append(whole.metrics, first, segment.metrics, folder.name, 0)
    path = _save(folder, 0, Segment(metrics, whole.seconds + segment.seconds))
    for older in files(folder)[1:]:
        older.unlink()
    return path


def _ends(path: Path) -> int:
    return first_of(path) + length(_load(path).metrics)


def _save(folder: Path, first: int, segment: Segment) -> Path:
    arrays = [(_METRIC + name, array) for name, array in segment.metrics.items()]
    path = _path(folder, first)
    archive.write(path, [("seconds", np.asarray(segment.seconds, np.float64)), *arrays])
    return path


def _path(folder: Path, first: int) -> Path:
    return folder / f"metrics-{first:06d}.npz"


def read(part_folder: str | os.PathLike) -> Segment:
    """Returns all metrics of a part, from update 0 on; where files overlap, the later one counts.

    Raises:
      ValueError: a file is damaged (named by its path), or missing between two others.
    """
    folder = Path(part_folder)
    while True:
        listed = files(folder)
        try:
            return _overlaid([(first_of(p), _load(p)) for p in listed], 0, folder.name)
        except FileNotFoundError:  # another process joined it with others just now: look again
            if files(folder) == listed:
                raise


def covered(part_folder: str | os.PathLike, say: Callable[[str], None]) -> int:
    """Returns the number of updates, from the first on, whose metrics can be read.

    A damaged file is put aside, under its name with `.damaged` behind it, and `say` is told.
    """
    done = 0
    for path in files(Path(part_folder)):
        try:
            segment = _load(path)
        except archive.Damaged as error:
            say(f"{error}; what it held is computed again")
            path.rename(path.with_name(f"{path.name}.damaged"))
            continue
        if first_of(path) <= done:
            done = max(done, first_of(path) + length(segment.metrics))
    return done


def names(part_folder: str | os.PathLike) -> set[str]:
    """Returns the names of a part's metrics, empty where there are none yet."""
    return {name for path in files(Path(part_folder))[:1] for name in _load(path).metrics}


def join(part_folder: str | os.PathLike, end: int) -> None:
    """Joins the last files before update `end`, where eight in a row have one length.

    What is read stays the same. The joined file takes the place of the first before the others
    go, so that a crash leaves rows twice and never none.
    """
    folder = Path(part_folder)
    while True:
        starts = [first_of(path) for path in files(folder) if first_of(path) < end][-JOINED:]
        lengths = {b - a for a, b in zip(starts, [*starts[1:], end])}
        if len(starts) < JOINED or len(lengths) > 1:
            return
        _join(folder, starts)


def join_all(part_folder: str | os.PathLike) -> None:
    """Makes one file of all metrics of a part; what is read stays the same."""
    folder = Path(part_folder)
    starts = [first_of(path) for path in files(folder)]
    if len(starts) > 1:
        _join(folder, starts)


def _join(folder: Path, starts: list[int]) -> None:
    loaded = [(start, _load(_path(folder, start))) for start in starts]
    _save(folder, starts[0], _overlaid(loaded, starts[0], folder.name))
    for start in starts[1:]:
        _path(folder, start).unlink()


def length(metrics: Mapping[str, np.ndarray]) -> int:
    """Returns k, the number of updates that metrics [R, k] are of; 0 for none."""
    return next(iter(metrics.values())).shape[1] if metrics else 0


def files(part_folder: Path) -> list[Path]:
    """Returns the files of a part's metrics in order of their first update."""
    return sorted(part_folder.glob("metrics-*.npz"), key=first_of)


def first_of(path: Path) -> int:
    """Returns the first update that a file has metrics of."""
    return int(path.stem.removeprefix("metrics-"))


def _load(path: Path) -> Segment:
    arrays: dict[str, Any] = archive.read(path)
    metrics = {k[len(_METRIC) :]: x for k, x in arrays.items() if k.startswith(_METRIC)}
    if "seconds" not in arrays or not metrics:
        raise archive.Damaged(f"{path}: expected the metrics of a segment, got {sorted(arrays)}")
    return Segment(metrics, float(arrays["seconds"]))


def _overlaid(segments: list[tuple[int, Segment]], start: int, part: str) -> Segment:
    metrics: dict[str, np.ndarray] = {}
    for first, segment in segments:
        metrics = _append(metrics, first - start, segment.metrics, part, start)
    return Segment(metrics, sum(segment.seconds for _, segment in segments))


def _append(
    metrics: dict[str, np.ndarray],
    first: int,
    segment: dict[str, np.ndarray],
    part: str,
    start: int,
) -> dict[str, np.ndarray]:
    """Returns the metrics up to `first`, then the segment's, then what stood after it."""
    done = length(metrics)
    got = f"the next from {start + first}"
    require(first <= done, part, f"a segment from update {start + done}", got)
    same = not metrics or set(metrics) == set(segment)
    require(same, part, f"the metrics {sorted(metrics)} in each segment", sorted(segment))
    end = first + length(segment)
    empty = next(iter(segment.values()))[:, :0]
    return {
        name: np.concatenate(
            [metrics.get(name, empty)[:, :first], values, metrics.get(name, empty)[:, end:]], axis=1
        )
        for name, values in segment.items()
    }
