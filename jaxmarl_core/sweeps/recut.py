"""Cutting parts that do not fit on this machine into smaller ones, with all they have computed."""

import shutil
from collections.abc import Callable
from pathlib import Path

from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.regroup import move
from jaxmarl_core.sweeps.spec import Spec


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
            move(spec, [part], pieces, say)
            say(
                f"{part.folder.name} ({part.num_runs} runs) is cut into {len(pieces)} parts; from "
                "here on its runs may differ in their last bits from what it would have computed"
            )
    if old:
        plan.write(out, now, [])
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return now
