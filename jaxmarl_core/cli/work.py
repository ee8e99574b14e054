"""Help with a sweep that others compute, here or on another machine that sees its folder."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxmarl_core.cli.running import CONSOLE, leave_if_stopped, use_all_cores
from jaxmarl_core.errors import require
from jaxmarl_core.report.progress_bar import ProgressBar
from jaxmarl_core.store.number_formats import plural
from jaxmarl_core.sweeps.progress import Silent
from jaxmarl_core.sweeps.sharing import work as compute


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core work`."""
    tyro.cli(work, args=arguments, prog="jaxmarl-core work")


def work(
    folder: Annotated[Path, tyro.conf.Positional],
    wait: bool = True,
    sharing: int = 1,
    quiet: bool = False,
) -> None:
    """Help with a sweep that others compute: take one part after the other that nobody has.

    As many processes as wanted may do so, on any machine that sees the folder; each computes whole
    parts, so cut the sweep into as many when it begins, with `sweep --workers`. Where one dies, or
    is stopped, another goes on with its part. `report` writes the page once all are done.

    Args:
      folder: of a sweep that has begun.
      wait: stay while others compute the last parts, to take over from who dies.
      sharing: processes that share this machine's memory, this one among them.
      quiet: show no progress.
    """
    require(sharing >= 1, "sharing", "at least 1", sharing)
    use_all_cores()
    progress = Silent if quiet else partial(ProgressBar, console=Console(stderr=True))
    with leave_if_stopped(["jaxmarl-core", "work", str(folder)]):
        finished = compute(folder, progress, wait=wait, num_sharing=sharing)
    said = f"{plural(finished, 'part')} of {folder} finished here"
    CONSOLE.print(said, markup=False, soft_wrap=True)
