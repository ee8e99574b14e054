import os

import pytest

from jaxmarl_core.store import atomic


def test_replaces_the_whole_file(tmp_path):
    atomic.write(tmp_path / "a", "ä" * 1000)
    atomic.write(tmp_path / "a", b"short")
    assert (tmp_path / "a").read_bytes() == b"short"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    atomic.write(tmp_path / "a", "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        atomic.write(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"
