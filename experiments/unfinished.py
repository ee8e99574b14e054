"""Parts of a long study, kept so that one that was stopped goes on where it stood.

A part is what a study finds by itself, such as all runs in one world: arrays by name. It is written
below `runs/studies/.unfinished` as soon as it is found, read by the next start of the same study,
and forgotten when the study is done. Who changes the study's own file starts anew; who changes the
library deletes the folder.
"""

import hashlib
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxmarl_core.store import atomic

ROOT = Path("runs/studies/.unfinished")
SECONDS = "_seconds"  # what a part took, beside its arrays
Arrays = dict[str, np.ndarray]


def folder(module: str) -> Path:
    """Returns where a study's parts are kept; of another text of its module it is another."""
    spec = importlib.util.find_spec(module)
    text = b"" if spec is None or spec.origin is None else Path(spec.origin).read_bytes()
    digest = hashlib.sha256(text).hexdigest()[:8]
    return ROOT / f"{module.rpartition('.')[2]}-{digest}"


def part(module: str, name: str, compute: Callable[[], Arrays]) -> Arrays:
    """Returns what a part found, from an earlier start of the study or computed and kept.

    Args:
      module: the study's `__name__`.
      name: of the part, with all that it depends on, as the number of seeds.
      compute: finds it; array names must not begin with an underscore.
    """
    path = folder(module) / f"{name}.npz"
    if path.exists():
        print(f"{name}: as an earlier start found it, {path}", file=sys.stderr, flush=True)
        with np.load(path) as kept:
            return {key: kept[key] for key in kept.files if key != SECONDS}
    began = time.perf_counter()
    found = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.writing(path) as file:
        np.savez(file, **found, **{SECONDS: time.perf_counter() - began})  # pyright: ignore
    return found


def seconds(module: str) -> float:
    """Returns what the parts took that earlier starts have left."""
    total = 0.0
    for path in folder(module).glob("*.npz"):
        with np.load(path) as kept:
            total += float(kept[SECONDS])
    return total


def forget(module: str) -> None:
    """Deletes a study's parts."""
    shutil.rmtree(folder(module), ignore_errors=True)
