"""Mirrors of a sweep's results, for those who look at them in TensorBoard or Weights & Biases.

The folder of the sweep stays the owner: a mirror reads it, and can be thrown away and made again.
In a spec: `mirrors = ["tensorboard"]`.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxmarl_core.errors import lookup, package
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.data import env_steps, run_options
from jaxmarl_core.store.tables import Results


class Rows(NamedTuple):
    """What is new of a run: its updates from `first` on."""

    run: int  # its number
    options: dict[str, Any]  # name -> value, as columns of `load_results` are named
    first: int
    env_steps: np.ndarray  # [k] int, played when the update was done
    metrics: dict[str, np.ndarray]  # name -> [k], NaN where nothing was measured


class Writer(Protocol):
    """Where a mirror writes."""

    def write(self, rows: Rows) -> None:
        """Takes what is new of a run; each update comes once, in order."""

    def close(self) -> None:
        """Finishes what is open."""


class Mirror(AbstractContextManager):
    """Copies what is new in the folder of a sweep, now and then and at the end.

        with Mirror(["tensorboard"]) as mirror:
            run(spec, after_segment=mirror)

    What goes wrong in a mirror ends the mirror, with a sentence, and never the sweep.

    Args:
      kinds: of MIRRORS.
      interval: seconds between two looks at the folder.
      say: is told what went wrong.
      clock: returns seconds.

    Raises:
      ValueError: an unknown kind, or one whose package is not installed.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        interval: float = 10.0,
        say: Callable[[str], None] = warnings.warn,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._openers = {kind: lookup(MIRRORS, kind, "mirrors")() for kind in kinds}
        self._interval, self._clock, self._say = interval, clock, say
        self._looked = -interval
        self._folder: Path | None = None
        self._writers: dict[str, Writer] = {}
        self._written: dict[int, int] = {}  # run -> updates

    def __call__(self, folder: Path) -> None:
        """Hears that there may be something new in the folder."""
        self._folder = folder
        if self._openers and self._clock() - self._looked >= self._interval:
            self._look(self._folder)
            self._looked = self._clock()

    def __exit__(self, *_) -> None:
        if self._openers and self._folder is not None:
            self._look(self._folder)
        for kind, writer in list(self._writers.items()):
            self._try(kind, writer.close)

    def _try(self, kind: str, step: Callable[[], None]) -> None:
        """Does a step of one mirror, which ends if it fails; the others go on."""
        try:
            step()
        except Exception as error:
            self._openers.pop(kind)
            self._writers.pop(kind, None)
            self._say(f"mirrors: {kind}: {type(error).__name__}: {error}; going on without")

    def _look(self, folder: Path) -> None:
        results = sweep_folder.read(folder)
        new = new_rows(results, self._written)

        def write(kind: str) -> None:
            if kind not in self._writers:
                self._writers[kind] = self._openers[kind](folder, results)
            for rows in new:
                self._writers[kind].write(rows)

        for kind in list(self._openers):
            self._try(kind, partial(write, kind))
        for rows in new:
            self._written[rows.run] = rows.first + len(rows.env_steps)


def new_rows(results: Results, written: dict[int, int]) -> list[Rows]:
    """Returns what has not been written of each run.

    Args:
      results: of a sweep.
      written: run -> how many of its updates have been.
    """
    steps = env_steps(results)
    found = []
    for place, (record, done) in enumerate(zip(results.runs, results.num_updates_done)):
        first = written.get(record["run"], 0)
        metrics = {name: values[place, first:done] for name, values in results.metrics.items()}
        if first < done:
            told = {"seed": record["seed"], **run_options(results, record)}
            found.append(
                Rows(record["run"], told, first, steps[place, first + 1 : done + 1], metrics)
            )
    return found


def _tensorboard() -> Callable[[Path, Results], Writer]:
    from jaxmarl_core.trackers.tensorboard import TensorBoard

    return partial(TensorBoard, package("tensorboardX", "tensorboard", "mirrors"))


def _wandb() -> Callable[[Path, Results], Writer]:
    from jaxmarl_core.trackers.weights_and_biases import WeightsAndBiases

    return partial(WeightsAndBiases, package("wandb", "wandb", "mirrors"))


MIRRORS = {"tensorboard": _tensorboard, "wandb": _wandb}
