"""Losses and objectives, entry by entry: what to minimise or maximise, before any averaging.

Each function maps arrays of one common shape [...] to that shape, or from [..., A] over actions to
[...]; other shapes are an error that names the argument, and a number goes with any. The caller
averages, with `masked_mean` where some rows do not count.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.functional.projections import expectation
from jaxmarl_core.functional.shapes import (
    as_float,
    as_floats,
    legal_mask,
    require_broadcastable,
    require_equal_shapes,
    require_shape,
)


def masked_mean(x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns the mean of `x` over the entries where `mask` is true; 0 if there are none.

    Args:
      x: [...] f32; entries that are masked out may hold anything, NaN included.
      mask: [...] bool, or None for all true. Same shape as `x`.

    Returns:
      [] f32.
    """
    x = as_float(x)
    if mask is None:
        return jnp.mean(x)
    mask = jnp.asarray(mask).astype(bool)
    require_shape("mask", mask, x.shape)
    # where, not a product: 0 * NaN is NaN
    return jnp.sum(jnp.where(mask, x, 0)) / jnp.maximum(jnp.sum(mask), 1)


def masked_means(figures: Mapping[str, jax.Array], mask: jax.Array) -> dict[str, jax.Array]:
    """Returns the `masked_mean` of several figures of one shape, name -> [...]; name -> [].

    All in one sum: on an accelerator, one kernel.
    """
    means = jax.vmap(masked_mean, (0, None))(jnp.stack(list(figures.values())), mask)
    return dict(zip(figures, means))


def chosen(q: jax.Array, action: jax.Array) -> jax.Array:
    """Returns `q[..., action]`: the entry of the action taken.

    Args:
      q: [..., A] f32.
      action: [...] int32 in [0, A).
    """
    q, action = jnp.asarray(q), jnp.asarray(action)
    require_shape("action", action, q.shape[:-1])
    return jnp.take_along_axis(q, action[..., None], axis=-1)[..., 0]


def policy_gradient(ratio: jax.Array, advantage: jax.Array) -> jax.Array:
    """Returns the objective `ratio * advantage`, to be maximised.

    With ratio = pi(a|s) / pi_old(a|s) this is the importance-weighted surrogate of Kakade &
    Langford, 2002. Where pi = pi_old, and also when `ratio` is log pi(a|s), its gradient is that
    of REINFORCE, A grad log pi (Williams, 1992).

    Args:
      ratio: [...] f32, the probability ratio or a log-probability.
      advantage: [...] f32, a constant: stop its gradient if it has one.
    """
    ratio, advantage = as_floats(ratio, advantage)
    require_equal_shapes(ratio=ratio, advantage=advantage)
    return ratio * advantage


def ppo_clip(ratio: jax.Array, advantage: jax.Array, clip: float | jax.Array) -> jax.Array:
    """Returns the clipped surrogate objective, to be maximised.

        min(r A, clip(r, 1 - c, 1 + c) A)

    Schulman et al., 2017, arXiv:1707.06347, eq. 7.

    Args:
      ratio: [...] f32, r = pi(a|s) / pi_old(a|s).
      advantage: [...] f32, A.
      clip: [] f32 > 0, c; infinity gives `policy_gradient`.
    """
    ratio, advantage = as_floats(ratio, advantage)
    require_equal_shapes(ratio=ratio, advantage=advantage)
    require_broadcastable("clip", clip, np.shape(ratio * advantage))
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)


def squared(error: jax.Array) -> jax.Array:
    """Returns `error**2 / 2`, whose derivative is the error."""
    return 0.5 * as_float(error) ** 2


def huber(error: jax.Array, delta: float | jax.Array = 1.0) -> jax.Array:
    """Returns a loss that is square near 0 and straight beyond `delta`.

        e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)

    Huber, 1964, Annals of Mathematical Statistics 35.

    Args:
      error: [...] f32.
      delta: [] f32 > 0; infinity gives `squared`.
    """
    # One expression for both parts, right in its gradient where they meet and at infinity.
    error = as_float(error)
    require_broadcastable("delta", delta, error.shape)
    near = jnp.clip(error, -delta, delta)
    return near * (error - 0.5 * near)


