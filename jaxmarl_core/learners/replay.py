"""Experience replay on the device: a ring buffer.

An entry holds what one step of B environments showed and did. Each update writes a block of
consecutive entries; a transition is an entry with its successor, so that no observation is stored
twice. Where a block begins follows from the number of the update, which all runs of a sweep share:
under `vmap` the write stays one in-place slice. For 8 runs on two CPU cores, writing 16 steps of a
64-agent battle and sampling 256 transitions takes 8 ms here, 33 ms with flashbax's trajectory
buffer and 27 ms with its item buffer, whose write is a scatter where runs are batched
(`experiments/benchmarks/replay.py`).

An entry need not be a step: where it is a sequence of steps, or a whole transition, that stands by
itself, `sample_uniform` draws entries alike, and `sample_prioritised` draws those more often from
which the learner was far off, by priorities beside the buffer (`empty_priorities`,
`prioritise_newest`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.dividing import divided
from jaxmarl_core.functional.shapes import require_shape

_LEARNS: ContextVar[bool] = ContextVar("whether learners are built to learn", default=True)


@contextmanager
def only_to_play() -> Iterator[None]:
    """A context in which learners are built for their policies: no replay has to fit in memory.

    Who plays a policy does so on whatever machine, and in worlds of whatever size.
    """
    token = _LEARNS.set(False)
    try:
        yield
    finally:
        _LEARNS.reset(token)


def only_plays() -> bool:
    """Returns whether a learner that is built now is built for its policy alone."""
    return not _LEARNS.get()


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


def require_memory(field: str, capacity: int, buffer: Any) -> None:
    """Raises ValueError, naming `field`, if a buffer would not fit in what memory is left.

    Within `only_to_play` none is to be allocated, and nothing is refused.

    Args:
      field: what the number of entries is called where it was asked for.
      capacity: entries kept.
      buffer: the buffer, or the shapes of one that is not allocated yet.
    """
    wanted, left = num_bytes(buffer), available_bytes()
    most = left * capacity // max(wanted, 1)
    expected = f"at most {most}, as {left / 2**30:.3f} GiB are left for the replay of one run"
    fits = wanted <= left or only_plays()
    require(fits, field, expected, f"{capacity}, which take {wanted / 2**30:.3f} GiB")


def empty_buffer(entry: Any, capacity: int, block_length: int) -> Any:
    """Returns an empty buffer, leaves [capacity, ...].

    Args:
      entry: an example of one entry (arrays or jax.ShapeDtypeStruct), leaves [...].
      capacity: entries kept, a multiple of `block_length` and at least two.
      block_length: entries written at a time.

    Raises:
      ValueError: capacity is no multiple of block_length, or below 2.
    """
    require(block_length >= 1, "block_length", "at least 1", block_length)
    fits = capacity % block_length == 0 and capacity >= 2
    expected = f"at least 2 and a multiple of the block's length ({block_length})"
    require(fits, "capacity", expected, capacity)
    return jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), entry)


def write_block(buffer: Any, block: Any, block_index: jax.Array) -> Any:
    """Returns the buffer with a block (leaves [block_length, ...]) over its oldest entries.

    Args:
      buffer: leaves [capacity, ...].
      block: leaves [block_length, ...], the entries that follow block `block_index - 1`.
      block_index: [] int32, counts blocks from 0.
    """

    _require_same_names(buffer, "block", block)

    def one(stored, new):
        capacity = len(stored)
        fits = new.shape[1:] == stored.shape[1:] and len(new) > 0 and capacity % len(new) == 0
        # a slice that does not fit would be moved, over entries that are not the oldest
        expected = f"[a divisor of {capacity}, {', '.join(map(str, stored.shape[1:]))}]"
        require(fits, "block", expected, new.shape)
        start = block_start(stored, block_index, len(new))
        return jax.lax.dynamic_update_slice_in_dim(stored, new.astype(stored.dtype), start, axis=0)

    return jax.tree.map(one, buffer, block)


def block_start(buffer: Any, block_index: jax.Array, block_length: int) -> jax.Array:
    """Returns [] int32, the position of the first entry of block number `block_index`."""
    # a remainder before the product, which would pass 2^31 after so many entries
    num_blocks = len(jax.tree.leaves(buffer)[0]) // block_length
    return block_index % num_blocks * block_length


def num_stored(buffer: Any, block_index: jax.Array, block_length: int) -> jax.Array:
    """Returns [] int32, how many entries the buffer holds after block number `block_index`."""
    num_blocks = len(jax.tree.leaves(buffer)[0]) // block_length
    return jnp.minimum(block_index + 1, num_blocks) * block_length


def write_entry(
    buffer: Any,
    entry: Any,
    position: jax.Array,
    first_agent: int = 0,
    first_word: int | None = None,
) -> Any:
    """Returns the buffer with one entry, or some agents' part of it, written at `position`.

    Args:
      buffer: leaves [capacity, B, n, ...].
      entry: leaves [B, m, ...] with m <= n.
      position: [] int32; `block_start` plus the number of the step.
      first_agent: the first of the m agents, static.
      first_word: where the entry begins on the last axis, static; leaves are then [B, m, w] with
        w at most the buffer's. None: all of that axis.
    """

    _require_same_names(buffer, "entry", entry)

    def one(stored, new):
        kept = stored.shape[1:]
        if first_word is not None:  # only as wide as what is written
            room = first_word >= 0 and first_word + new.shape[-1] <= kept[-1]
            require(room, "entry", f"words from {first_word} on of {kept}", new.shape)
            kept = (*kept[:-1], new.shape[-1])
        fits = new.ndim == len(kept) >= 2 and (new.shape[0], *new.shape[2:]) == (kept[0], *kept[2:])
        fits = fits and first_agent >= 0 and first_agent + new.shape[1] <= kept[1]
        require(fits, "entry", f"agents from {first_agent} on of {kept}", new.shape)
        first = (first_agent, *[0] * (new.ndim - 2))
        first = first if first_word is None else (*first[:-1], first_word)
        return _write_slice(stored, new[None].astype(stored.dtype), position, 0, first)

    return jax.tree.map(one, buffer, entry)


def _require_same_names(buffer: Any, name: str, new: Any) -> None:
    same = jax.tree.structure(buffer) == jax.tree.structure(new)
    require(same, name, f"{jax.tree.structure(buffer)}", jax.tree.structure(new))


def _write_slice(
    stored: jax.Array, new: jax.Array, position: jax.Array, axis: int, first: tuple[int, ...]
) -> jax.Array:
    """Writes a slice at `position` of `axis`, and at `first` of those from two on; any before."""

    # By itself, vmap makes a scatter of a slice that is written, with a mask and copies. Where the
    # position is the same in the whole batch, it stays a slice: that of one more leading axis.
    @jax.custom_batching.custom_vmap
    def write(stored, new, position):
        start = [*[0] * axis, position.astype(jnp.int32), 0, *first]
        return jax.lax.dynamic_update_slice(stored, new, list(map(jnp.int32, start)))

    @write.def_vmap
    def _(size, batched, stored, new, position):
        stored, new = (
            x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
            for x, is_batched in zip((stored, new), batched)
        )
        if not batched[2]:
            return _write_slice(stored, new, position, axis + 1, first), True
        one = lambda s, n, at: jax.lax.dynamic_update_slice(s, n, [*[0] * axis, at, 0, *first])
        return jax.vmap(one)(stored, new, position), True

    return write(stored, new, position)


def sample_transitions(
    key: jax.Array, last: jax.Array, block_length: int, block_index: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """Returns (positions, environments), [size] int32 each, of transitions that were played.

    Uniformly, with replacement, among the entries whose successor is stored too; not those that
    ended an episode, as the step after an end plays nothing. Where there is no such entry, all are
    the one that is overwritten next: it ended an episode, or was never written.

    Args:
      key: randomness.
      last: [capacity, B] bool, of the buffer after block number `block_index` was written.
      block_length: entries a block.
      block_index: [] int32, the newest block.
      size: how many to draw.
    """
    capacity, num_envs = last.shape
    newest = block_start(last, block_index, block_length) + block_length - 1
    age = (newest - jnp.arange(capacity)) % capacity
    followed = (age > 0) & (age < num_stored(last, block_index, block_length))
    count = jnp.cumsum((followed[:, None] & ~last).reshape(-1))
    drawn = jax.random.randint(key, (size,), 0, jnp.maximum(count[-1], 1))
    found = jnp.searchsorted(count, drawn, side="right")
    entry = jnp.where(count[-1] > 0, found, (newest + 1) % capacity * num_envs).astype(jnp.int32)
    return entry // num_envs, entry % num_envs


def sample_sequences(
    key: jax.Array,
    buffer: Any,
    block_length: int,
    block_index: jax.Array,
    size: int,
    length: int,
) -> jax.Array:
    """Returns [size] int32, where sequences of stored entries begin, uniformly.

    `gather_sequences` takes them out. For n-step returns sample n + 1 entries, and add up by
    `returns.n_step_transition`.

    Args:
      key: randomness.
      buffer: the buffer after block number `block_index` was written.
      block_length: entries a block; at least `length` entries must have been written.
      block_index: [] int32, the newest block.
      size: how many to draw, with replacement.
      length: entries of a sequence, static, at most the buffer's capacity.

    Raises:
      ValueError: no sequence of that length fits.
    """
    capacity = len(jax.tree.leaves(buffer)[0])
    require(1 <= length <= capacity, "length", f"1 to the capacity ({capacity})", length)
    newest = block_start(buffer, block_index, block_length) + block_length - 1
    # ages length - 1 ... stored - 1: younger entries have not that many successors yet
    stored = num_stored(buffer, block_index, block_length)
    return (newest - jax.random.randint(key, (size,), length - 1, stored)) % capacity


def sample_uniform(
    key: jax.Array, buffer: Any, block_length: int, block_index: jax.Array, size: int
) -> jax.Array:
    """Returns [size] int32, positions of stored entries, uniformly and with replacement.

    Args:
      key: randomness.
      buffer: the buffer after block number `block_index` was written.
      block_length: entries a block.
      block_index: [] int32, the newest block.
      size: how many to draw.
    """
    stored = num_stored(buffer, block_index, block_length)
    return jax.random.randint(key, (size,), 0, stored)


def empty_priorities(capacity: int) -> jax.Array:
    """Returns the priorities of an empty buffer, [capacity] f32: 0, so that nothing is drawn."""
    return jnp.zeros(capacity)


def prioritise_newest(priority: jax.Array, block_length: int, block_index: jax.Array) -> jax.Array:
    """Returns the priorities after a block was written: its entries have the highest of all.

    What is new has not been learnt from, so that nothing is known of its error.

    Args:
      priority: [capacity] f32 >= 0.
      block_length: entries a block.
      block_index: [] int32, the block.
    """
    highest = jnp.where(block_index > 0, priority.max(), 1.0)
    return write_block(priority, jnp.full(block_length, highest), block_index)


def sample_prioritised(
    key: jax.Array, priority: jax.Array, size: int, exponent: jax.Array, importance: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (positions [size] int32, importance weights [size] f32 in (0, 1]).

        P(i) = p_i^exponent / sum_k p_k^exponent,   w_i = (min_k P(k) / P(i))^importance

    Schaul et al., 2016, arXiv:1511.05952, section 3.3 and 3.4, proportional; `size` equal shares of
    the whole are drawn from once each, as there, with replacement. The paper's weight
    (N P(i))^-importance is scaled by its maximum, here that of all stored entries. One cumulative
    sum, no tree: thousands of entries pass in microseconds.

    Args:
      key: randomness.
      priority: [capacity] f32 >= 0; an entry of 0 is never drawn, but where all are: with weight 0.
      size: how many to draw.
      exponent: [] f32 >= 0; 0 draws uniformly among those above 0.
      importance: [] f32 in [0, 1]; at 1 the weights make up for the priorities.
    """
    require_shape("priority", priority, (None,))
    require_shape("exponent", exponent, ())
    require_shape("importance", importance, ())
    stored = priority > 0
    mass = jnp.where(stored, jnp.where(stored, priority, 1.0) ** exponent, 0.0)
    total = jnp.cumsum(mass)
    share = (jnp.arange(size) + jax.random.uniform(key, (size,))) / size * total[-1]
    # the first whose sum passes the share; rounding may leave the last share without one
    positions = jnp.searchsorted(total, share, side="right", method="compare_all")
    positions = jnp.minimum(positions, jnp.argmax(total)).astype(jnp.int32)
    least, drawn = jnp.where(stored, mass, jnp.inf).min(), stored[positions]
    # of a buffer without any priority nothing is learnt: weight 0, where the quotient is infinite
    weight = (least / jnp.where(drawn, mass[positions], jnp.inf)) ** importance
    return positions, jnp.where(drawn, weight, 0.0)


