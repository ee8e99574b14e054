"""A real SLURM on this machine alone, for tests: started in a folder of its own, and stopped.

Needs Debian's packages `slurm-wlm` and `munge`, and root, as the daemons change users. Nothing of
it is cgroups, which containers have not.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch", "scontrol", "munged", "mungekey")


def missing() -> str:
    """Returns why there can be no SLURM here, or nothing."""
    absent = [name for name in NEEDED if not _program(name)]
    if absent:
        return f"no {', '.join(absent)} (make test-slurm installs them)"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _conf(folder: Path, num_cpus: int) -> str:
    host = socket.gethostname().split(".")[0]
    with socket.socket() as a, socket.socket() as b:
        for free in (a, b):
            free.bind(("127.0.0.1", 0))
        controller, node = a.getsockname()[1], b.getsockname()[1]
    return f"""\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=1
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs={num_cpus} RealMemory=1000
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@contextmanager
def slurm_node(folder: Path, num_cpus: int) -> Iterator[None]:
    """Within it `sbatch` and its kin talk to a SLURM of one node with so many CPUs, as it is told.

    Args:
      folder: for its states and logs.
      num_cpus: tasks that it lets run at once; they need not be there.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(_conf(folder, num_cpus))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    munge = _started_munge(folder)
    try:
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([str(_program(daemon)), "-f", str(conf)], check=True, timeout=30)
        _until(lambda: "idle" in _said("sinfo", "-h", "-o", "%T"), 30, folder)
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=30)
        for name in ("slurmd", "slurmctld"):
            _stop(folder / f"{name}.pid")
        if munge is not None:
            munge.terminate()
            munge.wait(20)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=30).stdout


def _started_munge(folder: Path) -> subprocess.Popen | None:
    """Starts the daemon by which SLURM's parts know each other, unless one runs."""
    if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
        return None
    if not Path("/etc/munge/munge.key").exists():
        subprocess.run([str(_program("mungekey")), "-c"], check=True)
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    command = [str(_program("munged")), "--foreground"]
    own = {"user": "munge", "group": "munge", "extra_groups": []}
    with open(folder / "munged.log", "wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, **own)
    answers = lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0
    _until(answers, 20, folder)
    return daemon


def _stop(pid_file: Path) -> None:
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _until(condition, seconds: float, folder: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = {path.name: path.read_text()[-2000:] for path in folder.glob("*.log")}
            raise TimeoutError(f"SLURM did not start: {logs}")
        time.sleep(0.2)
