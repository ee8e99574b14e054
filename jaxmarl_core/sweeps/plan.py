"""Which runs of a sweep are computed together: its parts, decided once and written down.

A part is some runs of one variant, of which each device takes an equal share. Whoever goes on with
the sweep computes the same parts, on whatever devices: nothing is cut again when memory or devices
change. What is new in a sweep (more seeds) becomes parts of its own.

    {"parts": [{"folder": "part-000", "variant": 0, "runs": [0, 1], "rows": [0, 0],
                "seeds": [0, 1]}],
     "measured": [{"variant": 0, "devices": 8, "runs_per_device": 1, "bytes_per_device": 81920,
                   "compile_seconds": 1.2}]}

Where a search drops runs (`search.rungs`), a part has a `stage` too, and `rungs` says what was
decided; where runs copy each other (`search.generations`), it has the number of updates `every`
which they do; where they are asked for (`search.batches`), it has the numbers that were `asked`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.spec import Spec, Variant, largest_divisor


class Stage(NamedTuple):
    """What a search lets the runs of a part do: learn up to a rung, or no more."""

    bracket: int
    rung: int
    start: int  # updates done before it
    end: int  # updates; who was dropped stays here
    dropped: bool = False


class Part(NamedTuple):
    """Runs of one variant that are computed together."""

    folder: Path
    index: int  # of the variant among the spec's
    variant: Variant
    numbers: np.ndarray  # [R] of each run in the sweep
    rows: np.ndarray  # [R] of each run's hparams in those of the variant
    seeds: np.ndarray  # [R]
    stage: Stage | None = None  # None: no search drops runs
    every: int = 0  # updates between two times that runs copy each other; 0: never
    asked: dict[str, np.ndarray] | None = None  # name -> [R] f32, in place of those of `rows`

    @property
    def end(self) -> int:
        """The updates that the runs are to have done."""
        return self.variant.schedule.num_updates if self.stage is None else self.stage.end

    @property
    def hparams(self) -> Any:
        """The runs' hparams, leaves [R] f32."""
        found = jax.tree.map(lambda leaf: leaf[self.rows], self.variant.hparams)
        return found.replace(**self.asked) if self.asked else found

    @property
    def num_runs(self) -> int:
        return len(self.numbers)

    def some(self, chosen: slice | np.ndarray, folder: Path) -> "Part":
        """Returns the part of these of its runs alone."""
        runs = (self.numbers[chosen], self.rows[chosen], self.seeds[chosen])
        asked = {n: x[chosen] for n, x in self.asked.items()} if self.asked else None
        return Part(folder, self.index, self.variant, *runs, self.stage, self.every, asked)


def read(out: Path, choices: list[Variant]) -> list[Part]:
    """Returns the parts of the sweep in a folder, as its plan has them; none without a plan."""
    plan = sweep_folder.read_plan(out) or {"parts": []}
    parts = []
    for entry in plan["parts"]:
        plain = re.fullmatch(r"part-\d+", entry["folder"])
        named = f"{out / sweep_folder.PLAN}"
        require(plain is not None, named, 'folders as "part-000"', repr(entry["folder"]))
        within = 0 <= entry["variant"] < len(choices)
        require(within, f"{out / sweep_folder.PLAN}", "variants of the spec", entry["variant"])
        numbers, rows, seeds = (np.asarray(entry[name], int) for name in ("runs", "rows", "seeds"))
        stage = Stage(**entry["stage"]) if "stage" in entry else None
        folder, index, every = out / entry["folder"], entry["variant"], entry.get("every", 0)
        asked = {n: np.asarray(x, np.float32) for n, x in entry.get("asked", {}).items()} or None
        part = Part(folder, index, choices[index], numbers, rows, seeds, stage, every, asked)
        parts.append(part)
    return parts


