"""A sweep that several processes compute, on one machine or on many that see its folder.

Once a sweep is planned, its parts are for whoever comes: a process takes the lease on a part,
computes it, and looks for another. One that dies leaves its lease behind, which counts no more at
once on its own machine and after `lease.TIMEOUT` elsewhere, and another goes on from the part's
last checkpoint. While parts are computed so, nobody may have the whole sweep to itself, as `run`
does, and the other way round: each takes its own lease first and then looks for the other's, so
that of two who start together one sees the other.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from jax.sharding import Mesh

from jaxmarl_core.errors import require
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps, step_path
from jaxmarl_core.store.lease import FILE as LEASE
from jaxmarl_core.store.lease import HEARTBEAT, Lease, Leased, living_holder
from jaxmarl_core.store.segments import files, first_of
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.data_parallel import divided_mesh
from jaxmarl_core.sweeps.memory import bytes_allowed
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.program import Programs
from jaxmarl_core.sweeps.progress import Progress, Silent, StartProgress
from jaxmarl_core.sweeps.saved_run import copied_opponents, trained
from jaxmarl_core.sweeps.signals import Stopped, StopSignals
from jaxmarl_core.sweeps.spec import Spec, Variant, from_dict, naming, variants
from jaxmarl_core.sweeps.worker import Session, Start, begin_of, opened, run_part

GLANCE = 0.5  # seconds between two looks at what workers have done
QUEUE_AGAIN = 75  # exit code of a worker that a scheduler asked to stop


def work(
    folder: str | Path,
    progress: StartProgress = Silent,
    mesh: Mesh | None = None,
    wait: bool = True,
    num_sharing: int = 1,
) -> int:
    """Computes parts of a planned sweep that nobody else computes, until none is left.

    Args:
      folder: of the sweep; who begins one is `run` or `run_with_workers`.
      progress: who is told how far the sweep is; others' updates count when a part is taken.
      mesh: the devices to spread a part's runs over; all by default.
      wait: whether to stay while others compute the last parts, and take over from who dies.
      num_sharing: processes that share this machine's memory, this one among them.

    Returns:
      The number of parts that were finished here.

    Raises:
      ValueError: `folder` holds no planned sweep, or a process has it to itself.
      OSError, Stopped: as `run`.
    """
    folder = Path(folder)
    require(sweep_folder.is_sweep(folder), "folder", "that of a sweep", folder)
    _check_shared(folder)
    spec, parts, choices = planned(folder)
    check_shareable(spec)
    require(len(parts) > 0, "folder", "a sweep with a plan", f"{folder} without")
    mesh = divided_mesh(run_mesh() if mesh is None else mesh, spec.devices_per_run)
    total, done = sizes(parts)
    with progress(total, done) as told, StopSignals(told.say) as stop:
        facts = sweep_folder.host_facts()
        for change in sweep_folder.note_changes(folder, facts, whole_machine=False):
            told.say(f"going on with a change: {change}")
        programs = Programs(choices, mesh, stop.compiling)
        allowed = bytes_allowed(spec.memory_gb, mesh, num_sharing=num_sharing)
        finished, waiting = 0, False
        while left := [part for part in parts if reached(part.folder) < part.end]:
            took = 0
            for part in left:
                with suppress(Leased, Gone), part_lease(folder, part.folder) as lease:
                    session = Session(
                        spec, programs, allowed, told, stop, lease, lambda out: None, folder
                    )
                    run_part(session, part, f"{part.folder.name} of {len(parts)} parts")
                    took, waiting = took + 1, False
            finished += took
            if took:
                continue
            if not wait:
                break
            if not waiting:
                told.phase(f"waiting for the {len(left)} parts that others compute")
            waiting = True
            _rest(stop, HEARTBEAT / 5)
            parts = plan.read(folder, choices)
    return finished


def check_shareable(spec: Spec) -> None:
    """Raises ValueError for a sweep with a search: what it decides, one process decides."""
    kind = spec.search.get("kind")
    expected = "a spec without [search], or one process for all of it (no --workers, no `work`)"
    require(not kind, "search", expected, repr(kind))


def planned(folder: Path) -> tuple[Spec, list[Part], list[Variant]]:
    """Returns the spec of a sweep in a folder, its parts and its variants."""
    spec = from_dict(sweep_folder.read_spec(folder))
    choices = variants(spec, trained(copied_opponents(spec.against, folder)))
    return spec, plan.read(folder, choices), choices


def sizes(parts: Sequence[Part]) -> tuple[int, int]:
    """Returns the updates of all runs of some parts, and how many of them are done, about."""
    total = sum(part.end * part.num_runs for part in parts)
    done = sum(min(reached(part.folder), part.end) * part.num_runs for part in parts)
    return total, done


def reached(part_folder: Path) -> int:
    """Returns how many updates of a part are on disk, by the names of its files, or a few more.

    All of them only where they are saved: who computes a part saves it last.
    """
    saved = saved_steps(part_folder / "checkpoints")
    measured = [first_of(path) for path in files(part_folder)]
    return max([0, *saved[-1:], *measured[-1:]])


class Gone(ValueError):
    """The plan names a part no more: it was cut into others."""


@contextmanager
def part_lease(folder: Path, part_folder: Path) -> Iterator[Lease]:
    """Yields the lease on a part; raises Leased where somebody has it, or the whole sweep."""
    part_folder.mkdir(exist_ok=True)
    with Lease(part_folder) as lease:
        _check_shared(folder)
        entries = (sweep_folder.read_plan(folder) or {"parts": []})["parts"]
        if part_folder.name not in {entry["folder"] for entry in entries}:
            with suppress(OSError):
                (part_folder / LEASE).unlink()
                part_folder.rmdir()
            raise Gone(f"{part_folder}: expected a part that the plan names")
        yield lease


def _check_shared(folder: Path) -> None:
    who = living_holder(folder)
    if who is not None:
        raise Leased(
            f"folder: expected a sweep to share, got {folder}, which process {who.get('pid')} on "
            f"{who.get('host')} has had to itself since {who.get('since')}"
        )


def _rest(stop: StopSignals, seconds: float) -> None:
    """Sleeps, and hears wishes to stop."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stop.check("while others computed")
        time.sleep(min(GLANCE, seconds))
    stop.check("while others computed")


