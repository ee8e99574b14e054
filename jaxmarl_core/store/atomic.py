"""Writing a file so that a crash leaves the old one or the new one, never half of either."""

import os
import tempfile
from pathlib import Path


def write(path: str | os.PathLike, data: bytes | str) -> None:
    """Writes `data` to `path`; a reader sees all of it or nothing of it.

    The data goes to a temporary file beside `path` (its name starts with a dot and ends in
    `.tmp`), reaches the disk, and then takes the name in one step. Text is stored as UTF-8.
    """
    path = Path(path)
    data = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private to its owner
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself durable, where folders can be synced (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
