"""Many small arrays as one: a loop then writes, or gathers, one array a step and not a dozen.

On an accelerator each is a kernel; on a processor a loop of its own.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Carry = TypeVar("Carry")
LARGEST = 256  # entries a row beyond which a leaf is left by itself


class Packed(NamedTuple):
    """A pytree whose leaves [*lead, ...] lie side by side on the last axis of one array."""

    bits: Any  # [*lead, F] uint32, or () where there is nothing to gain
    others: list[Any]  # the leaves that were not packed, as they were


class Packing(NamedTuple):
    """How a pytree is packed."""

    structure: Any
    places: tuple["Place", ...]  # of every leaf, in order


class Place(NamedTuple):
    """Where a leaf is found."""

    first: int | None  # its first column; None: it is among the others
    shape: tuple[int, ...]  # of a row
    dtype: Any


def packing_of(tree: Any, lead: int) -> Packing:
    """Returns how a pytree with leaves [*lead axes, ...] is packed.

    Packed are numbers of 32 bits, and bools, of at most `LARGEST` entries a row, if there are two
    whose leading axes are those of the first leaf.
    """
    leaves, structure = jax.tree.flatten(tree)
    rows = [(leaf.shape[lead:], leaf.dtype) for leaf in leaves]
    alike = [leaf.shape[:lead] == leaves[0].shape[:lead] for leaf in leaves]
    small = [same and _fits(*row) for same, row in zip(alike, rows)]
    if sum(small) < 2:
        small = [False] * len(rows)
    places, column = [], 0
    for (shape, dtype), packs in zip(rows, small):
        places.append(Place(column if packs else None, shape, dtype))
        column += math.prod(shape) if packs else 0
    return Packing(structure, tuple(places))


def pack(packing: Packing, tree: Any) -> Packed:
    """Returns the pytree packed; its leaves may have any leading axes, all of them the same."""
    leaves = jax.tree.leaves(tree)
    lead = lambda leaf, place: leaf.shape[: leaf.ndim - len(place.shape)]
    columns, others = [], []
    for leaf, place in zip(leaves, packing.places, strict=True):
        if place.first is None:
            others.append(leaf)
        else:
            columns.append(_as_bits(leaf).reshape(*lead(leaf, place), math.prod(place.shape)))
    return Packed(jnp.concatenate(columns, -1) if columns else (), others)


def unpack(packing: Packing, packed: Packed) -> Any:
    """Returns the pytree, bit for bit."""
    others = iter(packed.others)
    leaves = []
    for place in packing.places:
        if place.first is None:
            leaves.append(next(others))
            continue
        bits = packed.bits[..., place.first : place.first + math.prod(place.shape)]
        leaves.append(_of_bits(bits.reshape(*bits.shape[:-1], *place.shape), place.dtype))
    return jax.tree.unflatten(packing.structure, leaves)


def packed_scan(
    step: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, rows: Any
) -> tuple[Carry, Any]:
    """Returns what `jax.lax.scan` does; what a step returns is written as one array."""
    packings = []  # of what a step returns, as the loop's only trace finds it

    def one(carry, row):
        carry, found = step(carry, row)
        packings[:] = [packing_of(found, 0)]
        return carry, pack(packings[0], found)

    carry, found = jax.lax.scan(one, carry, rows)
    return carry, unpack(packings[0], found)


def _fits(shape: tuple[int, ...], dtype: Any) -> bool:
    number = dtype in (jnp.float32, jnp.int32, jnp.uint32, jnp.bool_)
    return number and 0 < math.prod(shape) <= LARGEST


def _as_bits(leaf: jax.Array) -> jax.Array:
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(leaf, jnp.uint32)


def _of_bits(bits: jax.Array, dtype: Any) -> jax.Array:
    if dtype == jnp.bool_:
        return bits != 0
    return jax.lax.bitcast_convert_type(bits, dtype)
