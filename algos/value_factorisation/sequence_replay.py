"""Where the sequences come from that are learnt from: replay, uniform or prioritised, or none.

A `Source` takes what was just played, a sequence from each environment, and hands out batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.learners import replay as buffers
from jaxmarl_core.types import Key


class Drawn(NamedTuple):
    """A batch: what is learnt from, which of the stored it is, and how much each counts."""

    sequences: Any  # leaves [batch_size, ...]
    where: jax.Array  # [batch_size] int32
    weight: jax.Array | None  # [batch_size] f32; None: all alike


class Source(NamedTuple):
    """Where sequences come from. What it keeps is in two parts, of which drawing changes one."""

    init: Callable[[Any], tuple[Any, Any]]
    # an example of a sequence -> (what is stored, its priorities)
    add: Callable[[Any, Any, Any, jax.Array], tuple[Any, Any]]
    # (stored, priorities, new sequences, leaves [B, ...], index) -> (stored, priorities)
    draw: Callable[[Key, Any, Any, Any, jax.Array, jax.Array, Any], Drawn]
    # (key, stored, priorities, new sequences, index, gradient step, hparams) -> Drawn; the key is
    # the same in all gradient steps of an update
    judge: Callable[[Any, jax.Array, jax.Array], Any]
    # (priorities, where, error [batch_size]) -> priorities


def uniform_replay(config: Config) -> Source:
    """Returns a ring of the newest sequences, all drawn alike."""

    def init(sequence):
        return buffers.ring(sequence, config.capacity, config.num_envs), ()

    def add(stored, priorities, new, index):
        return buffers.write(stored, new, index), priorities

    def draw(key, stored, priorities, new, index, step, hp):
        key = jax.random.fold_in(key, step)
        where = buffers.sample(key, stored, config.num_envs, index, config.batch_size)
        return Drawn(buffers.take(stored, where), where, None)

    return Source(init, add, draw, lambda priorities, where, error: priorities)


def prioritised_replay(config: Config) -> Source:
    """Returns a ring that hands out sequences of large error more often, and weighs them less.

    The priority of a sequence is the mean size of its errors when it was last learnt from.
    Schaul et al., 2016, arXiv:1511.05952.
    """
    plain = uniform_replay(config)

    def init(sequence):
        return plain.init(sequence)[0], buffers.unseen(config.capacity)

    def add(stored, priorities, new, index):
        stored = buffers.write(stored, new, index)
        return stored, buffers.prefer_newest(priorities, config.num_envs, index)

    def draw(key, stored, priorities, new, index, step, hp):
        key = jax.random.fold_in(key, step)
        where, weight = buffers.draw(key, priorities, config.batch_size, hp.priority, hp.importance)
        return Drawn(buffers.take(stored, where), where, weight)

    def judge(priorities, where, error):
        # not 0, which would mean that there is nothing
        return priorities.at[where].set(jnp.maximum(error, 1e-6))

    return Source(init, add, draw, judge)


def just_played(config: Config) -> Source:
    """Returns no replay: what many environments just played is learnt from and forgotten.

    With `layer_norm`, targets of TD(lambda) and a target net that follows at once (`tau` and
    `target_period` 1) this is PQN, parallelised Q-learning; Gallici et al., 2024, arXiv:2407.04811.
    """
    num_batches = config.num_envs // config.batch_size

    def init(sequence):
        return (), ()

    def add(stored, priorities, new, index):
        return stored, priorities

    def draw(key, stored, priorities, new, index, step, hp):
        if num_batches == 1:
            return Drawn(new, jnp.arange(config.num_envs), None)
        # all steps of an epoch draw one order, of which each takes its part
        epoch = jax.random.fold_in(key, step // num_batches)
        order = jax.random.permutation(epoch, config.num_envs)
        first = step % num_batches * config.batch_size
        where = jax.lax.dynamic_slice_in_dim(order, first, config.batch_size)
        return Drawn(buffers.take(new, where), where, None)

    return Source(init, add, draw, lambda priorities, where, error: priorities)


SOURCES = {"uniform": uniform_replay, "prioritised": prioritised_replay, "none": just_played}
