"""Do a published experiment again, beside what was published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.running import CONSOLE, use_all_cores
from jaxmarl_core.experiments import study as studies


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core study`."""
    tyro.cli(study, args=arguments, prog="jaxmarl-core study")


def study(
    name: Annotated[str, tyro.conf.Positional],
    seeds: int | None = None,
    out: Path | None = None,
) -> None:
    """Do a published experiment again, beside what was published.

    Args:
      name: of the study; `jaxmarl-core list` shows them.
      seeds: runs of each setting; by default as many as the study says, at least 100.
      out: the folder to write, new; by default runs/studies/<name>, numbered if taken.
    """
    use_all_cores()
    text, folder = studies.run(name, seeds, out)
    CONSOLE.print(text, markup=False, soft_wrap=True)
    CONSOLE.print(str(folder), markup=False, soft_wrap=True)
