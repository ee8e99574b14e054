"""The command `watch`: what is done, who computes, what is left."""

import json
import os
import time

import jax
import pytest
from commands import called
from interrupted_sweeps import spec
from small_sweeps import trained_game

from jaxmarl_core.cli.watch import glance, in_words, table
from jaxmarl_core.store import lease
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.sharing import work
from jaxmarl_core.sweeps.worker import Start, opened


def test_a_finished_sweep_is_told_in_a_line(capsys):
    code, said, _ = called(capsys, "watch", trained_game())
    assert code == 0
    assert "100.0 %, 1 of 1 part done, 0 processes at work, best eval_return" in said
    assert said.rstrip().endswith("all is done")


def test_who_computes_what_and_for_how_long(tmp_path):
    mesh = run_mesh(jax.devices()[:2])
    with opened(Start(spec(), tmp_path / "x", mesh=mesh), 2) as (session, _):
        folder = session.out
    first = glance(folder)
    assert (
        in_words(first, first)
        == "0.0 %, 0 of 2 parts done, 0 processes at work, nobody computes it"
    )
    holder = {"host": "node-7", "pid": 4321, "since": "2026-01-02"}
    (folder / "part-001").mkdir()
    path = folder / "part-001" / lease.FILE
    path.write_text(json.dumps(holder))
    assert work(folder, mesh=mesh, wait=False) == 1
    later = glance(folder)._replace(clock=first.clock + 30)
    assert (later.done, later.total) == (12, 24)
    words = in_words(later, first)
    assert words.startswith("50.0 %, 1 of 2 parts done, 1 process at work, best eval_")
    assert words.endswith("about 30.0 s left")
    shown = table(later)
    cells = [list(column.cells) for column in shown.columns]
    assert cells == [["part-001"], ["2"], ["0 of 6"], ["process 4321 on node-7"], ["2026-01-02"]]
    long_ago = time.time() - lease.TIMEOUT - 10
    os.utime(path, (long_ago, long_ago))
    assert in_words(glance(folder), first).endswith("nobody computes it")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}"], "folder: expected that of a sweep"),
        (["{game}", "--every", "0"], "every: expected"),
    ],
)
def test_what_cannot_be_watched(tmp_path, capsys, arguments, message):
    words = [text.format(tmp=tmp_path, game=trained_game()) for text in arguments]
    code, _, error = called(capsys, "watch", *words)
    assert code == 2 and message in error
