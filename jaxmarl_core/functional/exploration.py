"""How a learner strays from its best action, and how that fades.

Action choosers take values [..., A] and one key, and return actions [...]. Where no action is
legal (a dead agent) they return 0. Ties go to the lowest index, so that agents who share values
agree without a word: the social convention of Boutilier, 1996.
"""

import jax
import jax.numpy as jnp

from jaxmarl_core.functional.shapes import (
    as_float,
    as_floats,
    legal_mask,
    require_broadcastable,
    require_shape,
)


def greedy(q: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns the best legal action, the lowest index among equals.

    Args:
      q: [..., A] f32.
      mask: [..., A] bool, true where legal; None: all are.

    Returns:
      [...] int32.
    """
    q = as_float(q)
    if mask is not None:
        # what is legal is above -inf, so that it goes before what is not
        lowest = jnp.finfo(q.dtype).min
        q = jnp.where(legal_mask(mask, q.shape), jnp.maximum(q, lowest), -jnp.inf)
    return jnp.argmax(q, axis=-1).astype(jnp.int32)


def draw(key: jax.Array, probs: jax.Array) -> jax.Array:
    """Returns an action drawn with the given probabilities, by inverting their sum.

    One random number per row. `jax.random.categorical` spends one per entry, which took three
    times as long for 8192 rows of 21 on a CPU.

    Args:
      probs: [..., A] f32 >= 0; need not sum to 1. An action of probability 0 is never drawn, save
        action 0 where all are 0.

    Returns:
      [...] int32.
    """
    probs = as_float(probs)
    return pick(jax.random.uniform(key, probs.shape[:-1]), probs)


def pick(share: jax.Array, probs: jax.Array) -> jax.Array:
    """Returns the action at which the probabilities, summed in turn, pass `share` of their total.

    Args:
      share: [...] f32 in [0, 1); uniform, it makes this a draw, and two who share it draw alike.
      probs: [..., A] f32, as in `draw`.

    Returns:
      [...] int32.
    """
    share, probs = as_float(share), as_float(probs)
    require_broadcastable("share", share, probs.shape[:-1])
    probs = probs.astype(jnp.promote_types(probs.dtype, jnp.float32))  # a sum of many small ones
    # Zero where impossible: rounding must not open a gap in the sum for an illegal action.
    total = jnp.where(probs > 0, jnp.cumsum(probs, axis=-1), 0)
    threshold = share * total.max(axis=-1)
    return jnp.argmax(total > threshold[..., None], axis=-1).astype(jnp.int32)


def uniform(key: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns a legal action drawn uniformly.

    Args:
      mask: [..., A] bool, true where legal.

    Returns:
      [...] int32.
    """
    return draw(key, jnp.asarray(mask).astype(jnp.float32))


def epsilon_greedy_probs(
    q: jax.Array, epsilon: float | jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns the probabilities with which `epsilon_greedy` acts.

        pi(a) = epsilon / A_legal + (1 - epsilon) [a is the greedy action]

    Args:
      q: [..., A] f32.
      epsilon: [] or [...] f32 in [0, 1].
      mask: [..., A] bool, true where legal; None: all are.

    Returns:
      [..., A] f32; summing to 1, save that where nothing is legal action 0 has 1 - epsilon.
    """
    q, epsilon = as_float(q), as_float(epsilon)
    require_broadcastable("epsilon", epsilon, q.shape[:-1])
    mask, epsilon = legal_mask(mask, q.shape), epsilon[..., None]
    share = mask / jnp.maximum(mask.sum(axis=-1, keepdims=True), 1)
    return epsilon * share + (1 - epsilon) * jax.nn.one_hot(greedy(q, mask), q.shape[-1])


def epsilon_greedy(
    key: jax.Array, q: jax.Array, epsilon: float | jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns a uniform legal action with probability `epsilon`, else the greedy one.

    Args:
      q: [..., A] f32.
      epsilon: [] or [...] f32 in [0, 1].
      mask: [..., A] bool, true where legal; None: all are.

    Returns:
      [...] int32.
    """
    q, epsilon = as_float(q), as_float(epsilon)
    require_broadcastable("epsilon", epsilon, q.shape[:-1])
    mask = legal_mask(mask, q.shape)
    key_explore, key_action = jax.random.split(key)
    explore = jax.random.uniform(key_explore, q.shape[:-1]) < epsilon
    return jnp.where(explore, uniform(key_action, mask), greedy(q, mask))


def boltzmann_probs(
    q: jax.Array, temperature: float | jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns the probabilities of a Boltzmann policy.

        pi(a) = exp(q(a) / T) / sum_b exp(q(b) / T)

    Args:
      q: [..., A] f32.
      temperature: [] or [...] f32 >= 0, in units of q; 0 shares the mass among the best.
      mask: [..., A] bool, true where legal; None: all are.

    Returns:
      [..., A] f32; 0 where illegal, uniform where nothing is legal.
    """
    q, temperature = as_float(q), as_float(temperature)
    require_broadcastable("temperature", temperature, q.shape[:-1])
    dtype = jnp.promote_types(q.dtype, jnp.float32)
    given, q, temperature = q.dtype, q.astype(dtype), temperature.astype(dtype)[..., None]
    legal = q != -jnp.inf
    if mask is not None:
        legal = legal & legal_mask(mask, q.shape)
    best = jnp.max(jnp.where(legal, q, -jnp.inf), axis=-1, keepdims=True)
    # Selected before they are divided: infinite gaps, and those of a temperature whose square
    # is 0, would make the slope in the temperature NaN. Finite at the bottom, so that a row
    # without legal actions is uniform.
    gap = jnp.where(legal, q - best, 0)
    cold = temperature < jnp.finfo(dtype).tiny ** 0.5
    logits = gap / jnp.where(cold, 1, temperature)
    lowest = jnp.finfo(dtype).min
    logits = jnp.where(cold & (gap < 0) | ~legal, lowest, jnp.where(cold, 0, logits))
    return jax.nn.softmax(jnp.maximum(logits, lowest), axis=-1).astype(given)


def boltzmann(
    key: jax.Array, q: jax.Array, temperature: float | jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns an action drawn from `boltzmann_probs`.

    Args:
      q: [..., A] f32.
      temperature: [] or [...] f32 >= 0, in units of q; 0 draws among the best.
      mask: [..., A] bool, true where legal; None: all are.

    Returns:
      [...] int32; 0 where nothing is legal.
    """
    probs = boltzmann_probs(q, temperature, mask)
    action = draw(key, probs)
    if mask is None:
        return action
    return jnp.where(legal_mask(mask, probs.shape).any(axis=-1), action, 0)


def gaussian_noise(
    key: jax.Array,
    action: jax.Array,
    scale: float | jax.Array,
    low: float = -jnp.inf,
    high: float = jnp.inf,
) -> jax.Array:
    """Returns `clip(action + scale * noise, low, high)` with standard normal noise.

    Args:
      action: [...] f32.
      scale: [] or [...] f32 >= 0, in units of the action.
      low, high: the bounds of the action's Box.
    """
    action, scale = as_float(action), as_float(scale)
    require_broadcastable("scale", scale, action.shape)
    return jnp.clip(action + scale * jax.random.normal(key, action.shape, action.dtype), low, high)


def ornstein_uhlenbeck(
    state: jax.Array, noise: jax.Array, rate: float | jax.Array, scale: float | jax.Array
) -> jax.Array:
    """Returns the next state of noise that is drawn back to 0, so that one step is like the last.

        x' = (1 - rate) x + scale noise,   of variance scale^2 / (1 - (1 - rate)^2) in the long run

    Uhlenbeck & Ornstein, 1930; as exploration Lillicrap et al., 2016, arXiv:1509.02971, section 3,
    with rate 0.15 and scale 0.2.

    Args:
      state: [...] f32, x; 0 where an episode begins.
      noise: [...] f32, standard normal.
      rate: [] f32 in [0, 1]; 1: every step is drawn for itself.
      scale: [] f32 >= 0, in units of the action.
    """
    state, noise, rate, scale = as_floats(state, noise, rate, scale)
    require_shape("noise", noise, state.shape)
    require_shape("rate", rate, ())
    require_shape("scale", scale, ())
    return (1 - rate) * state + scale * noise


def linear(start: float | jax.Array, end: float | jax.Array, fraction: jax.Array) -> jax.Array:
    """Returns the point `fraction` of the way from `start` to `end`, staying at either end.

    Args:
      start, end: [] f32.
      fraction: [] f32; clipped to [0, 1].
    """
    return start + (end - start) * jnp.clip(fraction, 0.0, 1.0)


def exponential(start: float | jax.Array, end: float | jax.Array, fraction: jax.Array) -> jax.Array:
    """Returns `start (end / start)^fraction`: equal steps change it by equal factors.

    Args:
      start, end: [] f32 > 0.
      fraction: [] f32; clipped to [0, 1].
    """
    return start * (end / start) ** jnp.clip(fraction, 0.0, 1.0)
