"""Run the sweep a TOML file describes and write its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.running import run_and_show, use_all_cores
from jaxmarl_core.sweeps.spec import load


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core sweep`."""
    tyro.cli(sweep, args=arguments, prog="jaxmarl-core sweep")


def sweep(
    spec: Annotated[Path, tyro.conf.Positional],
    out: Path | None = None,
    resume: bool = False,
    recut: bool = False,
    quiet: bool = False,
) -> None:
    """Run the sweep a TOML file describes and write its report.

    Args:
      spec: the file; experiments/specs/battle_mfq.toml is one to start from.
      out: the folder to write, new; by default runs/<name of the spec>, numbered if taken.
      resume: go on with the sweep in that folder (by default the newest of that name); where there
        is none, begin it. Title, objective, more updates and more seeds are taken from the file.
      recut: with --resume, cut what does not fit in this machine's memory into smaller parts; the
        runs' last bits may then differ from what the parts as they are would have given.
      quiet: show no progress.
    """
    use_all_cores()
    line = ["jaxmarl-core", "sweep", str(spec)]
    run_and_show(load(spec), out, resume, quiet, line, recut, spec)