# ---- workers on this machine


class WorkersFailed(RuntimeError):
    """All workers have ended, and the sweep is not done."""


def run_with_workers(
    start: Start,
    num_workers: int,
    command: Callable[[Path], Sequence[str]],
    environment: Callable[[int], Mapping[str, str]],
    num_parts: int = 0,
    begin: "BeginWorker | None" = None,
) -> Path:
    """Runs a sweep, or what is left of it, by several processes; see `run`.

    Args:
      start: what `run` takes; its mesh is that of one worker.
      num_workers: how many.
      command: from the folder to the command that a worker is, one that calls `work` on it.
      environment: from the number of a worker to its environment: which devices are its own.
      num_parts: parts that the sweep is cut into, at least; by default one a worker.
      begin: starts a worker, from its command, environment and log; by default a process here.

    Raises:
      ValueError, OSError: as `run`.
      Stopped: somebody asked for it, and all workers have saved what they did.
      WorkersFailed: all workers have ended, and the sweep is not done; says where they wrote why.
    """
    require(num_workers >= 1, "workers", "at least 1", num_workers)
    begin = begin or begin_process
    with naming(start.source):
        check_shareable(start.spec)
    with opened(start, num_workers, num_parts) as (session, parts):
        folder = session.out
        take_back(parts)
        left = sum(reached(part.folder) < part.end for part in parts)
        if 0 < left < num_workers:
            session.told.say(f"{left} parts are left for {num_workers} workers")
        session.stop.check("before its workers began")
    spec, parts, _ = planned(folder)
    total, done = sizes(parts)
    with start.progress(total, done) as told, StopSignals(told.say) as stop:
        told.phase(f"training, {num_workers} workers")
        logs = [folder / f"worker-{number}.log" for number in range(num_workers)]
        workers: list[Worker] = []
        try:
            for number, log in enumerate(logs):
                workers.append(begin(command(folder), environment(number), log))
            _watch(workers, start, spec, parts, told, stop)
        finally:
            for worker in workers:  # a second Ctrl-C, or an error here
                if worker.poll() is None:
                    worker.kill()
            for worker in workers:
                worker.wait()
    if sizes(parts)[1] < total:
        codes = [worker.returncode for worker in workers]
        if stop.asked is not None or set(codes) <= {0, QUEUE_AGAIN}:
            raise Stopped("stopped, and all workers with it", stop.asked or 0)
        said = "; ".join(f"{log}: {_last_line(log)}" for log in logs)
        raise WorkersFailed(
            f"all workers have ended with the sweep not done (codes {codes}): {said}"
        )
    start.after_segment(folder)
    return folder


