"""Leases: one writer at a time, told by name; a dead one's place is taken."""

import json
import os
import platform
import subprocess
import sys
import time

import pytest

from jaxmarl_core.store import lease
from jaxmarl_core.store.lease import Lease, Leased, Lost


def forged(folder, **changes):
    """A lease in a folder, of a process on another machine."""
    holder = {"host": "node-7", "pid": 4321, "since": "2026-01-02", "process": "other boot 4321 9"}
    (folder / lease.FILE).write_text(json.dumps(holder | changes))


def age(folder, seconds):
    then = time.time() - seconds
    os.utime(folder / lease.FILE, (then, then))


def test_a_second_one_is_refused_by_name(tmp_path):
    with Lease(tmp_path):
        here = rf"process {os.getpid()} on {platform.node()} has held since 20\d\d-.*"
        with pytest.raises(Leased, match=rf"out: expected a folder that nobody .* {here}"):
            Lease(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []
    with Lease(tmp_path):
        pass


def test_who_is_on_another_machine_lives_by_its_heartbeat(tmp_path):
    forged(tmp_path)
    with pytest.raises(Leased, match="process 4321 on node-7 has held since 2026-01-02"):
        Lease(tmp_path).__enter__()
    age(tmp_path, lease.TIMEOUT - 10)
    with pytest.raises(Leased):
        Lease(tmp_path).__enter__()
    age(tmp_path, lease.TIMEOUT + 10)
    with Lease(tmp_path) as ours:
        ours.check()


TAKE = """
import sys, time
from jaxmarl_core.store.lease import Lease, Leased

print("ready", flush=True)
sys.stdin.readline()
try:
    ours = Lease(sys.argv[1])
    ours.__enter__()
except Leased:
    sys.exit(1)
time.sleep(float(sys.argv[2]))
ours.check()
"""


def rival(folder, seconds):
    """Another process that takes the lease when told to, and dies with it after some seconds."""
    command = [sys.executable, "-c", TAKE, str(folder), str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_who_is_dead_on_this_machine_is_known_at_once(tmp_path):
    dead = rival(tmp_path, 0)
    dead.communicate("\n")
    assert dead.returncode == 0
    assert json.loads((tmp_path / lease.FILE).read_text())["pid"] == dead.pid
    with Lease(tmp_path) as ours:
        ours.check()


def test_a_pid_that_was_given_out_again_is_another_process(tmp_path):
    mine = lease.process_of(os.getpid())
    assert mine and lease.process_of(2**22 + 1) == ""
    forged(tmp_path, host=platform.node(), pid=os.getpid(), process=f"{mine}0")
    with Lease(tmp_path):
        pass


def test_the_heartbeat_is_heard_and_a_theft_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT", 0.02)
    with Lease(tmp_path) as ours:
        age(tmp_path, 1000)
        deadline = time.monotonic() + 20
        while time.time() - (tmp_path / lease.FILE).stat().st_mtime > 500:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ours.check()
        forged(tmp_path)
        with pytest.raises(Lost, match="was lost: process 4321 on node-7 has it"):
            ours.check()
        (tmp_path / lease.FILE).unlink()
        with pytest.raises(Lost, match="it is gone"):
            ours.check()
        forged(tmp_path)
    assert json.loads((tmp_path / lease.FILE).read_text())["host"] == "node-7"  # not ours to delete


def test_a_clock_that_was_set_back(tmp_path, monkeypatch):
    """A lease of the future: whether its heartbeat moves is what counts."""
    monkeypatch.setattr(lease, "HEARTBEAT", 0.05)
    forged(tmp_path)
    age(tmp_path, -3600)
    with Lease(tmp_path):
        assert json.loads((tmp_path / lease.FILE).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("holder", ["", "{", "[]", "{}"])
def test_what_cannot_be_read_is_waited_for_and_then_taken(tmp_path, holder):
    (tmp_path / lease.FILE).write_text(holder)
    with pytest.raises(Leased):
        Lease(tmp_path).__enter__()
    age(tmp_path, lease.TIMEOUT + 1)
    with Lease(tmp_path):
        pass


@pytest.mark.parametrize("stale", [False, True], ids=["free", "a dead one's"])
def test_of_many_at_once_one_wins(tmp_path, stale):
    if stale:
        forged(tmp_path)
        age(tmp_path, 1000)
    rivals = [rival(tmp_path, 1) for _ in range(5)]
    for each in rivals:
        each.stdin.write("\n")
        each.stdin.flush()
    for each in rivals:
        each.communicate()
    assert sorted(each.returncode for each in rivals) == [0, 1, 1, 1, 1]


def test_a_disk_without_hard_links(tmp_path, monkeypatch):
    def no_links(*args):
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    with Lease(tmp_path) as ours:
        ours.check()
        with pytest.raises(Leased):
            Lease(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []
