"""Experience replay on the device: a ring of time rows.

A row holds what one step of B environments showed and did. Each update writes a block of
consecutive rows; a transition is row t with row t+1, so that no observation is stored twice. The
slot is computed from the number of the update, which all runs of a sweep share: under `vmap` the
write stays one in-place slice. For 8 runs on two CPU cores, writing 16 rows of a 64-agent battle
and drawing 256 transitions takes 8 ms here, 33 ms with flashbax's trajectory buffer and 27 ms with
its item buffer, whose write is a scatter where runs are batched
(`experiments/benchmarks/replay.py`).

An entry need not be a time row: where it is a sequence of rows, or a transition, that stands by
itself, `sample` draws entries uniformly, and a priority for each (`unseen`, `prefer`, `draw`) draws
what surprised the learner more often.
"""

import os
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require


def num_bytes(tree: Any) -> int:
    """Returns what arrays, or what stands for them (jax.ShapeDtypeStruct), take of memory."""
    return sum(prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def available_bytes() -> int:
    """Returns the memory that the first device, or the host it is part of, has left, in bytes."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        with open("/proc/meminfo") as lines:
            figures = dict(line.split(":") for line in lines)
        return int(figures["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # no Linux: all there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(field: str, capacity: int, rows: Any) -> None:
    """Raises ValueError, naming `field`, if a ring would not fit in what memory is left.

    Args:
      field: what the number of entries is called where it was asked for.
      capacity: entries kept.
      rows: the ring, or the shapes of one that is not allocated yet.
    """
    wanted, left = num_bytes(rows), available_bytes()
    most = left * capacity // max(wanted, 1)
    expected = f"at most {most}, as {left / 2**30:.3f} GiB are left for the replay of one run"
    require(wanted <= left, field, expected, f"{capacity}, which take {wanted / 2**30:.3f} GiB")


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


def sample(key: jax.Array, rows: Any, block: int, index: jax.Array, size: int) -> jax.Array:
    """Returns [size] int32, positions of stored entries, uniformly and with replacement.

    Args:
      key: randomness.
      rows: the ring after block number `index` was written.
      block: entries a block.
      index: [] int32, the newest block.
      size: how many to draw.
    """
    filled = jnp.minimum((index + 1) * block, len(jax.tree.leaves(rows)[0]))
    return jax.random.randint(key, (size,), 0, filled)


def unseen(capacity: int) -> jax.Array:
    """Returns the priorities of an empty ring, [capacity] f32: 0, so that nothing is drawn."""
    return jnp.zeros(capacity)


def prefer_newest(priority: jax.Array, block: int, index: jax.Array) -> jax.Array:
    """Returns the priorities after block number `index` was written: its entries have the highest.

    What is new has not been learnt from, so that nothing is known of its error.

    Args:
      priority: [capacity] f32 >= 0.
      block: entries a block.
      index: [] int32.
    """
    highest = jnp.where(index > 0, priority.max(), 1.0)
    return write(priority, jnp.full(block, highest), index)


def draw(
    key: jax.Array, priority: jax.Array, size: int, exponent: jax.Array, importance: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (positions [size] int32, weights [size] f32 in (0, 1]), drawn with replacement.

        P(i) = p_i^exponent / sum_k p_k^exponent,   w_i = (min_k P(k) / P(i))^importance

    Schaul et al., 2016, arXiv:1511.05952, section 3.3 and 3.4, proportional; `size` equal shares of
    the whole are drawn from once each, as there. The paper's weight (N P(i))^-importance is scaled
    by its maximum, here that of all stored entries. One cumulative sum, no tree: thousands of
    entries pass in microseconds.

    Args:
      key: randomness.
      priority: [capacity] f32 >= 0; an entry of 0 is never drawn. One at least is above 0.
      size: how many to draw.
      exponent: [] f32 >= 0; 0 draws uniformly among those above 0.
      importance: [] f32 in [0, 1]; at 1 the weights make up for the draw.
    """
    stored = priority > 0
    mass = jnp.where(stored, jnp.where(stored, priority, 1.0) ** exponent, 0.0)
    total = jnp.cumsum(mass)
    share = (jnp.arange(size) + jax.random.uniform(key, (size,))) / size * total[-1]
    # the first whose sum passes the share; rounding may leave the last share without one
    where = jnp.searchsorted(total, share, side="right", method="compare_all")
    where = jnp.minimum(where, jnp.argmax(total)).astype(jnp.int32)
    least = jnp.where(stored, mass, jnp.inf).min()
    return where, (least / mass[where]) ** importance


def take(rows: Any, *where: jax.Array) -> Any:
    """Returns the entries at positions `where` (time, environment, agent, ...), leaves [size, ...].

    Positions count modulo the axis, so that `t + 1` is the successor of row t across the seam.
    """

    def one(stored):
        return stored[tuple(w % size for w, size in zip(where, stored.shape))]

    return jax.tree.map(one, rows)
