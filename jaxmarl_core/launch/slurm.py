"""A sweep as an array of SLURM's tasks, each of which computes one part after the other.

What SLURM is handed is a script in the sweep's folder, one that can be read, changed and submitted
again by hand. A task whose time is nearly up hears of it (`--signal`), saves, and has itself queued
again; one that SLURM takes back for a job of more weight saves too, and SLURM queues it again; one
that is cancelled saves and is gone; one that dies leaves its part to the others. Once all tasks
have ended, another job writes the report.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmarl_core.errors import require
from jaxmarl_core.store.atomic import write
from jaxmarl_core.sweeps.sharing import QUEUE_AGAIN, check_shareable, python_command, take_back
from jaxmarl_core.sweeps.spec import naming
from jaxmarl_core.sweeps.worker import Start, opened

GRACE = 120  # seconds before its end at which a task is told
SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{grace}
#SBATCH --output={folder}/slurm-%A_%a.log
{options}
{command} &
worker=$!
trap 'kill -USR1 $worker' TERM  # it is taken back or cancelled: whether it comes again is known
trap 'late=yes; kill -USR1 $worker' USR1  # its time is up
wait $worker
code=$?
while [ $code -gt 128 ] && kill -0 $worker 2> /dev/null; do  # a signal ended the wait, not the work
    wait $worker
    code=$?
done
if [ $code = {again} ] && [ "$late" ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit $code
"""


class Jobs(NamedTuple):
    """What SLURM calls what it was given."""

    workers: str  # the array
    report: str  # waits for it


def script(folder: Path, num_workers: int, options: Sequence[str] = ()) -> str:
    """Returns the script of an array of tasks that compute the parts of a planned sweep.

    Args:
      folder: of the sweep, absolute, where all nodes see it.
      num_workers: how many tasks, each of which may run where and when SLURM likes.
      options: of sbatch, such as "--partition=gpu", "--gres=gpu:1"; they overrule ours.
    """
    return SCRIPT.format(
        name=folder.name,
        last=num_workers - 1,
        grace=GRACE,
        folder=folder,
        options="".join(f"#SBATCH {option}\n" for option in options),
        command=shlex.join(python_command("work", str(folder), "--quiet")),
        again=QUEUE_AGAIN,
    )


def submit(
    start: Start, num_workers: int, num_parts: int = 0, options: Sequence[str] = ()
) -> tuple[Path, Jobs]:
    """Plans a sweep, hands its parts to SLURM, and comes back; returns its folder and the jobs.

    Args:
      start: what `run` takes; the devices are those of this machine, on which nothing is computed,
        so state `memory_gb` in the spec where a node has less memory.
      num_workers: tasks.
      num_parts: parts to cut the sweep into, at least; by default one a task.
      options: of sbatch, each a word that begins with --.

    Raises:
      ValueError: there is no SLURM, or it refuses the script: says why; and whatever `run` raises.
    """
    require(num_workers >= 1, "workers", "at least 1", num_workers)
    for option in options:
        require(option.startswith("--"), "launcher_options", "words that begin with --", option)
    found = shutil.which("sbatch") is not None
    require(found, "launcher", "SLURM's sbatch on the path", "slurm without it")
    with naming(start.source):
        check_shareable(start.spec)
    with opened(start, num_workers, num_parts) as (session, parts):
        folder = session.out.resolve()
        take_back(parts)
    path = folder / "slurm.sh"
    write(path, script(folder, num_workers, options))
    workers = _sbatch(str(path))
    after = ["--dependency", f"afterany:{workers}", "--output", f"{folder}/slurm-report.log"]
    inherited = [x for x in options if x.split("=")[0] in ("--partition", "--account", "--qos")]
    wrapped = shlex.join([sys.executable, "-m", "jaxmarl_core.cli", "report", str(folder)])
    report = _sbatch("--job-name", f"{folder.name}-report", *after, *inherited, "--wrap", wrapped)
    return folder, Jobs(workers, report)


def _sbatch(*words: str) -> str:
    """Returns the number of a job that is submitted."""
    done = subprocess.run(["sbatch", "--parsable", *words], capture_output=True, text=True)
    said = f"sbatch said: {done.stderr.strip()}"
    require(done.returncode == 0, "launcher_options", "what sbatch takes", said)
    return done.stdout.strip().split(";")[0]  # the cluster's name may follow
