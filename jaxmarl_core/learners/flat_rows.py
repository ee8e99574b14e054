"""A ring buffer whose entries are rows of 32-bit words: all that an agent showed and did in one.

Thirteen by thirteen cells of seven numbers, an action, a reward: as arrays of their own each has a
short last axis, which a TPU fills up to 128, and each is a write a step and a gather a sample.
Side by side they are one long last axis, one write and one gather, and nothing is filled up but
the end. Numbers keep their bits: they are only read as words. `replay` says what a buffer is, where
a block begins, and what is sampled.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import require
from jaxmarl_core.functional.dividing import divided
from jaxmarl_core.functional.packing import packs
from jaxmarl_core.learners import replay

WORDS = {jnp.dtype(name) for name in ("float32", "int32", "uint32", "bool")}


class Place(NamedTuple):
    """Where a leaf lies in a row."""

    first: int  # its first word
    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@struct.dataclass
class FlatRows:
    """A buffer of a pytree: leaf i lies at `places[i]` of the rows, or is the next of `others`."""

    words: jax.Array  # [capacity, B, n, W] uint32
    others: tuple[jax.Array, ...]  # [capacity, B, n, ...], of types that are not 32 bits
    places: tuple[Place | None, ...] = struct.field(pytree_node=False)
    structure: Any = struct.field(pytree_node=False)

    @property
    def tree(self) -> Any:
        """Returns all that is stored as it was, leaves [capacity, B, n, ...]."""
        return _tree(self, self.words, self.others)


def empty_rows(entry: Any, capacity: int, block_length: int) -> FlatRows:
    """Returns an empty buffer; arguments and errors as of `replay.empty_buffer`.

    Args:
      entry: an example of one entry, arrays or jax.ShapeDtypeStruct, leaves [B, n, ...].
      capacity: entries kept.
      block_length: entries written at a time.
    """
    leaves, structure = jax.tree.flatten(entry)
    places: list[Place | None] = []
    others, width = [], 0
    for leaf in leaves:
        if jnp.dtype(leaf.dtype) in WORDS:
            places.append(Place(width, leaf.shape[2:], jnp.dtype(leaf.dtype)))
            width += math.prod(leaf.shape[2:])
        else:
            places.append(None)
            others.append(leaf)
    words = jax.ShapeDtypeStruct((*leaves[0].shape[:2], width), jnp.uint32)
    words, others = replay.empty_buffer((words, tuple(others)), capacity, block_length)
    return FlatRows(words, others, tuple(places), structure)


def write_rows(
    buffer: FlatRows, parts: list[Any], position: jax.Array, first_agent: int = 0
) -> FlatRows:
    """Returns the buffer with one entry, or some agents' part of it, written at `position`.

    Args:
      buffer: of n agents.
      parts: entries of agents who lie side by side, leaves [B, m_i, ...] each; what they sum up to
        is at most n.
      position: [] int32; `replay.block_start` plus the number of the step.
      first_agent: the first of them, static.
    """
    if packs():  # one write: that the parts are put together first is part of it
        joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, 1), *parts)
        found, others = _words(buffer, joined)
        row = jnp.concatenate([found[i] for i, place in enumerate(buffer.places) if place], -1)
        words = replay.write_entry(buffer.words, row, position, first_agent)
        others = replay.write_entry(buffer.others, others, position, first_agent)
        return dataclasses.replace(buffer, words=words, others=others)
    # each is written where it lies: putting them together would copy all that is observed
    for part in parts:
        found, others = _words(buffer, part)
        words = buffer.words
        for i, place in enumerate(buffer.places):
            if place is not None:
                words = replay.write_entry(words, found[i], position, first_agent, place.first)
        kept = replay.write_entry(buffer.others, others, position, first_agent)
        buffer = dataclasses.replace(buffer, words=words, others=kept)
        first_agent += jax.tree.leaves(part)[0].shape[1]
    return buffer


def read_rows(buffer: FlatRows, *positions: jax.Array) -> Any:
    """Returns entries as they were, leaves [size, ...]; positions as of `replay.gather`."""
    others = replay.gather(buffer.others, *positions)
    if packs():
        return _tree(buffer, replay.gather(buffer.words, *positions), others)
    # a gather a leaf: cut from whole rows each would be copied twice
    found = [
        None if place is None else _gathered(buffer.words, positions, place)
        for place in buffer.places
    ]
    return divided(_joined(buffer, found, others), axis=0)


def _gathered(words: jax.Array, positions: tuple[jax.Array, ...], place: Place) -> jax.Array:
    """Returns a leaf [size, *shape] at positions (entry, environment, agent)."""
    at = jnp.stack([at % size for at, size in zip(positions, words.shape)], -1)
    first = jnp.full((*at.shape[:-1], 1), place.first, at.dtype)
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(1,), collapsed_slice_dims=(0, 1, 2), start_index_map=(0, 1, 2, 3)
    )
    found = jax.lax.gather(
        words,
        jnp.concatenate([at, first], -1),
        numbers,
        (1, 1, 1, place.size),
        mode="promise_in_bounds",
    )
    return _leaf(found, place)


def _words(buffer: FlatRows, entry: Any) -> tuple[dict[int, jax.Array], tuple[jax.Array, ...]]:
    """Returns an entry's leaves as words [B, m, size], by number, and those that are no words."""
    structure = jax.tree.structure(entry)
    require(structure == buffer.structure, "entry", f"{buffer.structure}", structure)
    found, others = {}, []
    for i, (leaf, place) in enumerate(zip(jax.tree.leaves(entry), buffer.places)):
        if place is None:
            others.append(leaf)
            continue
        shape = leaf.shape[2:]
        require(shape == place.shape, "entry", f"leaf {i} of shape [B, m, *{place.shape}]", shape)
        flat = leaf.astype(place.dtype).reshape(*leaf.shape[:2], place.size)
        found[i] = (
            flat.astype(jnp.uint32)
            if place.dtype == jnp.bool_
            else jax.lax.bitcast_convert_type(flat, jnp.uint32)
        )
    return found, tuple(others)


def _tree(buffer: FlatRows, words: jax.Array, others: tuple[jax.Array, ...]) -> Any:
    """Returns the pytree of words [*lead, W] and of the leaves that are none."""
    found = [
        None if place is None else _leaf(words[..., place.first : place.first + place.size], place)
        for place in buffer.places
    ]
    return _joined(buffer, found, others)


def _joined(buffer: FlatRows, found: list[Any], others: tuple[jax.Array, ...]) -> Any:
    left = iter(others)
    leaves = [next(left) if place is None else leaf for leaf, place in zip(found, buffer.places)]
    return jax.tree.unflatten(buffer.structure, leaves)


def _leaf(words: jax.Array, place: Place) -> jax.Array:
    row = words.reshape(*words.shape[:-1], *place.shape)
    if place.dtype == jnp.bool_:
        return row != 0
    return jax.lax.bitcast_convert_type(row, place.dtype)
