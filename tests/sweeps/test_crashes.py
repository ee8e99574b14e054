"""Sweeps killed at random moments, resumed, and compared with one that was never interrupted."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxmarl_core.store import sweep_folder

KILLS = 20
SPEC = """
algorithm = "q_learning"
environment = "matrix_game"
seeds = 3
updates = 600
segment = 2
checkpoint_seconds = 0.0  # a save after every segment: most of the time goes into files
[config]
rollout_length = 4
[grid.hparams]
learning_rate = [0.1, 0.2]
[evaluation]
every = 100
episodes = 2
"""


def command(spec, out):
    return [sys.executable, "-m", "jaxmarl_core.cli", "sweep", str(spec), "--out", str(out),
            "--resume", "--quiet"]  # fmt: skip


SHORTER = SPEC.replace("updates = 600", "updates = 240").replace("every = 100", "every = 60")
HALVED = (
    SHORTER.replace("[0.1, 0.2]", "[0.05, 0.1, 0.2, 0.4]").replace("seeds = 3", "seeds = 2")
    + """
[search]
kind = "halving"
min_updates = 60
eta = 2
brackets = 2
"""
)
EVOLVED = (
    SHORTER.replace("[grid.hparams]\nlearning_rate = [0.1, 0.2]", "")
    + """
[random]
num = 4
learning_rate = [0.05, 0.4]
[search]
kind = "population"
every = 20
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "kills"),
    [(SPEC, KILLS), (HALVED, KILLS // 2), (EVOLVED, KILLS // 2)],
    ids=["plain", "halving", "population"],
)
def test_killed_at_random_moments_nothing_is_lost(tmp_path, text, kills):
    """`kill -9` while starting, compiling, computing and saving; every row is there, once."""
    spec = tmp_path / "crash me.toml"
    spec.write_text(text)
    subprocess.run(command(spec, tmp_path / "unbroken"), check=True, capture_output=True)
    out, rng, reached = tmp_path / "killed", random.Random(0), []
    for number in range(kills):
        process = subprocess.Popen(
            command(spec, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline, before = time.monotonic() + 300, len(reached) and reached[-1]
        # every fourth is killed while it starts or compiles, the others once they have gone on
        if number % 4:
            while _saved(out) <= before and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
        else:
            time.sleep(rng.uniform(0, 6))
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), error.decode()
        reached.append(_saved(out))
    assert len(set(reached)) > kills // 2, reached
    subprocess.run(command(spec, out), check=True, capture_output=True)
    a, b = sweep_folder.read(out), sweep_folder.read(tmp_path / "unbroken")
    assert a.runs == b.runs
    np.testing.assert_array_equal(a.num_updates_done, b.num_updates_done)
    for name, figures in b.metrics.items():
        np.testing.assert_array_equal(a.metrics[name], figures, err_msg=name)
    assert a.search == b.search
    np.testing.assert_array_equal(a.dropped_at, b.dropped_at)
    jax.tree.map(np.testing.assert_array_equal, list(a.schedules), list(b.schedules))
    named = {part["folder"] for part in sweep_folder.read_plan(out)["parts"]}
    assert not [path for name in named for path in (out / name).rglob("*.tmp")]
    assert not (out / "lease.json").exists()


def _saved(out):
    """The number of updates that have been saved, of the runs that came furthest."""
    files = out.glob("part-*/checkpoints/checkpoint-*.npz")
    return max((int(path.stem.removeprefix("checkpoint-")) for path in files), default=0)


SHORT = SPEC.replace("updates = 600", "updates = 4").replace("every = 100", "every = 2")
LONG = SPEC.replace("updates = 600\nsegment = 2", "updates = 400000\nsegment = 100000")


def begun(spec, out):
    """A sweep in another process, whose segments take long; it has begun to train."""
    process = subprocess.Popen(
        [word for word in command(spec, out) if word != "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stderr:
        if "training" in line:
            return process
    raise AssertionError(process.communicate())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_stop_is_heard_at_once_and_granted_after_the_segment(tmp_path, name, code):
    spec = tmp_path / "long.toml"
    spec.write_text(LONG)
    process = begun(spec, tmp_path / "out")
    began = time.monotonic()
    process.send_signal(getattr(signal, name))
    for line in process.stderr:
        if "stopping after this segment" in line:
            break
    assert time.monotonic() - began < 2
    if name == "SIGINT":
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code
    if name == "SIGINT":  # the second one did not wait
        assert time.monotonic() - began < 4
        assert "stopped now" in out
    else:
        assert "stopped after update 100000" in out
        assert _saved(tmp_path / "out") == 100000
    assert "--resume" in out
    assert not (tmp_path / "out" / "lease.json").exists()


@pytest.mark.slow
def test_a_folder_of_many_devices_is_read_by_plain_python(tmp_path):
    """One process computes on eight devices, another reads on the one that there is."""
    spec = tmp_path / "small.toml"
    spec.write_text(SHORT)
    flags = "--xla_force_host_platform_device_count="
    many, one = ({**os.environ, "XLA_FLAGS": f"{flags}{n}"} for n in (8, 1))
    subprocess.run(command(spec, tmp_path / "out"), check=True, capture_output=True, env=many)
    read = (
        "import jax, sys; from jaxmarl_core.sweeps.worker import load_run_state\n"
        "assert jax.device_count() == 1\n"
        "print(load_run_state(sys.argv[1], 5)[1].params.tables['player_0'].q.ravel().tolist())"
    )
    arguments = [sys.executable, "-c", read, str(tmp_path / "out")]
    done = subprocess.run(arguments, check=True, capture_output=True, env=one, text=True)
    file = tmp_path / "out" / "part-000" / "checkpoints" / "checkpoint-000004.npz"
    with np.load(file) as leaves:
        expected = leaves["params.tables.player_0.q"][5].ravel().tolist()
    assert json.loads(done.stdout) == expected


@pytest.mark.slow
def test_two_sweeps_of_one_name_that_start_together_have_a_folder_each(tmp_path):
    processes = []
    for seed in range(4):
        own = tmp_path / f"{seed}.toml"
        own.write_text(f'name = "array"\nfirst_seed = {10 * seed}\n{SHORT}')
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "jaxmarl_core.cli", "sweep", str(own), "--quiet"],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error.decode()
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 4
    seeds = [{run["seed"] for run in sweep_folder.read(folder).runs} for folder in folders]
    assert sorted(map(min, seeds)) == [0, 10, 20, 30]
    assert all(own == {min(own), min(own) + 1, min(own) + 2} for own in seeds)