def take_back(parts: Sequence[Part]) -> None:
    """Puts checkpoints aside that are ahead of the metrics, some of which were lost.

    Workers go by checkpoints' names; without these they go on from where metrics can be read to.
    """
    for part in parts:
        begin, folder = begin_of(part, lambda text: None), part.folder / "checkpoints"
        for step in saved_steps(folder):
            if step > begin:
                path = step_path(folder, step)
                path.rename(path.with_name(f"{path.name}.ahead"))


class Worker(Protocol):
    """Who computes parts, as `subprocess.Popen` has it: a process, or what runs one elsewhere."""

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


BeginWorker = Callable[[Sequence[str], Mapping[str, str], Path], Worker]


def begin_process(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen:
    """Starts a worker that hears of Ctrl-C from us alone."""
    with open(log, "ab") as file:
        return subprocess.Popen(
            command, env=dict(environment), stdout=file, stderr=file, start_new_session=True
        )


def _watch(
    workers: Sequence[Worker],
    start: Start,
    spec: Spec,
    parts: Sequence[Part],
    told: Progress,
    stop: StopSignals,
) -> None:
    """Tells how far all workers are, until they have ended; hands on a wish to stop."""
    _, done = sizes(parts)
    handed_on = False
    while any(worker.poll() is None for worker in workers):
        time.sleep(GLANCE)
        if stop.asked is not None and not handed_on:
            handed_on = True
            for worker in workers:
                if worker.poll() is None:
                    worker.send_signal(signal.SIGTERM)  # of which a second one is not heard
        now = sizes(parts)[1]
        if now > done:
            told.advance(now - done)
            start.after_segment(parts[0].folder.parent)
            done = now
    now = sizes(parts)[1]
    if now > done:
        told.advance(now - done)


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"


def worker_environment(
    told: Mapping[str, str], number: int, num_workers: int, num_cores: int
) -> dict[str, str]:
    """Returns a worker's environment: its share of the cores, and one of the visible GPUs.

    Args:
      told: the environment that all have.
      number: of the worker.
      num_workers: how many share the machine.
      num_cores: of the machine; each core is a device, unless XLA_FLAGS says otherwise.
    """
    own = dict(told)
    flag = "--xla_force_host_platform_device_count"
    if flag not in own.get("XLA_FLAGS", ""):
        each = max(1, num_cores // num_workers)
        own["XLA_FLAGS"] = f"{own.get('XLA_FLAGS', '')} {flag}={each}".strip()
    visible = [name for name in own.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if visible:
        own["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
    return own


def python_command(*words: str) -> list[str]:
    """Returns the command of a worker that is this Python with our command line."""
    return [sys.executable, "-m", "jaxmarl_core.cli", *words]
