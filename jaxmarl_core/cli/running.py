"""Running a sweep from the shell, and showing what came of it."""

import contextlib
import os
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from jaxmarl_core.report.progress_bar import ProgressBar
from jaxmarl_core.report.sweep_report import report_sweep
from jaxmarl_core.report.terminal_table import terminal_table
from jaxmarl_core.sweeps.progress import Silent
from jaxmarl_core.sweeps.spec import Spec
from jaxmarl_core.sweeps.worker import Stopped, run

CONSOLE = Console()


def use_all_cores() -> None:
    """Makes each CPU core a device, so that the runs of a sweep are spread over them.

    A program of many small steps keeps one core busy; two cores do two runs at a time. Without
    effect on accelerators, where the user has said otherwise, or once JAX has started.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


def run_and_show(spec: Spec, out: Path | None, resume: bool, quiet: bool, line: str) -> None:
    """Runs a sweep and shows its table; on Ctrl-C says which `line` goes on with it, exit code 130.

    Args:
      spec: what to run.
      out, resume: as `sweeps.worker.run` takes them.
      quiet: show no progress.
      line: the command that was given.
    """
    progress = Silent if quiet else partial(ProgressBar, console=Console(stderr=True))
    try:
        folder = run(spec, out, resume, progress)
    except Stopped as stopped:
        where = f" --out {out}" if out and "--out" not in line else ""
        line = line.replace(" --resume", "")
        CONSOLE.print(
            f"{stopped}; all is saved. To go on:\n  {line}{where} --resume",
            markup=False,
            soft_wrap=True,
        )
        raise SystemExit(130) from None
    show(folder)


def show(folder: Path) -> None:
    """Writes the report of a sweep and prints its table."""
    _, goal, rows = report_sweep(folder)
    CONSOLE.print(terminal_table(rows, goal))
    CONSOLE.print(f"{Path(folder) / 'report.html'}", markup=False, soft_wrap=True)
