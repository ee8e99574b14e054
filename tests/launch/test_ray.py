"""Sweeps as Ray's tasks: on a real Ray of this machine, where it is installed."""

import contextlib
import json
import os
import signal
import sys
import threading

import numpy as np
import pytest
from interrupted_sweeps import spec

from jaxmarl_core.launch.ray_tasks import ray_workers, run_command
from jaxmarl_core.store import lease, sweep_folder
from jaxmarl_core.sweeps.sharing import WorkersFailed, run_with_workers
from jaxmarl_core.sweeps.worker import Start, run

ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}


def test_a_task_ends_as_its_worker_does(tmp_path):
    log = tmp_path / "log"
    says = [sys.executable, "-c", "import os; print(os.environ['A']); raise SystemExit(3)"]
    assert run_command(says, {"A": "told"}, str(log)) == 3
    assert log.read_text() == "told\n"
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with pytest.raises(RuntimeError, match="killed by signal 9"):  # which Ray tries again
        run_command(killed, {}, str(log))


def test_options_are_those_there_are():
    with pytest.raises(ValueError, match=r"launcher_options: expected address=, .*got \['cpus'\]"):
        ray_workers(["cpus=2"])
    with pytest.raises(ValueError, match="num_gpus: expected a number of at least 0, got all"):
        ray_workers(["num_gpus=all"])


@pytest.fixture(scope="module")
def begin():
    """What begins a worker on a Ray of four CPUs, started here."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield ray_workers(["num_cpus=1"])
    ray.shutdown()


def worker(folder):
    """The command of a worker on one device."""
    return [sys.executable, "-m", "jaxmarl_core.cli", "work", str(folder), "--quiet"]


@pytest.mark.slow
def test_killed_workers_are_tried_again_and_the_rest_is_as_by_one(tmp_path, begin):
    asked = spec(updates=600, segment=6)
    alone = run(asked, tmp_path / "alone")
    out = tmp_path / "shared"
    done = threading.Event()

    def kill_two():
        killed = set()
        while len(killed) < 2 and not done.wait(0.05):
            for path in out.glob(f"part-*/{lease.FILE}"):
                with contextlib.suppress(OSError, ValueError):  # it was just given back
                    pid = json.loads(path.read_text())["pid"]
                    if len(killed) < 2 and pid not in killed:
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
        assert len(killed) == 2

    killer = threading.Thread(target=kill_two)
    killer.start()
    run_with_workers(Start(asked, out), 4, worker, lambda _: ONE_DEVICE, 4, begin)
    done.set()
    killer.join()
    a, b = sweep_folder.read(out), sweep_folder.read(alone)
    np.testing.assert_array_equal(a.num_updates_done, 600)
    for name, figures in b.metrics.items():
        np.testing.assert_allclose(a.metrics[name], figures, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not list(out.rglob(lease.FILE))


@pytest.mark.slow
def test_tasks_that_all_fail_are_asked_why(tmp_path, begin):
    fails = lambda folder: [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"]
    with pytest.raises(WorkersFailed, match=r"codes \[3, 3\]\): .*worker-0.log: no disk"):
        run_with_workers(Start(spec(), tmp_path / "x"), 2, fails, lambda _: {}, 0, begin)
