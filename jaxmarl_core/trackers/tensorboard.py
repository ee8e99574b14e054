"""A sweep in TensorBoard: `tensorboard --logdir FOLDER/tensorboard`, a run of ours a run of its.

What stands there of an earlier session is written anew, so that no row is doubled.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.store.tables import Results
from jaxmarl_core.trackers.mirror import Rows

MOST_RUNS = 200  # each keeps a file open


class TensorBoard:
    """Writes scalars by env steps, and the options of each run as text.

    Args:
      tensorboardx: the package.
      folder: of the sweep.
      results: what it holds now.

    Raises:
      ValueError: more than MOST_RUNS runs.
    """

    def __init__(self, tensorboardx: Any, folder: Path, results: Results):
        self._open_writer = tensorboardx.SummaryWriter
        num_runs = len(results.runs)
        fits = num_runs <= MOST_RUNS
        require(fits, "mirrors", f"at most {MOST_RUNS} runs for TensorBoard", num_runs)
        self._folder = folder / "tensorboard"
        self._writers: dict[int, Any] = {}

    def write(self, rows: Rows) -> None:
        """Writes what is new of a run; what was not measured is left out."""
        writer = self._writers.get(rows.run) or self._open(rows)
        for name, values in rows.metrics.items():
            for step, value in zip(rows.env_steps.tolist(), values.tolist()):
                if not np.isnan(value):
                    writer.add_scalar(name, value, step)
        writer.flush()

    def close(self) -> None:
        """Closes all files."""
        for writer in self._writers.values():
            writer.close()

    def _open(self, rows: Rows) -> Any:
        folder = self._folder / f"run-{rows.run:04d}"
        shutil.rmtree(folder, ignore_errors=True)
        writer = self._writers[rows.run] = self._open_writer(str(folder))
        lines = [f"| {name} | {value} |" for name, value in rows.options.items()]
        writer.add_text("options", "\n".join(["| option | value |", "|---|---|", *lines]))
        return writer
