"""What a population changed, on disk: who copied whom after which update, and with which numbers.

    part-000/schedule.npz   updates [E], parents [E, R], figures [E, R], hparams.NAME [E, R]

The file is written anew, whole, at each of the E times, before any state that depends on it is
saved. Runs are positions in the part.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmarl_core.store import archive

FILE = "schedule.npz"
_HPARAM = "hparams."


class Schedule(NamedTuple):
    """The E times at which runs [R] of a part copied each other."""

    updates: np.ndarray  # [E] int, updates done before
    parents: np.ndarray  # [E, R] int, whose state and hparams each run went on with
    figures: np.ndarray  # [E, R] f64, what they were ranked by
    hparams: Mapping[str, np.ndarray]  # name -> [E, R] f32, what they went on with

    def until(self, num_updates: int) -> "Schedule":
        """Returns what was changed after so many updates at the latest."""
        num = int(np.sum(self.updates <= num_updates))
        own = {name: values[:num] for name, values in self.hparams.items()}
        return Schedule(self.updates[:num], self.parents[:num], self.figures[:num], own)

    def appended(
        self,
        update: int,
        parents: np.ndarray,
        figures: np.ndarray,
        hparams: Mapping[str, np.ndarray],
    ) -> "Schedule":
        """Returns the schedule with one time more."""
        add = lambda values, row: np.concatenate([values, np.asarray(row)[None]])
        own = {name: add(values, hparams[name]) for name, values in self.hparams.items()}
        return Schedule(
            add(self.updates, update), add(self.parents, parents), add(self.figures, figures), own
        )

    def last_copies(self) -> np.ndarray:
        """Returns [R] int, the update after which each run last copied another; 0 for never."""
        copied = self.parents != np.arange(self.parents.shape[1])
        times = np.where(copied, self.updates[:, None], 0)
        return times.max(axis=0, initial=0).astype(int)

    def ancestors(self, run: int) -> np.ndarray:
        """Returns [E + 1] int: the run whose state became that of `run`, in each interval."""
        line = [run]
        for parents in self.parents[::-1]:
            line.append(int(parents[line[-1]]))
        return np.array(line[::-1])


def empty(num_runs: int, names: tuple[str, ...]) -> Schedule:
    """Returns the schedule of runs that have not copied each other yet."""
    nothing = np.zeros((0, num_runs))
    own = {name: nothing.astype(np.float32) for name in names}
    return Schedule(np.zeros(0, int), nothing.astype(int), nothing, own)


def write(part_folder: str | os.PathLike, schedule: Schedule) -> None:
    """Writes the schedule of a part in place of the one before it."""
    fields = [(name, getattr(schedule, name)) for name in ("updates", "parents", "figures")]
    own = [(_HPARAM + name, values) for name, values in schedule.hparams.items()]
    archive.write(Path(part_folder) / FILE, [*fields, *own])


def read(part_folder: str | os.PathLike) -> Schedule | None:
    """Returns the schedule of a part, None without one; raises archive.Damaged, naming the file."""
    path = Path(part_folder) / FILE
    if not path.exists():
        return None
    arrays = archive.read(path)
    own = {n.removeprefix(_HPARAM): x for n, x in arrays.items() if n.startswith(_HPARAM)}
    try:
        return Schedule(arrays["updates"], arrays["parents"], arrays["figures"], own)
    except KeyError as error:
        raise archive.Damaged(f"{path}: expected a schedule, got one without {error}") from error


def covered(
    part_folder: str | os.PathLike, every: int, end: int, say: Callable[[str], None]
) -> int:
    """Returns the updates up to which it is known with which numbers a part's runs learnt.

    A damaged file is put aside, under its name with `.damaged` behind it, and `say` is told.

    Args:
      part_folder: of the part.
      every: updates between two times.
      end: updates of the runs, at which nobody copies.
      say: is told of what is damaged.
    """
    try:
        schedule = read(part_folder)
    except archive.Damaged as error:
        say(f"{error}; the part is computed again")
        path = Path(part_folder) / FILE
        path.rename(path.with_name(f"{path.name}.damaged"))
        schedule = None
    num = 0 if schedule is None else len(schedule.updates)
    reach = (num + 1) * every  # where the next time is, which a state saved there has behind it
    return end if reach >= end else reach - 1
