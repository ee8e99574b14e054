"""Writing a file so that a crash leaves the old one or the new one, never half of either."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write(path: str | os.PathLike, data: bytes | str) -> None:
    """Writes `data` to `path`; a reader sees all of it or nothing of it. Text becomes UTF-8."""
    with writing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yields a file that takes the name `path` when all of it has been written.

    The data goes to a temporary file beside `path` (its name starts with a dot and ends in
    `.tmp`), reaches the disk, and then takes the name in one step. Whatever goes wrong is raised
    with the old file in place.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:  # with the permissions that the user's umask leaves
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def sweep_up(folder: str | os.PathLike) -> None:
    """Deletes the temporary files that a killed process left in a folder nobody writes to now."""
    for left in Path(folder).glob(".*.tmp"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself durable, where folders can be synced (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
