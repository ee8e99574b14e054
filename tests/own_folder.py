"""A folder outside of the package with the examples of docs/ in it, as a user has one."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


@contextmanager
def own_folder(folder: Path, monkeypatch) -> Iterator[Path]:
    """Makes `folder` the current one; what was imported from it is forgotten afterwards."""
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [x for x in sys.path if x])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]
