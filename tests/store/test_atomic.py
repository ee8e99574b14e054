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


def test_a_file_that_is_half_written_never_takes_the_name(tmp_path):
    with pytest.raises(RuntimeError), atomic.writing(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_what_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        atomic.write(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_a_killed_process_left_is_swept_up(tmp_path):
    (tmp_path / ".a-1234.tmp").write_text("half")
    (tmp_path / "a").write_text("whole")
    (tmp_path / ".mine").write_text("mine")
    atomic.sweep_up(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "a"]
