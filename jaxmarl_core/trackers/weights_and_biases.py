"""A sweep in Weights & Biases, offline: `wandb sync FOLDER/wandb/offline-run-*` sends it.

The sweep's folder is the group, each run one of its runs. They are written when the sweep ends or
stops, as wandb has one run open at a time; WANDB_MODE=online sends them at once. A sweep that goes
on adds to the same runs: their ids hang on the folder's name, its date and the run's number.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxmarl_core.store import atomic
from jaxmarl_core.store.tables import Results
from jaxmarl_core.trackers.mirror import Rows

WRITTEN = "wandb-written.json"  # run -> how many of its updates there are


class WeightsAndBiases:
    """Collects what is new, and writes it when it is closed.

    Args:
      wandb: the package.
      folder: of the sweep.
      results: what it holds now.
    """

    def __init__(self, wandb: Any, folder: Path, results: Results):
        self._wandb = wandb
        self._folder, self._title = folder, results.spec.get("title") or folder.name
        self._project = os.environ.get("WANDB_PROJECT", "jaxmarl-core")
        self._sweep = zlib.crc32(f"{folder.name} {results.facts.get('date')}".encode())
        self._new: dict[int, list[Rows]] = {}

    def write(self, rows: Rows) -> None:
        """Keeps what is new of a run."""
        self._new.setdefault(rows.run, []).append(rows)

    def close(self) -> None:
        """Writes every run of which there is something new."""
        path = self._folder / WRITTEN
        written = json.loads(path.read_text("utf-8")) if path.exists() else {}
        for number, pieces in self._new.items():
            written[str(number)] = self._log(number, pieces, written.get(str(number), 0))
            atomic.write(path, json.dumps(written) + "\n")

    def _log(self, number: int, pieces: list[Rows], begin: int) -> int:
        """Writes the updates of a run from `begin` on; returns how many there are then."""
        done = pieces[-1].first + len(pieces[-1].env_steps)
        if begin >= done:
            return begin
        run = self._wandb.init(
            project=self._project,
            group=self._title,
            name=f"{self._title} {number}",
            id=f"{self._sweep:08x}-{number}",
            dir=self._folder,
            config=pieces[0].options,
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            settings=self._wandb.Settings(silent=True),
        )
        for rows in pieces:
            for i, steps in enumerate(rows.env_steps.tolist()):
                row = {name: float(values[i]) for name, values in rows.metrics.items()}
                measured = {name: x for name, x in row.items() if not np.isnan(x)}
                if rows.first + i >= begin:
                    run.log(measured | {"env_steps": steps}, step=rows.first + i)
        run.finish()
        return done
