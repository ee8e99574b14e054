"""Replay of sequences, uniform or prioritised, or none: the batches that are learnt from.

A `Replay` is given what was just played, a sequence from each environment, and samples batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.options import Config, importance_exponent
from jaxmarl_core.learners import replay
from jaxmarl_core.types import Key


class Batch(NamedTuple):
    """Sequences to learn from, which of the stored they are, and what each one's loss weighs."""

    sequences: Any  # leaves [batch_size, ...]
    positions: jax.Array  # [batch_size] int32
    importance_weight: jax.Array | None  # [batch_size] f32; None: all alike


class Replay(NamedTuple):
    """What it keeps is in two parts, a buffer and its priorities; gradient steps change the second.

    Of the key that `sample` is given all gradient steps of an update get the same.
    """

    init: Callable[[Any], tuple[Any, Any]]
    # an example of a sequence -> (buffer, priorities)
    add: Callable[[Any, Any, Any, jax.Array], tuple[Any, Any]]
    # (buffer, priorities, new sequences, leaves [B, ...], update index) -> (buffer, priorities)
    sample: Callable[[Key, Any, Any, Any, jax.Array, jax.Array, Any], Batch]
    # (key, buffer, priorities, new sequences, update index, gradient step, hparams) -> Batch
    update_priorities: Callable[[Any, jax.Array, jax.Array], Any]
    # (priorities, positions, size of the TD error [batch_size]) -> priorities


def uniform_replay(config: Config) -> Replay:
    """Returns a buffer of the newest sequences, all drawn alike."""

    def init(sequence):
        return replay.empty_buffer(sequence, config.capacity, config.num_envs), ()

    def add(buffer, priorities, new, update_index):
        return replay.write_block(buffer, new, update_index), priorities

    def sample(key, buffer, priorities, new, update_index, step, hp):
        key = jax.random.fold_in(key, step)
        positions = replay.sample_uniform(
            key, buffer, config.num_envs, update_index, config.batch_size
        )
        return Batch(replay.gather(buffer, positions), positions, None)

    return Replay(init, add, sample, lambda priorities, positions, error: priorities)


def prioritised_replay(config: Config) -> Replay:
    """Returns a buffer that draws sequences of large error more often, and weights them less.

    The priority of a sequence is the mean size of its TD errors when it was last learnt from; the
    exponent of the importance weights rises to 1. Schaul et al., 2016, arXiv:1511.05952.
    """
    uniform = uniform_replay(config)

    def init(sequence):
        return uniform.init(sequence)[0], replay.empty_priorities(config.capacity)

    def add(buffer, priorities, new, update_index):
        buffer = replay.write_block(buffer, new, update_index)
        return buffer, replay.prioritise_newest(priorities, config.num_envs, update_index)

    def sample(key, buffer, priorities, new, update_index, step, hp):
        key = jax.random.fold_in(key, step)
        exponent = importance_exponent(hp, update_index)
        positions, weight = replay.sample_prioritised(
            key, priorities, config.batch_size, hp.priority, exponent
        )
        return Batch(replay.gather(buffer, positions), positions, weight)

    def update_priorities(priorities, positions, error):
        # not 0, which would mean that there is nothing
        return priorities.at[positions].set(jnp.maximum(error, 1e-6))

    return Replay(init, add, sample, update_priorities)


def no_replay(config: Config) -> Replay:
    """Returns what stores nothing: what many environments just played is learnt from, once.

    With `layer_norm`, targets of TD(lambda) and a target net that follows at once (`tau` and
    `target_period` 1) this is PQN, parallelised Q-learning; Gallici et al., 2024, arXiv:2407.04811.
    """
    num_batches = config.num_envs // config.batch_size

    def init(sequence):
        return (), ()

    def add(buffer, priorities, new, update_index):
        return buffer, priorities

    def sample(key, buffer, priorities, new, update_index, step, hp):
        if num_batches == 1:
            return Batch(new, jnp.arange(config.num_envs), None)
        # all steps of an epoch draw one order, of which each takes its part
        epoch = jax.random.fold_in(key, step // num_batches)
        order = jax.random.permutation(epoch, config.num_envs)
        first = step % num_batches * config.batch_size
        positions = jax.lax.dynamic_slice_in_dim(order, first, config.batch_size)
        return Batch(replay.gather(new, positions), positions, None)

    return Replay(init, add, sample, lambda priorities, positions, error: priorities)


REPLAYS = {"uniform": uniform_replay, "prioritised": prioritised_replay, "none": no_replay}
