"""Sweeps as SLURM's tasks: on a real SLURM of one node where there is one, and the script."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from interrupted_sweeps import spec
from slurm_node import missing, slurm_node

from jaxmarl_core.launch.slurm import script, submit
from jaxmarl_core.store import lease, sweep_folder
from jaxmarl_core.sweeps.sharing import reached
from jaxmarl_core.sweeps.worker import Start

SPEC = """
algorithm = "q_learning"
environment = "matrix_game"
seeds = 40
updates = {updates}
segment = 50
checkpoint_seconds = 0.0
[config]
rollout_length = 4
"""
ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}


def test_the_script_saves_and_queues_again():
    text = script(Path("/shared/runs/my sweep"), 7, ["--partition=gpu", "--time=4:00:00"])
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --array=0-6" in lines and "#SBATCH --partition=gpu" in lines
    assert "#SBATCH --time=4:00:00" in lines and "#SBATCH --requeue" in lines
    assert any(line.endswith("work '/shared/runs/my sweep' --quiet &") for line in lines)
    last = max(i for i, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert not any(line and not line.startswith("#") for line in lines[:last])  # or they are lost
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0


LATE, TAKEN = signal.SIGUSR1, signal.SIGTERM


@pytest.mark.parametrize(
    ("sent", "code", "queued"),
    [(LATE, 0, False), (LATE, 75, True), (TAKEN, 75, False)],
    ids=["was done", "late", "cancelled"],
)
def test_a_task_hands_on_what_it_is_told_and_may_be_queued_again(tmp_path, sent, code, queued):
    """The script by itself, with a worker that takes its time to save, and a false scontrol."""
    worker = tmp_path / "worker"
    waits = "for i in $(seq 200); do sleep 0.05; done"
    saves = f"trap 'sleep 0.3; exit {code}' USR1"
    worker.write_text(f"#!/bin/bash\n{saves}\ntouch {tmp_path}/ready\n{waits}\n")
    control = tmp_path / "scontrol"
    control.write_text(f"#!/bin/bash\necho $@ > {tmp_path}/said\n")
    for path in (worker, control):
        path.chmod(0o755)
    text = script(tmp_path, 1)
    (line,) = (line for line in text.splitlines() if line.endswith("--quiet &"))
    (tmp_path / "job").write_text(text.replace(line, f"{worker} &"))
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    own |= {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    job = subprocess.Popen(["bash", str(tmp_path / "job")], env=os.environ | own)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(sent)
    assert job.wait(20) == code
    assert (tmp_path / "said").exists() == queued
    if queued:
        assert (tmp_path / "said").read_text() == "requeue 12_3\n"


def test_without_slurm_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    start = Start(spec(), tmp_path / "x")
    with pytest.raises(ValueError, match="launcher: expected SLURM's sbatch on the path"):
        submit(start, 2)
    with pytest.raises(ValueError, match="launcher_options: expected words that begin with --"):
        submit(start, 2, options=["partition=gpu"])
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        submit(start, 0)
    assert not (tmp_path / "x").exists()


# ---- a real SLURM


def called(*words):
    """A command of ours, run to its end."""
    command = [sys.executable, "-m", "jaxmarl_core.cli", *map(str, words)]
    own = os.environ | ONE_DEVICE
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(*words):
    """What a command of SLURM's says."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def until(condition, what, seconds=400):
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def holders(out):
    """The processes that compute a part now, by part."""
    found = {}
    for path in out.glob(f"part-*/{lease.FILE}"):
        try:
            found[path.parent.name] = json.loads(path.read_text())["pid"]
        except (OSError, ValueError, KeyError):
            continue  # it was just given back
    return found


def slurm_only():
    if why := missing():
        pytest.skip(why)


def assert_same_as_alone(out, path, tmp_path, updates):
    """Compares each run with that of one process: parts of one run are another program."""
    lone = tmp_path / "lone"
    called("sweep", path, "--out", lone, "--quiet")
    a, b = sweep_folder.read(out), sweep_folder.read(lone)
    assert sorted(run["run"] for run in a.runs) == list(range(40))
    np.testing.assert_array_equal(a.num_updates_done, updates)
    for name, figures in b.metrics.items():
        np.testing.assert_allclose(a.metrics[name], figures, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not list(out.rglob("*.tmp")) and not list(out.rglob(lease.FILE))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forty_parts_four_tasks_two_killed_and_one_taken_back(tmp_path):
    slurm_only()
    path, out = tmp_path / "forty.toml", tmp_path / "shared"
    path.write_text(SPEC.format(updates=3000))
    with slurm_node(tmp_path / "slurm", num_cpus=4):
        words = ("--workers", 4, "--parts", 40, "--launcher", "slurm", "--quiet")
        said = called("sweep", path, "--out", out, *words, "--launcher-options=--cpus-per-task=1")
        job = said.split("SLURM's job ")[1].split()[0]
        until(lambda: len(holders(out)) == 4, "four tasks compute")
        first, second, *_ = holders(out).values()
        for pid in (first, second):
            os.kill(pid, signal.SIGKILL)
        until(lambda: told("squeue", "-h", "-j", job, "-t", "R", "-o", "%K").strip(), "one runs")
        (index, *_) = told("squeue", "-h", "-j", job, "-t", "R", "-o", "%K").split()
        told("scontrol", "requeue", f"{job}_{index}")  # what a job of more weight does to it
        until(lambda: not told("squeue", "-h"), "all jobs end", 900)
    text = "".join(log.read_text() for log in out.glob(f"slurm-{job}_*.log"))
    assert "all is saved" in text, text  # the one that was taken back
    assert (out / "report.html").exists(), (out / "slurm-report.log").read_text()
    assert_same_as_alone(out, path, tmp_path, 3000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_begun_on_slurm_and_ended_by_hand(tmp_path):
    slurm_only()
    path, out = tmp_path / "forty.toml", tmp_path / "shared"
    path.write_text(SPEC.format(updates=12_000))
    with slurm_node(tmp_path / "slurm", num_cpus=2):
        called("sweep", path, "--out", out, "--workers", 2, "--parts", 40, "--launcher", "slurm")
        parts = lambda: [reached(part) == 12_000 for part in sorted(out.glob("part-*"))]
        until(lambda: sum(parts()) >= 3, "three parts are done")
        told("scancel", "--user=root")
        until(lambda: not told("squeue", "-h"), "all jobs end")
    assert 3 <= sum(parts()) < 40
    assert "finished here" in called("work", out, "--quiet")
    assert_same_as_alone(out, path, tmp_path, 12_000)
