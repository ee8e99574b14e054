"""Watch a sweep from another terminal or machine: parts done, who computes which, time left."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.cli.running import CONSOLE
from jaxmarl_core.errors import require
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.lease import living_holder
from jaxmarl_core.store.number_formats import duration, number, plural
from jaxmarl_core.store.tables import final
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.sharing import reached
from jaxmarl_core.sweeps.spec import Spec, from_dict


class PartState(NamedTuple):
    """How far a part is, and who computes it."""

    name: str
    num_runs: int
    num_updates: int  # that are on disk
    end: int  # the updates that it is to have
    holder: dict[str, Any] | None  # what its lease says, or that of the whole sweep


class Glance(NamedTuple):
    """A sweep at a moment."""

    spec: Spec
    parts: list[PartState]
    clock: float  # seconds, of the moment
    best: str  # the best figure so far, in words; "" before any
    to_come: int = 0  # updates, about, that a search will ask for when the parts there are are done

    @property
    def total(self) -> int:
        """Returns the updates of all runs."""
        return self.to_come + sum(part.end * part.num_runs for part in self.parts)

    @property
    def done(self) -> int:
        """Returns how many of them are on disk, about."""
        return sum(min(part.num_updates, part.end) * part.num_runs for part in self.parts)


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core watch`."""
    tyro.cli(watch, args=arguments, prog="jaxmarl-core watch")


def watch(
    folder: Annotated[Path, tyro.conf.Positional],
    once: bool = False,
    every: float = 5.0,
) -> None:
    """Watch a sweep from another terminal or machine: parts done, who computes which, time left.

    Only reads, and may be left at any time; ends when the sweep is done. Where there is no
    terminal it prints a line at each look.

    Args:
      folder: of a sweep that has begun.
      once: look once and leave.
      every: seconds between two looks.
    """
    require(sweep_folder.is_sweep(folder), "folder", "that of a sweep", folder)
    require(every > 0, "every", "above 0 seconds", every)
    first = glance(folder)
    if once or not CONSOLE.is_terminal:
        last = first
        while True:
            CONSOLE.print(in_words(last, first), markup=False, soft_wrap=True)
            if once or last.done >= last.total:
                return
            time.sleep(every)
            last = glance(folder)
    with Live(console=CONSOLE, auto_refresh=False) as live:
        last = first
        while True:
            live.update(Group(table(last), in_words(last, first)), refresh=True)
            if last.done >= last.total:
                return
            time.sleep(every)
            last = glance(folder)


def glance(folder: Path) -> Glance:
    """Returns how far a sweep is by its files' names, and the best figure of what they hold."""
    spec = from_dict(sweep_folder.read_spec(folder))
    whole = _holder(folder)
    plan = sweep_folder.read_plan(folder) or {"parts": []}
    parts, to_come, num_planned, whole_run = [], 0, 0, 0
    for entry in plan["parts"]:
        part = folder / entry["folder"]
        done = reached(part)
        holder = _holder(part) if part.is_dir() else None
        whole_run = spec.num_updates(entry.get("env_steps_per_update", 1))
        stage = entry.get("stage", {})
        end = stage.get("end", whole_run)  # a rung of a search
        num_planned += len(entry["runs"])
        if spec.halving is not None and not stage.get("dropped", False):
            survivors = -(-len(entry["runs"]) // spec.halving.eta)
            to_come += (whole_run - end) * survivors
        holder = holder or (whole if 0 < done < end else None)
        parts.append(PartState(part.name, len(entry["runs"]), done, end, holder))
    if spec.asking is not None and parts:
        to_come = (spec.random["num"] * spec.seeds - num_planned) * whole_run
    return Glance(spec, parts, time.monotonic(), _best(folder, spec), to_come)


def _holder(folder: Path) -> dict[str, Any] | None:
    """Returns who holds a folder; None where nobody does, or where it cannot be told."""
    try:
        return living_holder(folder)
    except OSError:  # a disk that can only be read has no clock to ask
        return None


def _best(folder: Path, spec: Spec) -> str:
    try:
        results = sweep_folder.read(folder)
    except (OSError, ValueError):  # a file was joined with others just now
        return ""
    if not results.metrics:
        return ""
    goal = objective(spec, results)
    figures = final(results, goal)
    if goal.metric not in results.metrics or np.isnan(figures).all():
        return ""
    run = int(np.nanargmax(figures) if goal.higher_is_better else np.nanargmin(figures))
    lost = int(np.sum(results.diverged_at >= 0))
    best = f"best {goal.metric} {number(float(figures[run]))} of run {results.runs[run]['run']}"
    return best + (f", {plural(lost, 'run')} diverged" if lost else "")


def in_words(last: Glance, first: Glance) -> str:
    """Returns a line: what is done, who is at work, the best figure, the time left.

    Args:
      last: the latest look.
      first: the first one, from which on the speed is counted.
    """
    done = sum(part.num_updates >= part.end for part in last.parts)
    holders = {(x.holder["host"], x.holder["pid"]) for x in last.parts if x.holder is not None}
    words = [
        f"{100 * last.done / max(last.total, 1):.1f} %",
        f"{done} of {plural(len(last.parts), 'part')} done",
        f"{len(holders)} process{'' if len(holders) == 1 else 'es'} at work",
    ]
    if last.best:
        words.append(last.best)
    speed = (last.done - first.done) / max(last.clock - first.clock, 1e-9)
    if last.done >= last.total > 0:
        words.append("all is done")
    elif not holders:
        words.append("nobody computes it")
    elif speed > 0:
        words.append(f"about {duration((last.total - last.done) / speed)} left")
    return ", ".join(words)


def table(last: Glance) -> Table:
    """Returns a row for each part that is not done, and how many are."""
    shown = Table(box=SIMPLE_HEAD)
    for name in ("part", "runs", "updates", "computed by", "since"):
        shown.add_column(name, justify="right" if name in ("runs", "updates") else "left")
    for part in last.parts:
        if part.num_updates < part.end:
            who = part.holder
            by = f"process {who['pid']} on {who['host']}" if who else "nobody"
            progress = f"{part.num_updates:,} of {part.end:,}"
            since = str(who.get("since", "")) if who else ""
            shown.add_row(part.name, str(part.num_runs), progress, escape(by), escape(since))
    return shown