def clipped_value(
    value: jax.Array,
    old_value: jax.Array,
    target: jax.Array,
    clip: float | jax.Array,
    loss: Callable[[jax.Array], jax.Array] = squared,
) -> jax.Array:
    """Returns the value loss of a critic that is held near its last prediction.

        max(loss(v - y), loss(v_old + clip(v - v_old, -c, c) - y))

    Not in the PPO paper but in its reference code; Yu et al., 2022, arXiv:2103.01955, appendix,
    with a Huber loss. The maximum makes it pessimistic: moving further than c earns nothing.

    Args:
      value: [...] f32, v.
      old_value: [...] f32, v_old, when the data were collected.
      target: [...] f32, y.
      clip: [] f32 > 0, c, in units of value; infinity gives `loss(v - y)`.
      loss: even in its argument, such as `squared` or `huber`.
    """
    value, old_value, target = as_floats(value, old_value, target)
    require_equal_shapes(value=value, old_value=old_value, target=target)
    require_broadcastable("clip", clip, np.shape(value + old_value + target))
    near = old_value + jnp.clip(value - old_value, -clip, clip)
    return jnp.maximum(loss(value - target), loss(near - target))


def td_target(reward: jax.Array, discount: jax.Array, next_value: jax.Array) -> jax.Array:
    """Returns the one-step target `r + discount V(s')`, without gradient.

    Args:
      reward: [...] f32.
      discount: [...] f32 in [0, 1]; gamma, or 0 where the episode terminated.
      next_value: [...] f32.
    """
    reward, discount, next_value = as_floats(reward, discount, next_value)
    require_equal_shapes(reward=reward, discount=discount, next_value=next_value)
    return jax.lax.stop_gradient(reward + discount * next_value)


def max_value(q: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns max_a Q(s, a) over legal actions; 0 where none is legal, as for the dead.

    Args:
      q: [..., A] f32.
      mask: [..., A] bool, true where legal; None: all are.
    """
    q = as_float(q)
    if mask is None:
        return jnp.max(q, axis=-1)
    mask = legal_mask(mask, q.shape)
    return jnp.where(mask.any(axis=-1), jnp.max(jnp.where(mask, q, -jnp.inf), axis=-1), 0.0)


def double_q_value(
    next_q: jax.Array, next_q_target: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns the double-Q value of a state: one net chooses the action, the other values it.

        Q_target(s', argmax_a Q(s', a))

    Van Hasselt et al., 2016, arXiv:1509.06461, eq. 4.

    Args:
      next_q: [..., A] f32, the learning net's.
      next_q_target: [..., A] f32, the target net's.
      mask: [..., A] bool, true where legal; None: all are. Where none is, the value is 0.

    Returns:
      [...] f32.
    """
    next_q, next_q_target = as_float(next_q), as_float(next_q_target)
    require_shape("next_q_target", next_q_target, next_q.shape)
    value = chosen(next_q_target, greedy(next_q, mask))
    if mask is None:
        return value
    return jnp.where(legal_mask(mask, next_q.shape).any(axis=-1), value, 0.0)


def q_target(
    reward: jax.Array, discount: jax.Array, next_q: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns the Q-learning target `r + discount max_a Q(s', a)`, without gradient.

    Watkins, 1989; Mnih et al., 2015.

    Args:
      reward, discount: [...] f32, see `td_target`.
      next_q: [..., A] f32, of the target net if there is one.
      mask: [..., A] bool, true where legal; None: all are.
    """
    return td_target(reward, discount, max_value(next_q, mask))


def double_q_target(
    reward: jax.Array,
    discount: jax.Array,
    next_q: jax.Array,
    next_q_target: jax.Array,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Returns `r + discount Q_target(s', argmax_a Q(s', a))`, without gradient.

    Van Hasselt et al., 2016, arXiv:1509.06461, eq. 4. Arguments as in `td_target` and
    `double_q_value`; with `next_q` for both nets it is `q_target`.
    """
    return td_target(reward, discount, double_q_value(next_q, next_q_target, mask))


def mean_field_value(q: jax.Array, pi: jax.Array) -> jax.Array:
    """Returns the value of a state under a policy.

        v(s') = sum_a pi(a | s', mean action) Q(s', a, mean action)

    Yang et al., 2018, arXiv:1802.05438, eq. 10 for one agent; there the expectation over the
    neighbours' actions is taken by the one mean action that `q` was computed with. With a fixed
    policy it is the expected-SARSA value (van Seijen et al., 2009).

    Args:
      q: [..., A] f32; may be infinite where `pi` is 0.
      pi: [..., A] f32, probabilities; 0 for illegal actions.
    """
    q, pi = as_floats(q, pi)
    require_shape("pi", pi, q.shape)
    return expectation(pi, q)


def entropy(pi: jax.Array) -> jax.Array:
    """Returns the entropy in nats of a discrete distribution, `-sum_a pi(a) log pi(a)`.

    Its gradient at a probability of 0 is taken to be 0.

    Args:
      pi: [..., A] f32, probabilities.
    """
    pi = as_float(pi)
    positive = pi > 0
    # double where: keeps the gradient finite at 0
    return -jnp.sum(jnp.where(positive, pi * jnp.log(jnp.where(positive, pi, 1.0)), 0.0), axis=-1)
