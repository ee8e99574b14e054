"""Running a sweep from the host: parts, segments, files, progress.

The runs of a variant are cut into parts that fit in memory; a part is one program, which the host
calls for a segment of updates at a time. Between two calls the host writes metrics and, now and
then, a checkpoint. Nothing a run computes depends on any of this: randomness hangs on the number of
the update.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.store.tables import Objective, Results, first_divergence
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.batch import run_mesh, sharded
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.progress import Progress, Silent, StartProgress
from jaxmarl_core.sweeps.spec import Spec, Variant, from_dict, variants
from jaxmarl_core.train import make_train


class Stopped(Exception):
    """The sweep was asked to stop; all that was done is saved."""


def run(
    spec: Spec,
    out: str | Path | None = None,
    resume: bool = False,
    progress: StartProgress = Silent,
) -> Path:
    """Runs a sweep, or what is left of it, and returns its folder (see `sweep_folder.read`).

    Args:
      spec: what to run; checked here before anything is compiled.
      out: the folder to write; by default `runs/<name>`, numbered if that is taken.
      resume: go on with the sweep in `out`, which must be of the same spec.
      progress: who is told how far the sweep is; nobody by default.

    Raises:
      ValueError, TypeError: whatever is wrong with the spec; or `out` exists (without `resume`), or
        holds another spec (with it).
      Stopped: on the first Ctrl-C, once everything is saved.
    """
    choices = variants(spec)
    out = Path(out) if out else _default_folder(spec, resume)
    todo = list(plan.cut(spec, choices, out))
    if resume:
        _check_same(spec, from_dict(sweep_folder.read_spec(out)), out)
    else:
        sweep_folder.create(out, spec.to_dict())
    total = sum(len(part.numbers) for part in todo) * spec.updates
    with _graceful() as stop, progress(total, _done(todo)) as told:
        for number, part in enumerate(todo, 1):
            where = f"part {number} of {len(todo)}" if len(todo) > 1 else "the sweep"
            _run_part(spec, part, told, where, stop)
    return out


def objective(spec: Spec, results: Results) -> Objective:
    """Returns what the spec ranks runs by: its objective, or the first return it measured."""
    measured = [name for name in results.metrics if name.startswith(("eval_return", "eval_win"))]
    measured += [name for name in results.metrics if name.startswith("episode_return")]
    metric = spec.objective or (measured[0] if measured else next(iter(results.metrics)))
    return Objective(metric, spec.higher_is_better)


def scales(variant: Variant) -> dict[str, str]:
    """Returns hparam -> "linear" or "log", as declared."""
    return {f.name: f.metadata["scale"] for f in hp.fields(variant.hparams)}


def load_run_state(folder: str | Path, index: int) -> tuple[Variant, Any]:
    """Returns the variant and the learner's state of run `index` of a sweep, as last saved.

    `state.params` is what `variant.algorithm.policy` acts by. Raises ValueError if no part of the
    sweep has saved that run.
    """
    folder = Path(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    for part in plan.cut(spec, variants(spec), folder):
        if index in part.numbers:
            with Checkpoints(
                part.folder / "checkpoints", plan.program(spec, part), plan.like(part)
            ) as c:
                _, state = c.restore()
            place = int(np.flatnonzero(part.numbers == index)[0])
            return part.variant, hp.row(state, place)
    raise ValueError(f"run: expected one of the sweep in {folder}, got {index}")


def _run_part(
    spec: Spec, part: Part, progress: Progress, where: str, stop: Callable[[], bool]
) -> None:
    mesh, length = run_mesh(), spec.segment_length
    variant, num_runs = part.variant, len(part.numbers)
    sweep_folder.write_runs(part.folder, plan.run_records(part))
    like = plan.like(part)
    with Checkpoints(part.folder / "checkpoints", plan.program(spec, part), like) as checkpoints:
        done = checkpoints.latest() or 0
        if done >= spec.updates:
            return
        progress.phase(f"compiling {where}")
        seeds, rows = plan.padded(part, mesh)
        schedule = variant.schedule._replace(num_updates=length)
        _, resume = make_train(variant.algorithm, variant.env, schedule)
        keys, state = plan.starter(part, mesh)(seeds, rows)
        segment = sharded(resume, mesh, (0, 0, 0, None), donate=(1,))
        program = segment.lower(keys, state, rows, jnp.int32(0)).compile()
        if done:
            del state
            _, state = checkpoints.restore()
        progress.phase(f"training {where}")
        saved, diverged = time.monotonic(), sweep_folder.diverged(part.folder, done)
        for first in range(done, spec.updates, length):
            began = time.monotonic()
            state, metrics = program(keys, state, rows, jnp.int32(first))
            metrics = {name: np.asarray(x)[:num_runs] for name, x in metrics.items()}
            seconds = time.monotonic() - began
            sweep_folder.write_segment(part.folder, first, metrics, seconds)
            diverged |= first_divergence(metrics) >= 0
            progress.advance(num_runs * length, _note(spec, metrics, diverged))
            reached = first + length
            due = time.monotonic() - saved >= spec.checkpoint_seconds
            if due or stop() or reached >= spec.updates:
                checkpoints.save(reached, state)
                saved = time.monotonic()
            if stop() and reached < spec.updates:
                raise Stopped(f"stopped after update {reached} of {where}")
    if stop():
        raise Stopped(f"stopped after {where}")


def _note(spec: Spec, metrics: dict[str, np.ndarray], diverged: np.ndarray) -> str:
    """Returns the latest objective of the best run, and how many of all runs diverged so far."""
    names = [spec.objective] if spec.objective else [n for n in metrics if "return" in n]
    words = []
    for name in names[:1]:
        values = metrics.get(name, np.zeros((0, 0)))
        if np.isfinite(values).any():
            words.append(f"best {name} {np.nanmax(values):.3g}")
    return ", ".join(words + ([f"{diverged.sum()} diverged"] if diverged.any() else []))


# ---- folders and signals


def _default_folder(spec: Spec, resume: bool) -> Path:
    base = Path("runs") / spec.folder_name
    numbered = (base.with_name(f"{base.name}-{i}") for i in range(2, 10**6))
    taken = [base] if base.exists() else []
    for folder in numbered:
        if not folder.exists():
            break
        taken.append(folder)
    if resume:
        require(bool(taken), "out", "a sweep to resume", f"nothing at {base}")
        return taken[-1]
    return folder if taken else base


def _check_same(spec: Spec, there: Spec, out: Path) -> None:
    ours, theirs = (json.loads(json.dumps(s.to_dict())) for s in (spec, there))
    for name in ours:
        if name not in ("name", "title", "checkpoint_seconds", "objective", "higher_is_better"):
            same = ours[name] == theirs[name]
            require(same, name, f"{theirs[name]!r}, that of the sweep in {out}", repr(ours[name]))


def _done(todo: list[Part]) -> int:
    """Returns the updates, over all runs, that checkpoints of an earlier session hold."""
    done = 0
    for part in todo:
        steps = part.folder / "checkpoints" / "steps"
        found = [int(p.name) for p in steps.glob("*") if p.name.isdigit()] if steps.exists() else []
        done += max(found, default=0) * len(part.numbers)
    return done


@contextmanager
def _graceful() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a wish, told by the function it yields; the second one kills."""
    asked = []

    def ask(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: nobody can press Ctrl-C here
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