def gather(buffer: Any, *positions: jax.Array) -> Any:
    """Returns the entries at positions (entry, environment, agent, ...), leaves [size, ...].

    Positions count modulo the axis, so that `position + 1` is the successor across the seam. Where
    a run has several devices, each takes its share of the entries, see `functional.dividing`.
    """

    def one(stored):
        fits = len(positions) <= stored.ndim
        require(fits, "positions", f"at most {stored.ndim}, as the buffer has axes", len(positions))
        return stored[tuple(at % size for at, size in zip(positions, stored.shape))]

    return divided(jax.tree.map(one, buffer), axis=0)


def learning_has_started(
    update_index: jax.Array, env_steps: int, learning_starts: float | jax.Array
) -> jax.Array:
    """Returns [] bool, whether an update learns: by then, so many steps have been played.

    Args:
      update_index: [] int32, of the update, whose own steps count.
      env_steps: steps an update plays, as `Algorithm.env_steps`.
      learning_starts: [] f32 >= 0, environment steps.
    """
    # a quotient of floats: the product of both would pass 2^31
    return update_index + 1 >= learning_starts / env_steps


def gather_sequences(buffer: Any, start: jax.Array, length: int, *positions: jax.Array) -> Any:
    """Returns the sequences of entries that begin at `start`, leaves [size, length, ...].

    Args:
      buffer: leaves [capacity, ...].
      start: [size] int32, from `sample_sequences`.
      length: entries of a sequence, static.
      positions: [size] int32 each: of which environment, of which agent, ... as of `gather`.
    """
    at = start[:, None] + jnp.arange(length, dtype=start.dtype)
    return gather(buffer, at, *(position[:, None] for position in positions))