def write(
    out: Path,
    parts: list[Part],
    measured: list[dict[str, Any]],
    rungs: Sequence[dict[str, Any]] = (),
) -> None:
    """Writes the plan of a sweep; `measured` and `rungs` are added to what it says of them."""
    before = sweep_folder.read_plan(out) or {}
    measured = [*before.get("measured", []), *measured]
    decided = [*before.get("rungs", []), *rungs]
    entries = [
        {
            "folder": part.folder.name,
            "variant": part.index,
            "runs": part.numbers,
            "rows": part.rows,
            "seeds": part.seeds,
            "env_steps_per_update": part.variant.algorithm.env_steps,
            **({"stage": part.stage._asdict()} if part.stage is not None else {}),
            **({"every": part.every} if part.every else {}),
            **({"asked": part.asked} if part.asked else {}),
        }
        for part in parts
    ]
    also = {"rungs": decided} if decided else {}
    sweep_folder.write_plan(out, {"parts": entries, **also, "measured": measured})


def missing(spec: Spec, choices: list[Variant], parts: list[Part], out: Path) -> list[Part]:
    """Returns the runs that the spec asks for and no part has, a part a variant, to be cut.

    Runs are numbered on from those there are; rows of hparams are the slower axis, seeds the
    faster. The folders are not final.
    """
    seeds = spec.first_seed + np.arange(spec.seeds)
    number = 1 + max((int(part.numbers.max()) for part in parts), default=-1)
    found = []
    for index, variant in enumerate(choices):
        have = {
            pair
            for part in parts
            if part.index == index
            for pair in zip(part.rows.tolist(), part.seeds.tolist())
        }
        asked = ((row, seed) for row in range(hp.num_rows(variant.hparams)) for seed in seeds)
        new = np.array([pair for pair in asked if pair not in have], int).reshape(-1, 2)
        if len(new):
            numbers = number + np.arange(len(new))
            found.append(Part(out, index, variant, numbers, new[:, 0], new[:, 1]))
            number += len(new)
    return found


def cut(whole: Part, size: int, folders: Iterator[Path]) -> list[Part]:
    """Returns a part in parts of `size` runs at most, with a folder each."""
    starts = range(0, whole.num_runs, size)
    return [whole.some(slice(start, start + size), next(folders)) for start in starts]


def new_folders(out: Path, parts: list[Part]) -> Iterator[Path]:
    """Yields folders of parts to come: part-000, part-001, ..., after those there are."""
    taken = [int(part.folder.name.removeprefix("part-")) for part in parts]
    number = 1 + max(taken, default=-1)
    while True:
        yield out / f"part-{number:03d}"
        number += 1


def segment(spec: Spec, part: Part, done: int) -> int:
    """Returns the updates in one call of a part's program when some are done.

    It divides those of a stage, of the time between two copies, or of a run, unless the sweep was
    made longer by what that does not divide.
    """
    start = part.stage.start if part.stage is not None else 0
    whole = spec.segment_of(part.every or part.end - start, part.variant.schedule.num_updates)
    left = part.every - done % part.every if part.every else part.end - done
    return largest_divisor(left, whole)


def identity(spec: Spec, part: Part) -> dict[str, Any]:
    """Returns what must be equal for a checkpoint to be gone on with."""
    fields = ("algorithm", "environment", "environment_options", "config", "evaluation")
    asked = {name: value for name, value in spec.to_dict().items() if name in fields}
    asked |= spec.against.to_dict()  # nothing where nobody is, as in checkpoints of old
    hparams = jax.tree.map(np.asarray, part.hparams)
    swept = {
        "static": part.variant.static,
        "seeds": part.seeds.tolist(),
        "hparams": {name: getattr(hparams, name).tolist() for name in hp.names(hparams)},
    }
    return asked | swept


def run_records(part: Part) -> list[dict[str, Any]]:
    """Returns what is written down of each run: number, seed, hparams, swept static options."""
    hparams = jax.tree.map(np.asarray, part.hparams)
    rows = (hp.row(hparams, i) for i in range(part.num_runs))
    return [
        {
            "run": int(number),
            "seed": int(seed),
            "hparams": {name: getattr(row, name) for name in hp.names(row)},
            "static": part.variant.static,
            "env_steps_per_update": part.variant.algorithm.env_steps,
        }
        for number, seed, row in zip(part.numbers, part.seeds, rows)
    ]
