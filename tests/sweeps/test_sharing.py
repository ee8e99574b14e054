"""One sweep, several processes: who computes which part, and what is left when some die."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from interrupted_sweeps import assert_same_results, spec

from jaxmarl_core.store import lease, sweep_folder
from jaxmarl_core.store.lease import Lease, Leased
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.sharing import (
    Gone,
    WorkersFailed,
    part_lease,
    reached,
    run_with_workers,
    work,
    worker_environment,
)
from jaxmarl_core.sweeps.worker import Start, opened, run


@pytest.fixture(scope="module")
def mesh():
    """Two devices: a run on each, as in a part of two and in the whole sweep on four."""
    return run_mesh(jax.devices()[:2])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep by one process: four runs on four devices."""
    return run(spec(), tmp_path_factory.mktemp("alone") / "x", mesh=run_mesh(jax.devices()[:4]))


def planned(folder, mesh, num_workers=2):
    """A sweep that has been cut into parts, of which none is computed."""
    with opened(Start(spec(), folder, mesh=mesh), num_workers) as (session, parts):
        assert [part.num_runs for part in parts] == [4 // num_workers] * num_workers
    return session.out


@contextmanager
def held(folder, seconds_ago=0.0):
    """A folder that a process of another machine holds, and touched some seconds ago."""
    folder.mkdir(exist_ok=True)
    path = folder / lease.FILE
    path.write_text(json.dumps({"host": "node-7", "pid": 4321, "since": "2026-01-02"}))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    yield path
    path.unlink(missing_ok=True)


def test_who_comes_alone_computes_all_parts(tmp_path, mesh, alone):
    folder = planned(tmp_path / "x", mesh)
    assert [reached(folder / name) for name in ("part-000", "part-001")] == [0, 0]
    assert work(folder, mesh=mesh) == 2
    assert_same_results(folder, alone)
    assert [reached(folder / name) for name in ("part-000", "part-001")] == [6, 6]
    assert work(folder, mesh=mesh) == 0
    assert not list(folder.rglob("*.tmp")) and not list(folder.rglob(lease.FILE))


def test_a_part_that_somebody_has_is_left_to_them_until_they_die(tmp_path, mesh, alone):
    folder = planned(tmp_path / "x", mesh)
    with held(folder / "part-000"):
        assert work(folder, mesh=mesh, wait=False) == 1
        assert reached(folder / "part-000") == 0 and reached(folder / "part-001") == 6
        # whoever wants the sweep to itself has to wait, and is told for whom
        with pytest.raises(
            Leased, match=r"process 4321 on node-7 has computed part-000 since 2026"
        ):
            run(spec(), folder, resume=True)
    with held(folder / "part-000", seconds_ago=lease.TIMEOUT + 10):
        assert work(folder, mesh=mesh, wait=False) == 1
    assert_same_results(folder, alone)


def test_who_waits_takes_over_from_who_dies(tmp_path, mesh, alone, monkeypatch):
    monkeypatch.setattr(lease, "TIMEOUT", 1.5)
    monkeypatch.setattr("jaxmarl_core.sweeps.sharing.HEARTBEAT", 0.5)
    folder = planned(tmp_path / "x", mesh)
    with held(folder / "part-001"):  # who never touches it again
        assert work(folder, mesh=mesh) == 2
    assert_same_results(folder, alone)


def test_a_sweep_that_one_process_has_to_itself_is_not_shared(tmp_path, mesh):
    folder = planned(tmp_path / "x", mesh)
    with held(folder):
        with pytest.raises(ValueError, match="process 4321 on node-7 has had to itself since 2026"):
            work(folder, mesh=mesh)
        with pytest.raises(Leased), part_lease(folder, folder / "part-000"):
            pass
        assert not (folder / "part-000" / lease.FILE).exists()
    with Lease(folder), pytest.raises(Leased), part_lease(folder, folder / "part-000"):
        pass


def test_a_part_that_was_cut_again_is_nobodys(tmp_path, mesh):
    folder = planned(tmp_path / "x", mesh)
    named = pytest.raises(Gone, match="part-007: expected a part that the plan names")
    with named, part_lease(folder, folder / "part-007"):
        pass
    assert not (folder / "part-007").exists()


@pytest.mark.slow
def test_workers_compute_again_what_was_lost(tmp_path, mesh, alone):
    """A part's metrics are damaged; its last checkpoint would say that all is done."""
    folder = planned(tmp_path / "x", mesh)
    assert work(folder, mesh=mesh) == 2
    (path,) = (folder / "part-001").glob("metrics-*.npz")
    path.write_bytes(b"nothing")
    again = f"from jaxmarl_core.sweeps.sharing import work; work({str(folder)!r})"
    start = Start(spec(), folder, resume=True, mesh=mesh)
    two = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    run_with_workers(start, 1, lambda _: [sys.executable, "-c", again], lambda number: two)
    assert_same_results(folder, alone)
    assert (folder / "part-001" / "checkpoints" / "checkpoint-000006.npz.ahead").exists()


def test_helpers_of_another_size_are_no_change(tmp_path, mesh):
    folder = planned(tmp_path / "x", mesh)
    before = (folder / "facts.json").read_text()
    facts = json.loads(before)
    kind = facts["device"].split(" ", 1)[1]
    assert sweep_folder.note_changes(folder, facts | {"device": f"3 {kind}"}, False) == []
    assert (folder / "facts.json").read_text() == before
    other = facts | {"device": "3 x TPU v5e (tpu)", "date": "2027-01-01"}
    assert sweep_folder.note_changes(folder, other, False) == [
        f"device was {facts['device']}, is now 3 x TPU v5e (tpu)"
    ]


def test_only_a_sweep_can_be_worked_on(tmp_path):
    with pytest.raises(ValueError, match="folder: expected that of a sweep, got"):
        work(tmp_path)


def test_workers_share_the_cores_and_the_gpus():
    told = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "2,5"}
    own = [worker_environment(told, number, 3, 8) for number in range(3)]
    assert [x["XLA_FLAGS"] for x in own] == ["--xla_force_host_platform_device_count=2"] * 3
    assert [x["CUDA_VISIBLE_DEVICES"] for x in own] == ["2", "5", "2"]
    assert own[0]["PATH"] == "/bin" and told["CUDA_VISIBLE_DEVICES"] == "2,5"
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8 --x"}
    assert worker_environment(flags, 0, 2, 4) == flags  # as the user has said
    assert "count=1" in worker_environment({}, 0, 9, 2)["XLA_FLAGS"]


