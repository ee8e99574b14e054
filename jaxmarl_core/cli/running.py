"""Running a sweep from the shell, and showing what came of it.

Exit codes: 0, all is done; 1, all workers have ended too early; 2, something in the command or the
spec is wrong; 74, the disk does not take what is written; 75, a scheduler asked to stop (SIGTERM,
SIGUSR1) and should queue it again; 130, Ctrl-C. After 1, 74, 75 and 130 the same command with
`--resume` goes on.
"""

import contextlib
import os
import platform
import shlex
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import jax
from rich.console import Console

from jaxmarl_core.errors import require
from jaxmarl_core.launch import slurm
from jaxmarl_core.launch.ray_tasks import ray_workers
from jaxmarl_core.report.progress_bar import ProgressBar
from jaxmarl_core.report.sweep_report import lost_metrics, report_sweep
from jaxmarl_core.report.terminal_table import terminal_table
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.progress import Silent
from jaxmarl_core.sweeps.sharing import (
    QUEUE_AGAIN,
    WorkersFailed,
    python_command,
    run_with_workers,
    worker_environment,
)
from jaxmarl_core.sweeps.signals import is_computing
from jaxmarl_core.sweeps.spec import Spec, naming
from jaxmarl_core.sweeps.worker import Start, Stopped, run
from jaxmarl_core.trackers.mirror import Mirror

CONSOLE = Console()
FAILED, DISK, INTERRUPTED = 1, 74, 130  # EX_IOERR, 128 + SIGINT


def use_all_cores() -> None:
    """Makes each CPU core a device, so that the runs of a sweep are spread over them.

    A program of many small steps keeps one core busy; two cores do two runs at a time. Without
    effect on accelerators, where the user has said otherwise, or once JAX has started.
    """
    begin()
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_cores())


def num_cores() -> int:
    """Returns how many cores this process may use, which a scheduler may have made fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def begin() -> None:
    """Prepares JAX for a command: compiled programs are kept from one command to the next."""
    if CACHE_VARIABLE not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))


def cache_folder() -> Path:
    """Returns where the user's programs keep what they could make again, our part of it."""
    home = Path.home()
    places = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
    place = os.environ.get("XDG_CACHE_HOME") or places.get(sys.platform, home / ".cache")
    return Path(place) / "jaxmarl-core" / _processor()


def _processor() -> str:
    """Returns a short name of this kind of processor.

    XLA compiles for the instructions that this one has; a home may be shared by other kinds, to
    which such a program is an illegal instruction.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    features = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    text = "".join(features) or platform.processor()
    return f"{platform.machine()}-{zlib.crc32(text.encode()):08x}"


class Launch(NamedTuple):
    """By whom a sweep is computed."""

    by: str = "local"  # or "slurm", "ray"
    workers: int = 0  # 0, of "local": this process alone
    parts: int = 0  # to cut it into, at least; by default one a worker
    options: tuple[str, ...] = ()  # of the launcher

    def check(self) -> None:
        """Raises ValueError where a number or an option does not fit."""
        least = 0 if self.by == "local" else 1
        require(self.workers >= least, "workers", f"at least {least}", self.workers)
        require(self.parts >= 0, "parts", "at least 0", self.parts)
        fits = self.workers > 0 or self.parts == 0
        require(fits, "parts", "0 without --workers, whose parts they are", self.parts)
        fits = self.by != "local" or not self.options
        require(fits, "launcher_options", "none without --launcher", self.options)


def run_and_show(
    spec: Spec,
    out: Path | None,
    resume: bool,
    quiet: bool,
    line: Sequence[str],
    recut: bool = False,
    source: str | Path = "",
    launch: Launch = Launch(),
) -> None:
    """Runs a sweep and shows its table; where it ends early, says how to go on.

    Args:
      spec: what to run.
      out, resume, source: as `sweeps.worker.run` takes them.
      quiet: show no progress.
      line: the command that was given, in words.
      recut: `cut_again` of `sweeps.worker.run`.
      launch: by whom.
    """
    launch.check()
    progress = Silent if quiet else partial(ProgressBar, console=Console(stderr=True))
    with naming(source):
        mirror = Mirror(spec.mirrors, say=_warn)
    start = Start(spec, out, resume, progress, None, recut, source, mirror)
    where = ["--out", str(out)] if out and "--out" not in line else []
    words = [*(word for word in line if word != "--resume"), *where, "--resume"]
    with leave_if_stopped(words), mirror:
        if launch.by == "slurm":
            folder, jobs = slurm.submit(start, launch.workers, launch.parts, launch.options)
            _told_of_jobs(folder, jobs)
            return
        if launch.by == "ray":
            folder = _by_ray(start, launch)
        else:
            folder = _by_processes(start, launch) if launch.workers else run(*start)
    show(folder)


def _told_of_jobs(folder: Path, jobs: slurm.Jobs) -> None:
    text = (
        f"SLURM's job {jobs.workers} computes {folder}, and {jobs.report} writes its report.\n"
        f"  jaxmarl-core watch {shlex.quote(str(folder))}"
    )
    CONSOLE.print(text, markup=False, soft_wrap=True)


def _by_ray(start: Start, launch: Launch) -> Path:
    """Runs a sweep by tasks of Ray's, which takes care of who computes on what."""
    words = lambda folder: python_command("work", str(folder.resolve()), "--quiet")
    begin = ray_workers(launch.options)
    return run_with_workers(start, launch.workers, words, lambda _: {}, launch.parts, begin)


