"""A small sweep, and what interrupts, copies and compares it."""

import shutil

import numpy as np
import pytest
from small_sweeps import GAME

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.sweeps import worker
from jaxmarl_core.sweeps.progress import Silent
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import run

SWEEP = GAME | {"evaluation": {"every": 3, "episodes": 2, "opponents": {"player_1": "random"}}}


def spec(**changes):
    return from_dict(SWEEP | changes)


def a_copy(folder, tmp_path):
    """A finished sweep to harm."""
    return shutil.copytree(folder, tmp_path / "copy")


def listener(said):
    """Progress that writes down what should be read."""

    class Listener(Silent):
        def say(self, text):
            said.append(text)

    return Listener


def compute_nothing(monkeypatch):
    """Makes sweeps that are planned, and no more."""
    monkeypatch.setattr(worker, "run_part", lambda *args: None)
    monkeypatch.setattr(worker, "_fitting", lambda session, part: part.num_runs)


def assert_same_results(folder, other):
    a, b = sweep_folder.read(folder), sweep_folder.read(other)
    assert a.runs == b.runs
    assert a.metrics.keys() == b.metrics.keys()
    for name in a.metrics:
        np.testing.assert_array_equal(a.metrics[name], b.metrics[name], err_msg=name)


def crash_after(monkeypatch, owner, name, calls):
    """Makes `owner.name` raise at the call after so many, once its work is done."""
    original, count = getattr(owner, name), []

    def crash(*args, **kwargs):
        result = original(*args, **kwargs)
        count.append(1)
        if len(count) > calls:
            raise RuntimeError("pulled the plug")
        return result

    monkeypatch.setattr(owner, name, crash)


def stopped_after(monkeypatch, updates, *args, **kwargs):
    """Runs a sweep until it has saved so many updates."""
    with monkeypatch.context() as patch:
        crash_after(patch, Checkpoints, "save", updates // 2 - 1)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            run(*args, **kwargs)
