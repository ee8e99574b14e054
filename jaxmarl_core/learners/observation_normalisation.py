"""Observations in units of their own mean and deviation, of all that were seen so far.

The moments of batches are merged by Chan, Golub & LeVeque, 1983: exact, however many came before.
What is normalised is every Box of floats, entry by entry; numbers of a Discrete, and images of
integers, which are scaled by their Box (networks.Encoder), stay as they are.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.spaces import Box, Composite, Space

SMALLEST = 1e-8  # of a variance
LIMIT = 10.0  # of a normalised entry, as one that hardly varied may yet move


@struct.dataclass
class Statistics:
    """Moments of a Box's entries."""

    mean: jax.Array  # [*space] f32
    variance: jax.Array  # [*space] f32
    count: jax.Array  # [] f32, of how many


def initial_statistics(space: Space) -> Any:
    """Returns the statistics of nothing: of a Box, a dict of them for a Composite, None else."""
    if isinstance(space, Composite):
        return {name: initial_statistics(part) for name, part in space.items}
    if isinstance(space, Box) and jnp.issubdtype(space.dtype, jnp.floating):
        return Statistics(jnp.zeros(space.shape), jnp.zeros(space.shape), jnp.zeros(()))
    return None


def normalised_observation(space: Space, statistics: Any, observation: Any) -> Any:
    """Returns an observation [..., *space] less its mean, by its deviation, within +-LIMIT.

    What has no statistics, and what was never seen, is not scaled.
    """
    if statistics is None:
        return observation
    if isinstance(space, Composite):
        return {
            name: normalised_observation(part, statistics[name], observation[name])
            for name, part in space.items
        }
    deviation = jnp.sqrt(jnp.maximum(statistics.variance, SMALLEST))
    deviation = jnp.where(statistics.count > 0, deviation, 1.0)
    return jnp.clip((observation - statistics.mean) / deviation, -LIMIT, LIMIT)


def updated_statistics(space: Space, statistics: Any, observation: Any, counts: jax.Array) -> Any:
    """Returns the statistics after a batch of observations.

    Args:
      space: of one observation.
      statistics: before.
      observation: leaves [..., *space]; an axis may be 1 where all have the same.
      counts: [...] bool. Entries that do not count may hold anything, and those of an observation
        that is not finite never count.
    """
    if statistics is None:
        return None
    if isinstance(space, Composite):
        return {
            name: updated_statistics(part, statistics[name], observation[name], counts)
            for name, part in space.items
        }
    own = tuple(range(counts.ndim, observation.ndim))  # axes of the space
    shared = tuple(i for i in range(counts.ndim) if observation.shape[i] < counts.shape[i])
    counts = counts.any(shared, keepdims=True) & jnp.isfinite(observation).all(own)
    over = tuple(range(counts.ndim))
    which = counts.reshape(*counts.shape, *[1] * len(own))
    num = counts.sum(dtype=jnp.float32)
    mean_of = lambda x: jnp.where(which, x, 0.0).sum(over) / jnp.maximum(num, 1.0)
    mean = mean_of(observation)
    variance = mean_of(jnp.where(which, observation - mean, 0.0) ** 2)
    total = statistics.count + num
    share = num / jnp.maximum(total, 1.0)
    move = mean - statistics.mean
    spread = share * (variance - statistics.variance + (1 - share) * move**2)
    return Statistics(statistics.mean + share * move, statistics.variance + spread, total)
