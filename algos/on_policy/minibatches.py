"""How a batch is cut for learning: into sequences, and those into minibatches.

Without a memory a sequence is a single step: the steps of a minibatch are drawn from all times and
environments, where those of a whole rollout are much alike and say less about the rest. With one it
is a rollout, or a chunk of it that starts from what was remembered there, so that back-propagation
through time ends at its first step (Williams & Peng, 1990).

A batch is a NamedTuple of leaves [T, B, ...] whose field `memory` is [C, B, ...], what was
remembered before each of C chunks, or ().
"""

from functools import partial
from typing import Any

import jax

from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Key


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
    epoch = lambda key: jax.random.permutation(key, config.num_sequences)
    order = jax.vmap(epoch)(jax.random.split(key, num_epochs))
    return order.reshape(num_epochs * num_minibatches, -1)


def minibatch(batch: Any, which: jax.Array, config: Config) -> Any:
    """Returns some of the sequences [L, S, ...] of a batch."""
    if config.num_minibatches == 1:
        return batch
    return jax.tree.map(lambda x: x[:, which], batch)
