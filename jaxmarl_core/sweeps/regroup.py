"""Moving runs from parts to other parts, with all that they have computed."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.store import segments, sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints, step_path
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.program import state_like
from jaxmarl_core.sweeps.spec import Spec


def checkpoints_of(spec: Spec, part: Part) -> Checkpoints:
    """Returns the checkpoints of a part; ValueError if they are of another program."""
    like = state_like(part.variant, part.num_runs)
    return Checkpoints(part.folder / "checkpoints", plan.identity(spec, part), like)


class Behind(Exception):
    """A checkpoint is damaged, and was put aside: its part is to be computed again from before."""


def move(
    spec: Spec,
    sources: Sequence[Part],
    targets: Sequence[Part],
    say: Callable[[str], None],
    at: int | None = None,
) -> None:
    """Writes the folders of parts whose runs are those of others: metrics, and the newest state.

    The sources stay as they are. Whoever calls this writes the plan next, and then lets them go: a
    crash leaves the sweep as it was, or as it is to be.

    Args:
      spec: of the sweep.
      sources: of one variant, all as far as each other.
      targets: each run in one of the sources; what a try that a crash ended left there goes.
      say: is told of what is damaged, and so passed over.
      at: the updates that the sources have done and saved; None: as many as they have.

    Raises:
      ValueError: the sources are not equally far.
      Behind: one of them cannot be read as it was after `at` updates.
    """
    states, metrics, steps, seconds = [], [], [], 0.0
    for part in sources:
        has_begun = (part.folder / sweep_folder.RUNS).exists()
        covered = segments.covered(part.folder, say) if has_begun else 0
        step, state = checkpoints_of(spec, part).restore(covered, say)
        if at is not None and step != at:
            path = step_path(part.folder / "checkpoints", at)
            with suppress(FileNotFoundError):
                path.rename(path.with_name(f"{path.name}.damaged"))
            raise Behind(f"{path}: expected what can be read")
        found, spent = segments.read(part.folder) if covered else ({}, 0.0)
        states, metrics, steps = [*states, state], [*metrics, found], [*steps, (step, covered)]
        seconds += spent
    require(len(set(steps)) == 1, "parts", "sources that are equally far", steps)
    (step, covered), numbers = steps[0], np.concatenate([part.numbers for part in sources])
    place = {number: index for index, number in enumerate(numbers.tolist())}
    for target in targets:
        chosen = np.array([place[number] for number in target.numbers.tolist()])
        shutil.rmtree(target.folder, ignore_errors=True)
        sweep_folder.write_runs(target.folder, plan.run_records(target))
        if covered:
            own = {name: joined([m[name] for m in metrics])[chosen] for name in metrics[0]}
            share = seconds * target.num_runs / len(numbers)
            segments.write(target.folder, 0, segments.Segment(own, share))
        if states[0] is not None:
            own_state = jax.tree.map(lambda *x, c=chosen: joined(x)[c], *states)
            checkpoints_of(spec, target).save(step, own_state)


def joined(arrays: Sequence[Any]) -> np.ndarray:
    """Returns arrays [R_i, ...] as one [R, ...]; a single one as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
