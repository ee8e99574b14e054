"""Named arrays in one file, an uncompressed `.npz`, whose every byte is checked when it is read.

NumPy alone reads it. A zip archive has a CRC-32 for each member: a flipped bit, a cut or an empty
file is found, and told with the file's name.
"""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxmarl_core.store import atomic


class Damaged(ValueError):
    """A file is not what was written."""


def write(path: str | os.PathLike, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes (name, array) pairs to a file, one array in memory at a time; see `atomic`."""
    with atomic.writing(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read(path: str | os.PathLike, prefix: str = "") -> dict[str, np.ndarray]:
    """Returns name -> array; raises Damaged, naming the file, unless all is as it was written.

    Args:
      path: of the file.
      prefix: read the arrays whose names begin so, and no others.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith(prefix)]
            return {name.removesuffix(".npy"): _member(archive, name) for name in names}
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # a wrong byte makes zipfile and NumPy raise a dozen kinds
        raise Damaged(f"{path}: expected what was written, got a damaged file ({error})") from error


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # at the end of a member its CRC is compared
            raise ValueError(f"{name} is longer than its array")
        return array