def test_workers_that_all_fail_are_asked_why(tmp_path, mesh):
    fails = lambda folder: [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"]
    with pytest.raises(WorkersFailed, match=r"codes \[3, 3\]\): .*worker-0.log: no disk"):
        run_with_workers(Start(spec(), tmp_path / "x", mesh=mesh), 2, fails, lambda i: os.environ)
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        run_with_workers(Start(spec(), tmp_path / "y", mesh=mesh), 0, fails, lambda i: os.environ)
    assert not (tmp_path / "y").exists()


# ---- processes

SPEC = """
algorithm = "q_learning"
environment = "matrix_game"
seeds = 4
updates = 4000
segment = 20
checkpoint_seconds = 0.0
[config]
rollout_length = 4
[grid.hparams]
learning_rate = [0.1, 0.2]
"""
ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}


def started(*words):
    """A command of ours as a process on one device."""
    return subprocess.Popen(
        [sys.executable, "-m", "jaxmarl_core.cli", *map(str, words)],
        env=os.environ | ONE_DEVICE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until(condition, seconds=300):
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_and_stopped_workers_leave_nothing_undone(tmp_path):
    """Of four workers two are killed and one is asked to stop; a fifth is called by hand."""
    path = tmp_path / "four.toml"
    path.write_text(SPEC)
    out = tmp_path / "shared"
    sweep = started("sweep", path, "--out", out, "--workers", "4", "--quiet")
    parts = [out / f"part-{i:03d}" for i in range(4)]
    until(lambda: all((part / lease.FILE).exists() and reached(part) > 100 for part in parts))
    pids = [json.loads((part / lease.FILE).read_text())["pid"] for part in parts]
    assert len(set(pids)) == 4
    extra = started("work", out, "--quiet")
    for pid, number in zip(pids, (signal.SIGKILL, signal.SIGKILL, signal.SIGUSR1)):
        os.kill(pid, number)
    said, error = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, error
    assert "report.html" in said.replace("\n", "")
    assert extra.communicate(timeout=60) and extra.returncode == 0
    lone = tmp_path / "lone"
    alone = started("sweep", path, "--out", lone, "--quiet")
    alone.communicate(timeout=600)
    a, b = sweep_folder.read(out), sweep_folder.read(lone)
    assert sorted(run["run"] for run in a.runs) == list(range(8))
    np.testing.assert_array_equal(a.num_updates_done, 4000)
    for name, figures in b.metrics.items():
        # parts of two runs, not of eight: another program, whose tables may round otherwise
        np.testing.assert_allclose(a.metrics[name], figures, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not list(out.rglob("*.tmp")) and not list(out.rglob(lease.FILE))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_sweep_of_workers_stops_with_all_of_them_and_goes_on(tmp_path, number, code):
    path = tmp_path / "two.toml"
    path.write_text(SPEC)
    out = tmp_path / "shared"
    sweep = started("sweep", path, "--out", out, "--workers", "2", "--quiet")
    parts = [out / f"part-{i:03d}" for i in range(2)]
    until(lambda: all(reached(part) > 100 for part in parts))
    sweep.send_signal(number)
    said, error = sweep.communicate(timeout=60)
    assert sweep.returncode == code, error
    assert "--workers 2" in said and "--resume" in said
    assert 100 < reached(parts[0]) < 4000 and not list(out.rglob(lease.FILE))
    again = started("sweep", path, "--out", out, "--quiet", "--resume")  # and one goes on alone
    _, error = again.communicate(timeout=600)
    assert again.returncode == 0, error
    assert sweep_folder.read(out).num_updates_done.tolist() == [4000] * 8
