"""Many small arrays as two: a loop then writes, or gathers, two arrays a step and not a dozen.

On an accelerator each would be a kernel, and kernels are what a short step costs. A processor gains
nothing, and XLA takes a fifth longer to compile for it: there nothing is packed. Numbers with a
derivative are one of the two, so that it flows through; integers and bools are the other, as bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Carry = TypeVar("Carry")
_platform: ContextVar[str] = ContextVar("platform", default="")  # "": JAX's own
LARGEST = 256  # entries a row beyond which a leaf is left by itself
FLOATS, BITS = "floats", "bits"
KINDS = {
    jnp.dtype("float32"): FLOATS,
    **{jnp.dtype(name): BITS for name in ("int32", "uint32", "bool")},
}


class Packed(NamedTuple):
    """A pytree whose leaves [*lead, ...] lie side by side on the last axis of two arrays."""

    arrays: dict[str, jax.Array]  # FLOATS -> [*lead, F] f32, BITS -> [*lead, F] uint32
    others: list[Any]  # the leaves that were not packed, as they were


class Packing(NamedTuple):
    """How a pytree is packed."""

    structure: Any
    places: tuple["Place", ...]  # of every leaf, in order


class Place(NamedTuple):
    """Where a leaf is found."""

    kind: str | None  # FLOATS or BITS; None: it is among the others
    first: int  # its first column there
    shape: tuple[int, ...]  # of a row
    dtype: Any


@contextmanager
def compiling_for(platform: str) -> Iterator[None]:
    """While it lasts, what is traced is to be compiled for a platform: "cpu", "gpu" or "tpu"."""
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


def packs() -> bool:
    """Returns whether what is traced now is packed: it is for no processor."""
    return (_platform.get() or jax.default_backend()) != "cpu"


def packing_of(tree: Any, lead: int) -> Packing:
    """Returns how a pytree with leaves [*lead axes, ...] is packed.

    Packed are numbers of 32 bits, and bools, of at most `LARGEST` entries a row, whose leading axes
    are those of the first leaf; for a processor, nothing.
    """
    leaves, structure = jax.tree.flatten(tree)
    places, columns = [], {FLOATS: 0, BITS: 0}
    for leaf in leaves:
        shape, size = leaf.shape[lead:], math.prod(leaf.shape[lead:])
        kind = KINDS.get(leaf.dtype) if packs() else None
        if kind is None or not 0 < size <= LARGEST or leaf.shape[:lead] != leaves[0].shape[:lead]:
            places.append(Place(None, 0, shape, leaf.dtype))
            continue
        places.append(Place(kind, columns[kind], shape, leaf.dtype))
        columns[kind] += size
    return Packing(structure, tuple(places))


def pack(packing: Packing, tree: Any) -> Packed:
    """Returns the pytree packed; its leaves may have any leading axes, all of them the same."""
    columns, others = {FLOATS: [], BITS: []}, []
    for leaf, place in zip(jax.tree.leaves(tree), packing.places, strict=True):
        if place.kind is None:
            others.append(leaf)
            continue
        lead = leaf.shape[: leaf.ndim - len(place.shape)]
        columns[place.kind].append(_packed(leaf).reshape(*lead, math.prod(place.shape)))
    arrays = {kind: jnp.concatenate(found, -1) for kind, found in columns.items() if found}
    return Packed(arrays, others)


def unpack(packing: Packing, packed: Packed) -> Any:
    """Returns the pytree, bit for bit."""
    others = iter(packed.others)
    leaves = []
    for kind, first, shape, dtype in packing.places:
        if kind is None:
            leaves.append(next(others))
            continue
        row = packed.arrays[kind][..., first : first + math.prod(shape)]
        leaves.append(_unpacked(row.reshape(*row.shape[:-1], *shape), dtype))
    return jax.tree.unflatten(packing.structure, leaves)


def packed_scan(
    step: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, rows: Any
) -> tuple[Carry, Any]:
    """Returns what `jax.lax.scan` does; what a step returns is written as two arrays.

    For a processor it is that.
    """
    if not packs():
        return jax.lax.scan(step, carry, rows)
    packings = []  # of what a step returns, as the loop's only trace finds it

    def one(carry, row):
        carry, found = step(carry, row)
        found = jax.tree.map(jnp.asarray, found)
        packings[:] = [packing_of(found, 0)]
        return carry, pack(packings[0], found)

    carry, found = jax.lax.scan(one, carry, rows)
    return carry, unpack(packings[0], found)


def _packed(leaf: jax.Array) -> jax.Array:
    if leaf.dtype == jnp.int32:
        return jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    return leaf.astype(jnp.uint32) if leaf.dtype == jnp.bool_ else leaf


def _unpacked(row: jax.Array, dtype: Any) -> jax.Array:
    if dtype == jnp.int32:
        return jax.lax.bitcast_convert_type(row, jnp.int32)
    return row != 0 if dtype == jnp.bool_ else row
