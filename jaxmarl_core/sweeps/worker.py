"""Running a sweep from the host: parts, segments, files, progress.

A part is one program, which the host calls for a segment of updates at a time. Between two calls
the host writes metrics and, now and then, a checkpoint. Nothing a run computes depends on any of
this: randomness hangs on the number of the update.
"""

import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.store import atomic, schedule, segments, sweep_folder
from jaxmarl_core.store.checkpoint import placed, saved_steps, typed
from jaxmarl_core.store.lease import FILE as LEASE
from jaxmarl_core.store.lease import Lease, Leased, living_holder
from jaxmarl_core.store.tables import first_divergence
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.data_parallel import divided_mesh
from jaxmarl_core.sweeps.memory import bytes_allowed, gib
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.program import Program, Programs, filled, state_like
from jaxmarl_core.sweeps.progress import Progress, Silent, StartProgress
from jaxmarl_core.sweeps.recut import recut
from jaxmarl_core.sweeps.regroup import checkpoints_of
from jaxmarl_core.sweeps.saved_run import (
    SavedRun,
    copied_opponents,
    named_opponents,
    store_opponents,
    trained,
)
from jaxmarl_core.sweeps.search.batches import asked_first, next_batch
from jaxmarl_core.sweeps.search.generations import Generations, by_population, whole_populations
from jaxmarl_core.sweeps.search.rungs import next_stage, staged, total_updates
from jaxmarl_core.sweeps.signals import Stopped as Stopped
from jaxmarl_core.sweeps.signals import StopSignals
from jaxmarl_core.sweeps.spec import Spec, Variant, check_objective, from_dict, naming, variants


class Session(NamedTuple):
    """One process's work on a sweep."""

    spec: Spec
    programs: Programs
    allowed: float  # bytes on each device
    told: Progress
    stop: StopSignals
    lease: Lease
    after_segment: Callable[[Path], None]
    out: Path


