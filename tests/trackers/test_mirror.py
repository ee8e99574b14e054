"""Mirrors: every update of every run once, whatever was there before; never the sweep's master."""

import shutil
import struct
import sys

import numpy as np
import pytest
from small_sweeps import trained_game

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.data import load_results
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.trackers import mirror as mirrors
from jaxmarl_core.trackers.mirror import Mirror, new_rows

METRIC = "episode_return_player_0"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(trained_game(), tmp_path / "a game")


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self, folder, results):
        self.rows, self.closed = [], False

    def write(self, rows):
        self.rows.append(rows)

    def close(self):
        self.closed = True


def scalars(folder):
    """Tag -> [(step, value)] in the event files of a folder, read as TensorBoard's format says."""
    from tensorboardX.proto import event_pb2

    found = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_rows_are_what_was_not_written(folder):
    results = sweep_folder.read(folder)
    rows = new_rows(results, {0: 4, 1: 6})
    assert [(r.run, r.first, len(r.env_steps)) for r in rows] == [(0, 4, 2), (2, 0, 6), (3, 0, 6)]
    np.testing.assert_array_equal(rows[0].metrics[METRIC], results.metrics[METRIC][0, 4:])
    assert rows[0].options["hparams.learning_rate"] == pytest.approx(0.1)


def test_every_update_comes_once(folder, monkeypatch):
    kept = []
    opened = lambda: lambda *args: kept.append(Kept(*args)) or kept[-1]
    monkeypatch.setitem(mirrors.MIRRORS, "tensorboard", opened)
    times = iter([0.0, 0.0, 1.0, 20.0, 20.0])
    with Mirror(["tensorboard"], clock=lambda: next(times)) as mirror:
        mirror(folder)
        mirror(folder)  # too soon
        mirror(folder)  # nothing new
    (writer,) = kept
    assert writer.closed
    assert [(rows.run, rows.first) for rows in writer.rows] == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_tensorboard_has_what_the_folder_has(folder):
    pytest.importorskip("tensorboardX")
    for _ in range(2):  # again: nothing is doubled
        with Mirror(["tensorboard"]) as mirror:
            mirror(folder)
    _, curves = load_results(folder)
    own = curves["run"] == 2
    found = scalars(folder / "tensorboard" / "run-0002")
    steps, values = zip(*found[METRIC])
    np.testing.assert_array_equal(steps, curves["env_steps"][own])
    np.testing.assert_array_equal(np.float32(values), np.float32(curves[METRIC][own]))
    measured = ~np.isnan(curves["eval_return_player_0"][own])
    assert len(found["eval_return_player_0"]) == measured.sum() == 2


def test_a_mirror_that_breaks_does_not_break_the_sweep(folder, monkeypatch):
    def broken(folder, results):
        raise OSError("no space")

    monkeypatch.setitem(mirrors.MIRRORS, "tensorboard", lambda: broken)
    said = []
    with Mirror(["tensorboard"], say=said.append) as mirror:
        mirror(folder)
        mirror(folder)
    assert said == ["mirrors: tensorboard: OSError: no space; going on without"]


def test_a_mirror_that_breaks_does_not_break_another(folder, monkeypatch):
    def broken(folder, results):
        raise OSError("no space")

    kept = []
    opened = lambda *args: kept.append(Kept(*args)) or kept[-1]
    monkeypatch.setitem(mirrors.MIRRORS, "tensorboard", lambda: broken)
    monkeypatch.setitem(mirrors.MIRRORS, "wandb", lambda: opened)
    with Mirror(["tensorboard", "wandb"], say=lambda text: None) as mirror:
        mirror(folder)
    assert len(kept[0].rows) == 4 and kept[0].closed


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"pip install 'jaxmarl-core\[wandb\]', got no wandb"):
        Mirror(["wandb"])
    with pytest.raises(ValueError, match="did you mean 'tensorboard'"):
        Mirror(["tensorbord"])
    game = {"algorithm": "q_learning", "environment": "matrix_game"}
    with pytest.raises(ValueError, match="did you mean 'wandb'"):
        from_dict({**game, "mirrors": ["wanb"]})


@pytest.mark.slow
def test_wandb_goes_on_where_it_was(folder, monkeypatch):
    wandb = pytest.importorskip("wandb")
    logged = []
    init = wandb.init

    def watched(**options):
        run = init(**options)
        log = run.log
        run.log = lambda row, step: logged.append((options["id"], step)) or log(row, step=step)
        return run

    monkeypatch.setattr(wandb, "init", watched)
    for _ in range(2):
        with Mirror(["wandb"]) as mirror:
            mirror(folder)
    assert len(logged) == len(set(logged)) == 4 * 6
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 4
