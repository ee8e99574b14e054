"""Experience replay on the device: a ring of time rows.

A row holds what one step of B environments showed and did. Each update writes a block of
consecutive rows; a transition is row t with row t+1, so that no observation is stored twice. The
slot is computed from the number of the update, which all runs of a sweep share: under `vmap` the
write stays one in-place slice. For 8 runs on two CPU cores, writing 16 rows of a 64-agent battle
and drawing 256 transitions takes 8 ms here, 33 ms with flashbax's trajectory buffer and 27 ms with
its item buffer, whose write is a scatter where runs are batched (`experiments/bench_replay.py`).
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.lookup import require


def ring(row: Any, capacity: int, block: int) -> Any:
    """Returns an empty ring, leaves [capacity, ...].

    Args:
      row: an example of one row (arrays or jax.ShapeDtypeStruct), leaves [...].
      capacity: rows kept, a multiple of `block` and at least two rows.
      block: rows written at a time.

    Raises:
      ValueError: capacity is no multiple of block, or below 2.
    """
    require(block >= 1, "block", "at least 1", block)
    fits = capacity % block == 0 and capacity >= 2
    require(fits, "capacity", f"at least 2 and a multiple of the block ({block})", capacity)
    return jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), row)


def write(rows: Any, block: Any, index: jax.Array) -> Any:
    """Returns the ring with block number `index` (leaves [block, ...]) over the oldest rows.

    Args:
      rows: leaves [capacity, ...].
      block: leaves [length, ...], the rows that follow block `index - 1`.
      index: [] int32, counts blocks from 0.
    """

    def one(stored, new):
        start = (index * len(new)) % len(stored)
        return jax.lax.dynamic_update_slice_in_dim(stored, new.astype(stored.dtype), start, axis=0)

    return jax.tree.map(one, rows, block)


def sample_times(key: jax.Array, rows: Any, length: int, index: jax.Array, size: int) -> jax.Array:
    """Returns [size] int32, positions of stored rows whose successor is stored too, uniformly.

    Args:
      key: randomness.
      rows: the ring after block number `index` was written.
      length: rows a block; at least two rows must have been written.
      index: [] int32, the newest block.
      size: how many to draw, with replacement.
    """
    capacity = len(jax.tree.leaves(rows)[0])
    written = (index + 1) * length
    # ages 1 ... filled - 1: the newest row has no successor yet
    age = jax.random.randint(key, (size,), 1, jnp.minimum(written, capacity))
    return (written - 1 - age) % capacity


def take(rows: Any, *where: jax.Array) -> Any:
    """Returns the entries at positions `where` (time, environment, agent, ...), leaves [size, ...].

    Positions count modulo the axis, so that `t + 1` is the successor of row t across the seam.
    """

    def one(stored):
        return stored[tuple(w % size for w, size in zip(where, stored.shape))]

    return jax.tree.map(one, rows)
