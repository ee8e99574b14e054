"""Saving a learner's whole state, so that a run goes on bit for bit, or is refused by name.

    checkpoints/program.json            what the state belongs to
    checkpoints/checkpoint-000050.npz   the state after 50 updates, an array a leaf, [R, ...]
    checkpoints/checkpoint-000100.npz   the two newest are kept

A checkpoint knows nothing of devices: it holds the part's R runs and no filling, and is read into
host memory, from which it goes to any devices. Typed PRNG keys are saved as their data.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.store import archive, atomic
from jaxmarl_core.store.named_leaves import as_declared, exactly_named, is_key, named_leaves

PROGRAM = "program.json"
_NAME = "checkpoint-"


class Checkpoints:
    """The checkpoints of one part of a sweep, in one folder; the two newest are kept.

    Args:
      folder: where; made by the first `save`.
      program: what makes the program (algorithm, environment, options, ...), plain JSON values.
      like: the state of the part's R runs, as arrays or shapes with leaves [R, ...].

    Raises:
      ValueError: the folder belongs to another program; the message names the first difference.
    """

    def __init__(self, folder: Path, program: dict[str, Any], like: Any):
        self.folder = Path(folder)
        self.like = like
        self.program = json.loads(json.dumps(program | {"state": signature(like)}))
        if (self.folder / PROGRAM).exists():
            self._check(json.loads((self.folder / PROGRAM).read_text("utf-8")))

    def _check(self, there: dict[str, Any]) -> None:
        for path in _differences(there, self.program):
            ours, theirs = _at(self.program, path), _at(there, path)
            raise ValueError(
                f"checkpoint: expected {'.'.join(path)} = {ours!r}, got a checkpoint of another "
                f"program, with {theirs!r}, in {self.folder}"
            )

    def save(self, num_updates: int, state: Any) -> None:
        """Saves the state reached after `num_updates` updates; returns once it is on disk.

        Rows after the R-th are filling, and left out. Checkpoints of later updates go, as the run
        now goes on from here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / PROGRAM).exists():
            atomic.write(self.folder / PROGRAM, json.dumps(self.program, indent=1))
        leaves = zip(named_leaves(self.like).items(), jax.tree.leaves(state), strict=True)
        arrays = ((name, np.asarray(_raw(leaf))[: len(like)]) for (name, like), leaf in leaves)
        archive.write(self._path(num_updates), arrays)
        kept = {num_updates, *[step for step in self.steps() if step < num_updates][-1:]}
        for step in set(self.steps()) - kept:
            self._path(step).unlink()

    def steps(self) -> list[int]:
        """Returns the numbers of updates after which there is a checkpoint, the newest last."""
        return saved_steps(self.folder)

    def newest(self, at_most: int | None = None) -> int:
        """Returns the number of updates of the newest checkpoint, 0 if there is none.

        Args:
          at_most: leave out what was saved after more updates.
        """
        steps = [step for step in self.steps() if at_most is None or step <= at_most]
        return max(steps, default=0)

    def restore(
        self, at_most: int | None = None, say: Callable[[str], None] = lambda text: None
    ) -> tuple[int, Any]:
        """Returns (number of updates, state) of the newest checkpoint that can be read.

        The state is in host memory: leaves are NumPy arrays [R, ...], keys as their data; see
        `typed`.

        Args:
          at_most: leave out what was saved after more updates.
          say: is told of checkpoints that are damaged, and so passed over.

        Returns (0, None) if there is none.
        """
        for step in reversed(self.steps()):
            if at_most is None or step <= at_most:
                try:
                    return step, self._read(step)
                except archive.Damaged as error:
                    say(f"{error}; going on from the checkpoint before it")
        return 0, None

    def _read(self, step: int) -> Any:
        arrays = read_leaves(self.folder, step)
        names = named_leaves(self.like)
        if arrays.keys() != names.keys():
            raise archive.Damaged(f"{self._path(step)}: expected the leaves of the state")
        own = lambda array, like: array if is_key(like) else as_declared(array, like)
        leaves = [own(arrays[name], like) for name, like in names.items()]
        return jax.tree.unflatten(jax.tree.structure(self.like), leaves)

    def _path(self, step: int) -> Path:
        return step_path(self.folder, step)


def read_leaves(folder: Path, step: int, prefix: str = "") -> dict[str, np.ndarray]:
    """Returns name -> [R, ...] of the leaves in a checkpoint whose names begin so.

    A name is the path to a leaf: "params.tables.player_0.q". Raises archive.Damaged where the file
    is not what was written.
    """
    return archive.read(step_path(folder, step), prefix)


def step_path(folder: Path, step: int) -> Path:
    """Returns the file of the checkpoint after so many updates."""
    return folder / f"{_NAME}{step:06d}.npz"


def saved_steps(folder: Path) -> list[int]:
    """Returns the numbers of updates after which a folder has a checkpoint, in order."""
    return sorted(int(path.stem.removeprefix(_NAME)) for path in folder.glob(f"{_NAME}*.npz"))


def typed(like: Any, raw: Any) -> Any:
    """Returns a restored state whose PRNG keys are typed keys again."""
    return jax.tree.map(lambda x, y: jax.random.wrap_key_data(y) if is_key(x) else y, like, raw)


def placed(like: Any, raw: Any) -> Any:
    """Returns a restored state on devices, its leading axis [R] filled up with its last row.

    Args:
      like: leaves with shape [R', ...], dtype and sharding, R' at least R.
      raw: what `Checkpoints.restore` read, leaves [R, ...].
    """

    def one(like, leaf):
        extra = like.shape[0] - len(leaf)
        leaf = np.concatenate([leaf, np.repeat(leaf[-1:], extra, axis=0)]) if extra else leaf
        if is_key(like):
            return jax.device_put(jax.random.wrap_key_data(jnp.asarray(leaf)), like.sharding)
        return jax.device_put(leaf, like.sharding)

    return jax.tree.map(one, like, raw)


def signature(state: Any) -> dict[str, str]:
    """Returns path -> dtype[shape] for every leaf of a pytree."""
    return {name: f"{x.dtype}{list(x.shape)}" for name, x in exactly_named(state).items()}


def _raw(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def _differences(a: Any, b: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return [] if a == b else [path]
    both = sorted(a.keys() | b.keys())
    return [d for name in both for d in _differences(a.get(name), b.get(name), (*path, name))]


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
