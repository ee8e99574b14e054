"""How a batch is cut for learning: into sequences, and those into minibatches.

Without a memory a sequence is a single step: the steps of a minibatch are drawn from all times and
environments, where those of a whole rollout are much alike and say less about the rest. With one it
is a rollout, or a chunk of it that starts from what was remembered there, so that back-propagation
through time ends at its first step (Williams & Peng, 1990).

A batch is a NamedTuple of leaves [T, B, ...] whose field `memory` is [C, B, ...], what was
remembered before each of C chunks, or ().
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.functional.dividing import divided
from jaxmarl_core.functional.packing import pack, packing_of, unpack
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Key

MOST_SHUFFLED = 2**20  # numbers, which leave 12 bits to rank them by


def sequences(batch: Any, config: Config) -> Any:
    """Returns a batch's sequences, leaves [L, S, ...], `memory` [1, S, ...] or ().

    Sequence c B + b is steps c L ... (c + 1) L - 1 of environment b.
    """
    along_time = batch._replace(memory=())
    cut = jax.tree.map(partial(side_by_side, length=config.sequence_length), along_time)
    memory = jax.tree.map(partial(side_by_side, length=1), batch.memory)
    return cut._replace(memory=memory)


def side_by_side(x: jax.Array, length: int) -> jax.Array:
    """Returns [T, B, ...] as [length, T / length * B, ...]."""
    chunks = x.reshape(-1, length, *x.shape[1:])
    return chunks.swapaxes(0, 1).reshape(length, -1, *x.shape[2:])


def memory_before(batch: Any) -> Any:
    """Returns what was remembered before a batch's first step, [B, ...] or ()."""
    return jax.tree.map(lambda memory: memory[0], batch.memory)


def minibatches(key: Key, config: Config, num_epochs: int) -> jax.Array:
    """Returns the sequences of every gradient step of all epochs, [steps, S / num_minibatches]."""
    num_minibatches = decided(config.num_minibatches)
    epoch = partial(shuffled, size=config.num_sequences)
    order = jax.vmap(epoch)(jax.random.split(key, num_epochs))
    return order.reshape(num_epochs * num_minibatches, -1)


def shuffled(key: Key, size: int) -> jax.Array:
    """Returns 0 ... size - 1 in random order, [size] int32.

    Numbers are the low bits of what is sorted, and random ones the others: a tenth of the time, on
    a processor, of sorting numbers by random ones, as `jax.random.permutation` does, and twice. Of
    2^n numbers, each pair is ranked by 32 - n bits; where these are the same, the lower goes first.
    """
    if size > MOST_SHUFFLED:
        return jax.random.permutation(key, jnp.arange(size, dtype=jnp.int32))
    low = jnp.uint32(2 ** (size - 1).bit_length() - 1)
    numbers = jnp.arange(size, dtype=jnp.uint32)
    ranked = jnp.sort(jax.random.bits(key, (size,)) & ~low | numbers)
    return (ranked & low).astype(jnp.int32)


def minibatch_of(batch: Any, config: Config) -> Callable[[jax.Array], Any]:
    """Returns the function from which sequences to these of a batch [L, S, ...].

    What is small lies side by side in memory, so that one gather finds it all.
    """
    if config.num_minibatches == 1:
        return lambda which: divided(batch, axis=1)
    packing = packing_of(batch, 2)
    packed = pack(packing, batch)

    def chosen(which):
        return divided(unpack(packing, jax.tree.map(lambda x: x[:, which], packed)), axis=1)

    return chosen
