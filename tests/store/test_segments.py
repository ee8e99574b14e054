"""Metrics on disk: what is read never changes by how it is cut into files."""

import numpy as np
import pytest

from jaxmarl_core.store import segments
from jaxmarl_core.store.segments import Segment


def metrics(num_updates, first=0, seed=0):
    values = np.random.default_rng(seed).normal(size=(3, num_updates + first))
    return {"loss": values.astype(np.float32)[:, first:]}


def write(folder, first, end, seed=0):
    segments.write(folder, first, Segment(metrics(end - first, first, seed), 1.0))


def names(folder):
    return [path.name for path in segments.files(folder)]


def silent(text):
    pass


def test_a_long_run_leaves_few_files(tmp_path):
    for first in range(0, 400, 2):
        write(tmp_path, first, first + 2)
        segments.join(tmp_path, first + 2)
        assert len(names(tmp_path)) <= 7 * 3
    assert segments.covered(tmp_path, silent) == 400
    found = segments.read(tmp_path)
    expected = np.concatenate([metrics(2, f)["loss"] for f in range(0, 400, 2)], axis=1)
    np.testing.assert_array_equal(found.metrics["loss"], expected)
    assert found.seconds == 200
    segments.join_all(tmp_path)
    assert names(tmp_path) == ["metrics-000000.npz"]
    np.testing.assert_array_equal(segments.read(tmp_path).metrics["loss"], expected)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_computed_again_counts_however_it_is_cut(tmp_path, seed):
    """Going back and on with other lengths, against an array that is simply overwritten."""
    rng = np.random.default_rng(seed)
    expected, end = np.zeros((3, 200), np.float32), 0
    for number in range(40):
        first = int(rng.integers(max(0, end - 12), end + 1))
        length = int(rng.integers(1, 6))
        write(tmp_path, first, first + length, number)
        expected[:, first : first + length] = metrics(length, first, number)["loss"]
        end = max(end, first + length)
        segments.join(tmp_path, first + length)
        assert segments.covered(tmp_path, silent) == end
    np.testing.assert_array_equal(segments.read(tmp_path).metrics["loss"], expected[:, :end])
    segments.join_all(tmp_path)
    np.testing.assert_array_equal(segments.read(tmp_path).metrics["loss"], expected[:, :end])


def test_a_crash_while_joining_loses_and_doubles_nothing(tmp_path, monkeypatch):
    for first in range(8):
        write(tmp_path, first, first + 1)
    before = segments.read(tmp_path).metrics["loss"]
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "unlink", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            segments.join_all(tmp_path)
    assert len(names(tmp_path)) == 8
    np.testing.assert_array_equal(segments.read(tmp_path).metrics["loss"], before)


def test_a_damaged_file_is_put_aside_and_its_updates_count_as_lost(tmp_path):
    for first in (0, 2, 4):
        write(tmp_path, first, first + 2)
    (tmp_path / "metrics-000002.npz").write_bytes(b"PK\x03\x04 half a fi")
    with pytest.raises(ValueError, match=r"metrics-000002\.npz: expected what was written"):
        segments.read(tmp_path)
    said = []
    assert segments.covered(tmp_path, said.append) == 2
    assert len(said) == 1 and "metrics-000002.npz" in said[0] and "computed again" in said[0]
    assert (tmp_path / "metrics-000002.npz.damaged").exists()
    write(tmp_path, 2, 4)
    assert segments.read(tmp_path).metrics["loss"].shape == (3, 6)


def test_missing_files_end_what_is_covered(tmp_path):
    for first in (0, 2, 6):
        write(tmp_path, first, first + 2)
    assert segments.covered(tmp_path, silent) == 4
    assert segments.covered(tmp_path / "none", silent) == 0
