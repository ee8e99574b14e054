"""Run the sweep a TOML file describes and write its report."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxmarl_core.cli.plan import show_size
from jaxmarl_core.cli.running import Launch, run_and_show, use_all_cores
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
    parts: int = 0,
    launcher: Literal["local", "slurm", "ray"] = "local",
    launcher_options: str = "",
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
      parts: what workers take one by one: cut the sweep into at least so many; by default one a
        worker.
      launcher: who starts the workers: "local", this process does, here; "slurm" as an array of
        tasks, and this command comes back; "ray" as tasks of its own, on its machines.
      launcher_options: of sbatch, as in --launcher-options="--partition=gpu --time=4:00:00"; or of
        Ray, "address=auto num_cpus=1 num_gpus=1".
      quiet: show no progress.
      dry_run: check the file, say how many runs and env steps it asks for, and what a search would
        leave out, and compute nothing; `jaxmarl-core plan` compiles and says more.
    """
    if is_suite(spec):
        refused = {"recut": recut, "workers": bool(workers), "launcher": launcher != "local"}
        run_suite(spec, out, resume, quiet, dry_run, refused)
        return
    if workers:  # who plans leaves an accelerator's memory to those who compute
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    use_all_cores()
    if dry_run:
        show_size(load(spec), spec)
        return
    line = ["jaxmarl-core", "sweep", str(spec)]
    line += ["--workers", str(workers)] if workers else []
    line += ["--parts", str(parts)] if parts else []
    line += ["--launcher", launcher] if launcher != "local" else []
    line += [f"--launcher-options={launcher_options}"] if launcher_options else []
    launch = Launch(launcher, workers, parts, tuple(shlex.split(launcher_options)))
    run_and_show(load(spec), out, resume, quiet, line, recut, spec, launch)