def run(
    spec: Spec,
    out: str | Path | None = None,
    resume: bool = False,
    progress: StartProgress = Silent,
    mesh: Mesh | None = None,
    cut_again: bool = False,
    source: str | Path = "",
    after_segment: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Runs a sweep, or what is left of it, and returns its folder (see `sweep_folder.read`).

    Args:
      spec: what to run; checked here before anything is compiled.
      out: the folder to write; by default `runs/<name>`, numbered if that is taken.
      resume: go on with the sweep in `out`, which must be of the same spec but for what may change
        (see `CHANGEABLE`); where there is none, begin.
      progress: who is told how far the sweep is; by default only of what should be read.
      mesh: the devices to spread runs over; all by default.
      cut_again: cut the parts that do not fit on these devices into smaller ones.
      source: the file of the spec, named in what is said of its mistakes.
      after_segment: is called with the folder whenever there is more in it, see `trackers.mirror`.

    Raises:
      ValueError, TypeError: whatever is wrong with the spec; or `out` exists (without `resume`),
        holds another spec (with it), or is being written by another process.
      OSError: the disk does not take what is written; what was written before is whole.
      Stopped: on the first Ctrl-C, SIGTERM or SIGUSR1, once everything is saved.
    """
    start = Start(spec, out, resume, progress, mesh, cut_again, source, after_segment)
    with opened(start) as (session, parts):
        while parts:
            left = [part for part in parts if not is_done(part)]
            for number, part in enumerate(left, 1):
                run_part(session, part, _named_part(part, number, left))
            parts = _next_parts(session, parts)
        after_segment(session.out)
    return session.out


def _named_part(part: Part, number: int, parts: list[Part]) -> str:
    """Returns what a part is called: "part 2 of 3", "the sweep", "... of rung 1"."""
    name = f"part {number} of {len(parts)}" if len(parts) > 1 else "the sweep"
    return name if part.stage is None else f"{name}, up to update {part.end}"


def _next_parts(session: Session, parts: list[Part]) -> list[Part]:
    """Returns the parts that a search goes on with when all are done; none where it has ended."""
    spec, size_of = session.spec, lambda part: _fitting(session, part)
    if spec.halving is not None:
        return next_stage(spec, session.out, parts, size_of, session.told.say)
    if spec.asking is not None:
        return next_batch(spec, session.out, parts, size_of)
    return []


class Start(NamedTuple):
    """What `run` was told."""

    spec: Spec
    out: str | Path | None = None
    resume: bool = False
    progress: StartProgress = Silent
    mesh: Mesh | None = None
    cut_again: bool = False
    source: str | Path = ""
    after_segment: Callable[[Path], None] = lambda folder: None


@contextmanager
def opened(
    start: Start, num_workers: int = 1, num_parts: int = 0
) -> Iterator[tuple[Session, list[Part]]]:
    """Yields a sweep that is planned and written down, and its parts, not yet computed.

    Within it nobody else writes to the folder.

    Args:
      start: what `run` takes; it raises what `run` raises.
      num_workers: processes that are to share the sweep: new runs are cut into parts for each, of
        which each may take its share of a host's memory.
      num_parts: parts to cut new runs into at least, if more than that.
    """
    spec = start.spec
    with naming(start.source):
        mesh = divided_mesh(start.mesh or run_mesh(), spec.devices_per_run)
        opponents = _opponents(spec, start.out, start.resume)
        choices = variants(spec, trained(opponents))
        check_objective(spec, choices)
    with _claimed(spec, start.out, start.resume) as (out, lease):
        is_new = not sweep_folder.is_sweep(out)
        if not is_new:
            _check_same(spec, from_dict(sweep_folder.read_spec(out)), out)
        parts = [] if is_new else plan.read(out, choices)
        noted: list[str] = []
        done = sum(min(begin_of(p, noted.append), p.end) * p.num_runs for p in parts)
        total = total_updates(spec, choices)
        with start.progress(max(total, done), done) as told, StopSignals(told.say) as stop:
            for text in noted:
                told.say(text)
            programs = Programs(choices, mesh, stop.compiling)
            allowed = bytes_allowed(spec.memory_gb, mesh, num_sharing=num_workers)
            session = Session(spec, programs, allowed, told, stop, lease, start.after_segment, out)
            parts = _planned(session, choices, parts, out, max(num_workers, num_parts))
            if start.cut_again:
                whole = "a sweep whose runs do not copy each other"
                require(spec.population is None, "recut", whole, "a population")
                parts = recut(spec, out, parts, lambda part: _fitting_rest(session, part), told.say)
            if is_new:
                store_opponents(out, opponents)
                sweep_folder.create(out, spec.to_dict())
            else:
                sweep_folder.write_spec(out, spec.to_dict())
            if done < total:
                for change in sweep_folder.note_changes(out, sweep_folder.host_facts()):
                    told.say(f"going on with a change: {change}")
            yield session, parts


def scales(variant: Variant) -> dict[str, str]:
    """Returns hparam -> "linear" or "log", as declared."""
    return {f.name: f.metadata["scale"] for f in hp.fields(variant.hparams)}


def load_run_state(folder: str | Path, index: int) -> tuple[Variant, Any]:
    """Returns the variant and the learner's state of run `index` of a sweep, as last saved.

    `state.params` is what `variant.algorithm.policy` acts by. It is read onto the default device,
    whatever devices the sweep ran on. Raises ValueError if no part of the sweep has saved that run.
    """
    folder = Path(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    opponents = copied_opponents(spec.against, folder)
    for part in plan.read(folder, variants(spec, trained(opponents))):
        if index in part.numbers:
            _, raw = checkpoints_of(spec, part).restore(say=warnings.warn)
            require(raw is not None, "run", "one that was saved", f"{index}, which is not yet")
            place = int(np.flatnonzero(part.numbers == index)[0])
            return part.variant, _one_run(part, raw, place)
    raise ValueError(f"run: expected one of the sweep in {folder}, got {index}")


def _one_run(part: Part, raw: Any, place: int) -> Any:
    """Returns the state of one of a part's runs on the default device."""
    rows = jax.tree.map(lambda leaf: leaf[place : place + 1], raw)
    state = typed(state_like(part.variant, 1), rows)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), state)


# ---- parts


