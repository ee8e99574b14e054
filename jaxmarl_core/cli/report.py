"""Write the report of a sweep again, finished or not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.running import show, use_all_cores


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core report`."""
    tyro.cli(report, args=arguments, prog="jaxmarl-core report")


def report(folder: Annotated[Path, tyro.conf.Positional]) -> None:
    """Write the report of a sweep again, finished or not.

    Args:
      folder: that of the sweep, under runs/.
    """
    use_all_cores()
    show(folder)
