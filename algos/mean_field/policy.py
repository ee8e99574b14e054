"""What a mean-field learner's policy is made of: the unit of its temperature, what lies near."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.spaces import Box, Composite, Space


def temperature_unit(config: Config, q: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Returns what a temperature of 1 is in units of Q, [] or [...], as `temperature_unit` says."""
    return spread(q, mask) if config.temperature_unit == "spread" else jnp.ones((), q.dtype)


def spread(q: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns the standard deviation of Q-values over legal actions, [...] f32 >= 0.

    0 where they are equal or none is legal: a temperature of 0 shares the mass among the best.

    Args:
      q: [..., A] f32.
      mask: [..., A] bool, true where legal; None: all are.
    """
    legal = jnp.ones(q.shape, bool) if mask is None else jnp.broadcast_to(mask, q.shape)
    # selected before any arithmetic: illegal values may be infinite
    count = jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
    mean = jnp.where(legal, q, 0.0).sum(axis=-1, keepdims=True) / count
    gap = jnp.where(legal, q - mean, 0.0)
    return jnp.sqrt((gap**2).sum(axis=-1) / count[..., 0])


def centres(space: Space, observation: Any, side: int) -> jax.Array:
    """Returns the middle side x side cells of all images observed, flat, [..., F] f32.

    Args:
      space: of the observation; its parts of three axes [H, W, C] are images.
      observation: leaves [..., H, W, C] and others.
      side: odd; images smaller than it are taken whole.
    """
    parts: list[jax.Array] = []
    if isinstance(space, Composite):
        parts = [centres(part, observation[name], side) for name, part in space.items]
        return jnp.concatenate(parts, axis=-1)
    if isinstance(space, Box) and len(space.shape) == 3:
        height, width = space.shape[:2]
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        cropped = observation[..., top : top + side, left : left + side, :]
        return cropped.reshape(*cropped.shape[:-3], -1)
    lead = observation.shape[: observation.ndim - len(space.shape)]
    return jnp.zeros((*lead, 0))
