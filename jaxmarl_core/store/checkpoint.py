"""Saving a learner's whole state, so that a run goes on bit for bit, or is refused by name.

Files are orbax's; it writes aside and renames, so a process killed in the middle of a save leaves
the one before. Typed PRNG keys are saved as their data.
"""

import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

PROGRAM = "program.json"


class Checkpoints:
    """The checkpoints of one part of a sweep, in one folder; the two newest are kept.

    Args:
      folder: where; made if missing.
      program: what makes the program (algorithm, environment, options, ...), plain JSON values.
      like: a state of this program (arrays, or jax.ShapeDtypeStruct with shardings).

    Raises:
      ValueError: the folder belongs to another program; the message names the first difference.
    """

    def __init__(self, folder: Path, program: dict[str, Any], like: Any):
        self.folder = Path(folder).absolute()
        self.like = like
        self._claim(json.loads(json.dumps(program | {"state": signature(like)})))
        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports each save at length
        self._manager = ocp.CheckpointManager(
            self.folder / "steps",
            options=ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False),
        )

    def _claim(self, program: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / PROGRAM
        if not file.exists():
            aside = file.with_suffix(".tmp")
            aside.write_text(json.dumps(program, indent=1))
            aside.replace(file)
        there = json.loads(file.read_text())
        for path in _differences(there, program):
            ours, theirs = _at(program, path), _at(there, path)
            raise ValueError(
                f"checkpoint: expected {'.'.join(path)} = {ours!r}, got a checkpoint of another "
                f"program, with {theirs!r}, in {self.folder}"
            )

    def save(self, num_updates: int, state: Any) -> None:
        """Saves the state reached after `num_updates` updates; returns once it is on disk."""
        self._manager.save(num_updates, args=ocp.args.StandardSave(jax.tree.map(_raw, state)))
        self._manager.wait_until_finished()

    def latest(self) -> int | None:
        """Returns the number of updates of the newest checkpoint, None if there is none."""
        return self._manager.latest_step()

    def restore(self) -> tuple[int, Any]:
        """Returns (number of updates, state) of the newest checkpoint; ValueError if none."""
        step = self.latest()
        if step is None:
            raise ValueError(f"checkpoint: expected one in {self.folder}, got none")
        raw = self._manager.restore(step, args=ocp.args.StandardRestore(_shapes(self.like)))
        return step, jax.tree.map(_cooked, self.like, raw)

    def close(self) -> None:
        """Frees the manager's threads."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def signature(state: Any) -> dict[str, str]:
    """Returns path -> dtype[shape] for every leaf of a pytree."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{x.dtype}{list(x.shape)}" for path, x in leaves}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw(leaf: Any) -> Any:
    if leaf.size == 0:  # orbax refuses empty arrays: ones on the empty axes stand in for them
        return jnp.zeros(_filled(leaf.shape), leaf.dtype, device=leaf.sharding)
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _cooked(like: Any, leaf: Any) -> Any:
    if like.size == 0:
        return jnp.zeros(like.shape, like.dtype, device=like.sharding)
    return jax.random.wrap_key_data(leaf) if _is_key(like) else leaf


def _filled(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(n, 1) for n in shape)


def _shapes(like: Any) -> Any:
    def one(x):
        if x.size == 0:
            return jax.ShapeDtypeStruct(_filled(x.shape), x.dtype, sharding=x.sharding)
        raw = jax.eval_shape(_raw, x)
        return jax.ShapeDtypeStruct(raw.shape, raw.dtype, sharding=x.sharding)

    return jax.tree.map(one, like)


def _differences(a: Any, b: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return [] if a == b else [path]
    both = sorted(a.keys() | b.keys())
    return [d for name in both for d in _differences(a.get(name), b.get(name), (*path, name))]


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