def _by_processes(start: Start, launch: Launch) -> Path:
    """Runs a sweep by several processes, among which cores, or GPUs, are shared out."""
    workers = launch.workers
    cores, told = num_cores(), dict(os.environ)
    devices = jax.devices()
    own = worker_environment(told, 0, workers, cores)
    if devices[0].platform == "gpu":
        require(workers <= len(devices), "workers", f"one a GPU, {len(devices)} at most", workers)
        told.setdefault("CUDA_VISIBLE_DEVICES", ",".join(str(d.id) for d in devices))
        devices = devices[:1]
    elif own.get("XLA_FLAGS") != told.get("XLA_FLAGS"):
        devices = devices[: max(1, cores // workers)]
    return run_with_workers(
        start._replace(mesh=run_mesh(devices)),
        workers,
        lambda folder: python_command("work", str(folder), "--quiet", "--sharing", str(workers)),
        lambda number: worker_environment(told, number, workers, cores),
        launch.parts,
    )


@contextlib.contextmanager
def leave_if_stopped(words: Sequence[str]) -> Iterator[None]:
    """Within it, who is asked to stop, or finds the disk full, leaves and says how to go on.

    Args:
      words: of the command that goes on.
    """
    try:
        yield
    except Stopped as stopped:
        code = INTERRUPTED if stopped.signal == signal.SIGINT else QUEUE_AGAIN
        _leave(f"{stopped}; all is saved", words, code)
    except KeyboardInterrupt:
        _leave("stopped now; all is saved but for the last updates", words, INTERRUPTED)
    except (OSError, WorkersFailed) as error:
        code = DISK if isinstance(error, OSError) else FAILED
        _leave(f"error: {error}; what was written before is whole", words, code)


def _leave(why: str, words: Sequence[str], code: int) -> NoReturn:
    """Says why a sweep ends here and how to go on, and leaves."""
    text = f"{why}. To go on:\n  {shlex.join(words)}"
    is_error = code in (DISK, FAILED)
    (Console(stderr=True) if is_error else CONSOLE).print(text, markup=False, soft_wrap=True)
    if is_computing():  # the interpreter would wait for it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def show(folder: Path) -> None:
    """Writes the report of a sweep and prints its table."""
    results, goal, rows = report_sweep(folder, _warn)
    for sentence in lost_metrics(folder, results):
        _warn(sentence)
    CONSOLE.print(terminal_table(rows, goal))
    CONSOLE.print(f"{Path(folder) / 'report.html'}", markup=False, soft_wrap=True)
