"""Returns in units of their own mean and deviation, so that one learning rate fits all worlds.

Mean and variance are of exponentially weighted batches, corrected for their start at nothing.
PopArt also moves a critic's last layer with the units, so that what it predicts stays the same:
van Hasselt et al., 2016, arXiv:1602.07714; Hessel et al., 2019, arXiv:1809.04474.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.shapes import as_float

SMALLEST = 1e-8  # of a variance: a deviation of 1e-4, as in PopArt's papers


@struct.dataclass
class Scale:
    """Running moments of returns."""

    mean: jax.Array  # [] f32
    variance: jax.Array  # [] f32
    weight: jax.Array  # [] f32 in [0, 1), how much of an average they are


def initial_scale() -> Scale:
    """Returns the scale before any batch: mean 0, deviation 1."""
    zero = jnp.zeros(())
    return Scale(zero, zero, zero)


def moments(scale: Scale) -> tuple[jax.Array, jax.Array]:
    """Returns the mean and the deviation of returns, [] each."""
    deviation = jnp.sqrt(jnp.maximum(scale.variance, SMALLEST))
    return scale.mean, jnp.where(scale.weight > 0, deviation, 1.0)


def updated(scale: Scale, returns: jax.Array, counts: jax.Array, rate: jax.Array | float) -> Scale:
    """Returns the scale after a batch; where nothing counts, as it was.

    Args:
      scale: before.
      returns: [...] f32.
      counts: [...] bool.
      rate: of the average, in (0, 1]; 1: this batch alone.
    """
    returns, counts = as_float(returns), jnp.asarray(counts)
    step = jnp.where(counts.any(), rate, 0.0)
    weight = scale.weight + step * (1 - scale.weight)
    share = step / jnp.where(weight > 0, weight, 1.0)  # of the batch; all of it if it is the first
    centre = masked_mean(returns, counts)
    # around the mean, not the mean square less the squared mean: returns far from 0 keep theirs
    spread = masked_mean(jnp.where(counts, returns - centre, 0.0) ** 2, counts)
    move = centre - scale.mean
    variance = scale.variance + share * (spread - scale.variance + (1 - share) * move**2)
    return Scale(scale.mean + share * move, variance, weight)


def normalised(scale: Scale, returns: jax.Array) -> jax.Array:
    """Returns `(returns - mean) / deviation`."""
    mean, deviation = moments(scale)
    return (as_float(returns) - mean) / deviation


def denormalised(scale: Scale, values: jax.Array) -> jax.Array:
    """Returns `mean + deviation * values`."""
    mean, deviation = moments(scale)
    return mean + deviation * as_float(values)


def rescaled(layer: dict[str, Any], old: Scale, new: Scale) -> dict[str, Any]:
    """Returns a linear layer that predicts in the new units what it predicted in the old ones.

    Args:
      layer: "kernel" [F, K] and "bias" [K].
      old, new: the units.
    """
    mean, deviation = moments(old)
    new_mean, new_deviation = moments(new)
    kernel = layer["kernel"] * deviation / new_deviation
    bias = (deviation * layer["bias"] + mean - new_mean) / new_deviation
    # units may be of double precision where parameters are not, which keep their type
    return {
        "kernel": kernel.astype(jnp.result_type(layer["kernel"])),
        "bias": bias.astype(jnp.result_type(layer["bias"])),
    }
