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


def slot(rows: Any, index: jax.Array, length: int) -> jax.Array:
    """Returns [] int32, the position of the first row of block number `index`."""
    return (index * length) % len(jax.tree.leaves(rows)[0])


def put(rows: Any, row: Any, time: jax.Array, agent: int = 0) -> Any:
    """Returns the ring with one row, or some agents' part of it, written at position `time`.

    Args:
      rows: leaves [capacity, B, n, ...].
      row: leaves [B, m, ...] with m <= n.
      time: [] int32; `slot` plus the number of the step.
      agent: the first of the m agents, static.
    """

    def one(stored, new):
        return _put(stored, new[None].astype(stored.dtype), time, 0, agent)

    return jax.tree.map(one, rows, row)


def _put(stored: jax.Array, new: jax.Array, time: jax.Array, axis: int, agent: int) -> jax.Array:
    """Writes a slice at `time` of `axis` and at `agent`, two axes on; any leading axes."""

    # By itself, vmap makes a scatter of a slice that is written, with a mask and copies. Where the
    # position is the same in the whole batch, it stays a slice: that of one more leading axis.
    @jax.custom_batching.custom_vmap
    def write(stored, new, time):
        start = [jnp.int32(0)] * stored.ndim
        start[axis], start[axis + 2] = time.astype(jnp.int32), jnp.int32(agent)
        return jax.lax.dynamic_update_slice(stored, new, start)

    @write.def_vmap
    def _(size, batched, stored, new, time):
        stored, new = (
            x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
            for x, is_batched in zip((stored, new), batched)
        )
        if not batched[2]:
            return _put(stored, new, time, axis + 1, agent), True
        start = lambda t: [t if i == axis else agent * (i == axis + 2) for i in range(new.ndim - 1)]
        one = lambda s, n, t: jax.lax.dynamic_update_slice(s, n, start(t))
        return jax.vmap(one)(stored, new, time), True

    return write(stored, new, time)


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