def _planned(
    session: Session, choices: list[Variant], parts: list[Part], out: Path, num_parts: int
) -> list[Part]:
    """Returns the parts there are, and those of runs that are new, which the plan now names."""
    new = plan.missing(session.spec, choices, parts, out)
    new = asked_first(session.spec, parts, new)
    new = by_population(session.spec, staged(session.spec, choices, new))
    folders = plan.new_folders(out, parts)
    for number, whole in enumerate(new, 1):
        which = f"program {number} of {len(new)}, " if len(new) > 1 else ""
        session.told.phase(f"compiling {which}to see how many runs fit in memory")
        share = -(-whole.num_runs * len(new) // num_parts)  # of all variants' runs, about
        most = whole.some(slice(0, share), whole.folder)
        parts = [*parts, *plan.cut(whole, _fitting(session, most), folders)]
    if new:
        plan.write(out, parts, session.programs.measured())
    return parts


def _fitting(session: Session, part: Part) -> int:
    """Returns how many of a part's runs to compute together on this machine."""
    start = part.stage.start if part.stage is not None else 0
    length = plan.segment(session.spec, part, start)
    found = session.programs.fitting(part.index, part.num_runs, length, session.allowed)
    if not part.every:
        return found
    return whole_populations(found, hp.num_rows(part.variant.hparams), part.folder.name)


def _fitting_rest(session: Session, part: Part) -> int:
    """Returns the same of a part that is not finished; of one that is, all its runs."""
    return part.num_runs if is_done(part) else _fitting(session, part)


def is_done(part: Part) -> bool:
    """Returns whether a part is as far as it is to come, saved and measured."""
    return begin_of(part, lambda text: None) >= part.end


def begin_of(part: Part, say: Callable[[str], None]) -> int:
    """Returns the update that a part goes on from: saved, and its metrics up to there readable."""
    if not (part.folder / sweep_folder.RUNS).exists():
        return 0
    covered = segments.covered(part.folder, say)
    if part.every:
        covered = min(covered, schedule.covered(part.folder, part.every, part.end, say))
    saved = saved_steps(part.folder / "checkpoints")
    begin = max((step for step in saved if step <= covered), default=0)
    if saved and saved[-1] > covered:
        say(
            f"{part.folder}: expected metrics of {saved[-1]} updates, got those of {covered}; "
            f"going back to update {begin}"
        )
    return begin


def run_part(session: Session, part: Part, where: str) -> None:
    """Computes what is left of a part; the session's lease is on it, or on the whole sweep."""
    spec, told, stop = session.spec, session.told, session.stop
    begin = begin_of(part, lambda text: None)
    if begin >= part.end:
        return
    stop.check(f"before {where}")
    sweep_folder.write_runs(part.folder, plan.run_records(part))
    checkpoints = checkpoints_of(spec, part)
    for folder in (part.folder, checkpoints.folder):
        atomic.sweep_up(folder)
    begin, saved_state = checkpoints.restore(begin, told.say)
    told.phase(f"compiling {where}")
    length = plan.segment(spec, part, begin)
    program = session.programs.get(part.index, part.num_runs, length)
    _check_fits(session, part, program)
    seeds, rows = filled(part.seeds, part.hparams, session.programs.mesh)
    keys, state = stop.waiting(program.start, seeds, rows)
    if saved_state is not None:
        del state
        state, saved_state = placed(program.state, saved_state), None
    told.phase(f"training {where}")
    _check_metrics(part, program)
    generations = None
    if part.every:
        generations = Generations(spec, part, program, session.programs.mesh, begin)
        _, rows = filled(part.seeds, generations.hparams(), session.programs.mesh)
    saved, diverged = time.monotonic(), sweep_folder.diverged(part.folder, begin)
    for first in range(begin, part.end, length):
        began = time.monotonic()
        state, metrics = stop.waiting(_segment, program, keys, state, rows, first)
        metrics = {name: values[: part.num_runs] for name, values in metrics.items()}
        session.lease.check()
        sweep_folder.write_segment(part.folder, first, metrics, time.monotonic() - began)
        reached = first + length
        session.lease.check()  # a disk may hang, and another take over meanwhile
        segments.join(part.folder, reached)
        diverged |= first_divergence(metrics) >= 0
        if generations is not None:
            generations.note(metrics)
            if reached % part.every == 0 and reached < part.end:
                state, rows, parents = generations.change(reached, state, rows, diverged)
                diverged = diverged[parents]
        told.advance(part.num_runs * length, _note(spec, metrics, diverged))
        session.after_segment(session.out)
        due = time.monotonic() - saved >= spec.checkpoint_seconds
        if due or stop.asked is not None or reached >= part.end:
            session.lease.check()
            checkpoints.save(reached, state)
            saved = time.monotonic()
        if reached < part.end:
            stop.check(f"after update {reached} of {where}")
    session.lease.check()
    segments.join_all(part.folder)


def _segment(
    program: Program, keys: jax.Array, state: Any, rows: Any, first: int
) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns the states after a segment, and its metrics in host memory."""
    state, metrics = program.segment(keys, state, rows, jnp.int32(first))
    return state, {name: np.asarray(values) for name, values in metrics.items()}


def _check_metrics(part: Part, program: Program) -> None:
    """Raises ValueError if another version of a learner reported other metrics for this part."""
    before, now = segments.names(part.folder), set(program.metrics)
    both = f"{sorted(before - now)} are gone, {sorted(now - before)} are new"
    require(not before or before == now, f"{part.folder}", "the metrics that it has", both)


def _check_fits(session: Session, part: Part, program: Program) -> None:
    num_devices = session.programs.mesh.size
    needed, allowed = program.num_bytes * num_devices, session.allowed * num_devices
    require(
        needed <= allowed,
        "memory_gb",
        f"at least {gib(needed)}, what the {part.num_runs} runs of {part.folder.name} need",
        f"{gib(allowed)}; --recut cuts the part into smaller ones",
    )


def _note(spec: Spec, metrics: dict[str, np.ndarray], diverged: np.ndarray) -> str:
    """Returns the latest objective of the best run, and how many of all runs diverged so far."""
    names = [spec.objective] if spec.objective else [n for n in metrics if "return" in n]
    words = []
    for name in names[:1]:
        values = metrics.get(name, np.zeros((0, 0)))
        if np.isfinite(values).any():
            best = np.nanmax(values) if spec.higher_is_better else np.nanmin(values)
            words.append(f"best {name} {best:.3g}")
    return ", ".join(words + ([f"{diverged.sum()} diverged"] if diverged.any() else []))


# ---- folders

CHANGEABLE = (
    "name", "title", "label", "objective", "higher_is_better", "statistic", "last",
    "checkpoint_seconds", "memory_gb", "devices_per_run", "segment", "mirrors",
)  # fmt: skip
GROWING = ("seeds", "updates", "env_steps")
DECIDING = ("objective", "higher_is_better", "statistic", "last")  # what a search has gone by


@contextmanager
def _claimed(spec: Spec, out: str | Path | None, resume: bool) -> Iterator[tuple[Path, Lease]]:
    """Yields the folder of the sweep and the lease on it; a new folder that stays empty goes."""
    folder, is_ours = _folder(spec, out, resume)
    try:
        with Lease(folder) as lease:
            _check_usable(folder, resume)  # again, now that nobody else writes to it
            _check_alone(folder)
            atomic.sweep_up(folder)
            yield folder, lease
    finally:
        if is_ours:
            with suppress(OSError):  # it has something in it
                folder.rmdir()


def _folder(spec: Spec, out: str | Path | None, resume: bool) -> tuple[Path, bool]:
    """Returns the folder to write, which exists, and whether it was made here.

    Making a folder is one step that fails where it is there: of two sweeps that start together
    under one name, each has its own.
    """
    base = _named(spec, out, resume)
    if out or resume:
        _check_usable(base, resume)
        is_new = not base.exists()
        base.mkdir(parents=True, exist_ok=True)
        return base, is_new
    base.parent.mkdir(parents=True, exist_ok=True)
    for folder in itertools.chain([base], _numbered(base)):
        with suppress(FileExistsError):
            folder.mkdir()
            return folder, True
    raise AssertionError("numbers do not end")


def _named(spec: Spec, out: str | Path | None, resume: bool) -> Path:
    """Returns the folder that was named; without a name the spec's own, or the newest of those."""
    base = Path(out) if out else Path("runs") / spec.folder_name
    if out or not resume:
        return base
    taken = [base] if base.exists() else []
    for folder in _numbered(base):
        if not folder.exists():
            break
        taken.append(folder)
    return taken[-1] if taken else base


def _opponents(spec: Spec, out: str | Path | None, resume: bool) -> dict[str, SavedRun]:
    """Returns group -> its trained opponent: as a sweep that goes on has it, or by its name."""
    there = _named(spec, out, resume)
    if not (resume and sweep_folder.is_sweep(there)):
        return named_opponents(spec.against)
    saved = from_dict(sweep_folder.read_spec(there))
    if saved.against != spec.against:
        _check_same(spec, saved, there)
    return copied_opponents(spec.against, there)


def _check_usable(folder: Path, resume: bool) -> None:
    usable = sweep_folder.is_free(folder) or (resume and sweep_folder.is_sweep(folder))
    new = "a new folder or a sweep" if resume else "a new folder"
    advice = "another name" if resume else "use --resume or another name"
    require(usable, "out", new, f"{folder} ({advice})")


def _check_alone(folder: Path) -> None:
    """Raises Leased where somebody computes a part of the sweep, see `sharing`."""
    for part in sorted(path.parent for path in folder.glob(f"*/{LEASE}")):
        who = living_holder(part)
        if who is not None:
            raise Leased(
                f"out: expected a sweep that nobody works on, got {folder}, of which process "
                f"{who.get('pid')} on {who.get('host')} has computed {part.name} since "
                f"{who.get('since')}; `jaxmarl-core work {folder}` helps"
            )


def _numbered(base: Path) -> Iterator[Path]:
    number = 2
    while True:
        yield base.with_name(f"{base.name}-{number}")
        number += 1


def _check_same(spec: Spec, there: Spec, out: Path) -> None:
    """Raises ValueError unless a spec asks for what the sweep in a folder is, or for more of it."""
    ours, theirs = (json.loads(json.dumps(s.to_dict())) for s in (spec, there))
    for name in ours:
        whose = f"{theirs[name]!r}, that of the sweep in {out}"
        if name in GROWING and not spec.search:
            require(ours[name] >= theirs[name], name, f"at least {whose}", repr(ours[name]))
        elif name not in CHANGEABLE or (spec.search and name in DECIDING):
            require(ours[name] == theirs[name], name, whose, repr(ours[name]))
