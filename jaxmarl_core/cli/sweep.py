"""Run the sweep a TOML file describes and write its report."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.plan import show_size
from jaxmarl_core.cli.running import run_and_show, use_all_cores
from jaxmarl_core.cli.suites import run_suite
from jaxmarl_core.sweeps.spec import load
from jaxmarl_core.sweeps.suite_spec import is_suite


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core sweep`."""
    tyro.cli(sweep, args=arguments, prog="jaxmarl-core sweep")


def sweep(
    spec: Annotated[Path, tyro.conf.Positional],
    out: Path | None = None,
    resume: bool = False,
    recut: bool = False,
    workers: int = 0,
    quiet: bool = False,
    dry_run: bool = False,
) -> None:
    """Run the sweep a TOML file describes and write its report.

    A file with [algorithms] and [environments] describes a suite: a sweep of each algorithm on each
    world, one after another, in folders of their own, which `jaxmarl-core aggregate` reads.

    Args:
      spec: the file; experiments/specs/battle_mfq.toml is one to start from.
      out: the folder to write, new; by default runs/<name of the spec>, numbered if taken.
      resume: go on with the sweep in that folder (by default the newest of that name); where there
        is none, begin it. Title, objective, more updates and more seeds are taken from the file.
      recut: with --resume, cut what does not fit in this machine's memory into smaller parts; the
        runs' last bits may then differ from what the parts as they are would have given.
      workers: processes of this machine that share the sweep, cut into a part for each and more, a
        GPU or its share of the cores each; 0: this one alone. What one says stands in
        worker-0.log and so on in the folder; more may help, see `jaxmarl-core work`.
      quiet: show no progress.
      dry_run: check the file, say how many runs and env steps it asks for, and what a search would
        leave out, and compute nothing; `jaxmarl-core plan` compiles and says more.
    """
    if is_suite(spec):
        run_suite(spec, out, resume, quiet, dry_run, {"recut": recut, "workers": bool(workers)})
        return
    if workers:  # who plans leaves an accelerator's memory to those who compute
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    use_all_cores()
    if dry_run:
        show_size(load(spec), spec)
        return
    line = ["jaxmarl-core", "sweep", str(spec)]
    line += ["--workers", str(workers)] if workers else []
    run_and_show(load(spec), out, resume, quiet, line, recut, spec, workers)
