"""Arrays on disk: what NumPy reads, and every wrong byte found."""

import numpy as np
import pytest

from jaxmarl_core.store import archive

ARRAYS = {
    "a/b c": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    ".params['w']": np.zeros((2, 0, 3), bool),
    "": np.asarray(3, np.int8),
}


def test_numpy_reads_what_was_written(tmp_path):
    archive.write(tmp_path / "x.npz", ARRAYS.items())
    with np.load(tmp_path / "x.npz") as found:
        np.testing.assert_array_equal(found["a/b c"], ARRAYS["a/b c"])
    found = archive.read(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_flipped_bit_is_found_or_harmless(tmp_path):
    """Every bit of a small file, one at a time."""
    path = tmp_path / "x.npz"
    archive.write(path, {"w": np.arange(4, dtype=np.float32)}.items())
    whole = path.read_bytes()
    found = 0
    for place in range(len(whole)):
        for bit in (1, 16, 128):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            try:
                read = archive.read(path)
            except archive.Damaged as error:
                assert str(path) in str(error)
                found += 1
            else:  # a date, or a name's extra field
                np.testing.assert_array_equal(read["w"], np.arange(4))
    assert found > len(whole)


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_a_cut_file_is_found(tmp_path, keep):
    path = tmp_path / "x.npz"
    archive.write(path, ARRAYS.items())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(archive.Damaged, match=r"x\.npz: expected what was written"):
        archive.read(path)


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        archive.read(tmp_path / "x.npz")
