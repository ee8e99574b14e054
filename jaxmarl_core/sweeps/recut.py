"""Cutting parts that do not fit on this machine into smaller ones, with all they have computed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import jax

from jaxmarl_core.store import segments, sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.program import state_like
from jaxmarl_core.sweeps.spec import Spec


def checkpoints_of(spec: Spec, part: Part) -> Checkpoints:
    """Returns the checkpoints of a part; ValueError if they are of another program."""
    like = state_like(part.variant, part.num_runs)
    return Checkpoints(part.folder / "checkpoints", plan.identity(spec, part), like)


def recut(
    spec: Spec,
    out: Path,
    parts: list[Part],
    size_of: Callable[[Part], int],
    say: Callable[[str], None],
) -> list[Part]:
    """Returns the parts after those with more than `size_of` runs were cut, files and all.

    The new parts are written first, then the plan that names them, and then the old ones go: a
    crash leaves the sweep as it was, or as it is to be.
    """
    folders = plan.new_folders(out, parts)
    now, old = [], []
    for part in parts:
        size = size_of(part)
        pieces = plan.cut(part, size, folders) if size < part.num_runs else [part]
        now += pieces
        if len(pieces) > 1:
            old.append(part.folder)
            _copy(spec, part, pieces, size, say)
            say(
                f"{part.folder.name} ({part.num_runs} runs) is cut into {len(pieces)} parts; from "
                "here on its runs may differ in their last bits from what it would have computed"
            )
    if old:
        plan.write(out, now, [])
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return now


def _copy(
    spec: Spec, part: Part, pieces: list[Part], size: int, say: Callable[[str], None]
) -> None:
    has_begun = (part.folder / sweep_folder.RUNS).exists()
    covered = segments.covered(part.folder, say) if has_begun else 0
    step, state = checkpoints_of(spec, part).restore(covered, say)
    metrics, seconds = segments.read(part.folder) if covered else ({}, 0.0)
    for number, piece in enumerate(pieces):
        chosen = slice(number * size, number * size + size)
        shutil.rmtree(piece.folder, ignore_errors=True)  # of a try that a crash ended
        sweep_folder.write_runs(piece.folder, plan.run_records(piece))
        if metrics:
            own = {name: values[chosen] for name, values in metrics.items()}
            share = seconds * piece.num_runs / part.num_runs
            segments.write(piece.folder, 0, segments.Segment(own, share))
        if state is not None:
            checkpoints_of(spec, piece).save(step, jax.tree.map(lambda x, c=chosen: x[c], state))
