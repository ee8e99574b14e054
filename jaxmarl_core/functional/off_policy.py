"""Returns of one trajectory that another policy played, corrected by importance ratios.

The ratio of both policies' probabilities of an action, cut off so that its variance stays bounded,
says how much of what followed still counts. Arguments are those of `returns`: T transitions,
perhaps of several episodes, and `valid` false where s_t ended one.

What is returned are targets and weights, constants to whoever minimises: no gradient flows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.functional.returns import following, one_trajectory, sums_to_come
from jaxmarl_core.functional.shapes import as_float, require_shape


class VTrace(NamedTuple):
    target: jax.Array  # [T] f32, v_t, for the critic; V(s_t) where not valid
    advantage: jax.Array  # [T] f32, for the actor; 0 where not valid


def vtrace(
    reward: jax.Array,
    discount: jax.Array,
    value: jax.Array,
    bootstrap: float | jax.Array,
    ratio: jax.Array,
    lam: float | jax.Array = 1.0,
    max_ratio: float | jax.Array = 1.0,
    max_trace: float | jax.Array = 1.0,
    valid: jax.Array | None = None,
) -> VTrace:
    """Returns V-trace's targets of the values, and the advantages of the actions played.

        v_t = V_t + rho_t d_t + discount_t c_t (v_{t+1} - V_{t+1}),   v_T = V(s_T)
        d_t = r_t + discount_t V_{t+1} - V_t
        rho_t = min(max_ratio, ratio_t),   c_t = lam min(max_trace, ratio_t)
        advantage_t = rho_t (r_t + discount_t v_{t+1} - V_t)

    Espeholt et al., 2018, arXiv:1802.01561, eq. 1 and remark 2. With ratios of 1 the targets are
    lambda-returns. `max_ratio` decides whose value is learnt, `max_trace` how fast.

    Args:
      reward, discount, value, bootstrap, valid: as in `returns.gae`.
      ratio: [T] f32 >= 0, pi(a_t | s_t) / mu(a_t | s_t), mu being the policy that played.
      lam: [] f32 in [0, 1].
      max_ratio: [] f32 > 0; infinity learns the value of pi.
      max_trace: [] f32 > 0.

    Raises:
      ValueError: a shape does not fit.
    """
    reward, discount, value, bootstrap, valid = one_trajectory(
        reward, discount, value, bootstrap, valid
    )
    ratio = _ratio(ratio, valid, reward.dtype)
    rho, trace = jnp.minimum(ratio, max_ratio), lam * jnp.minimum(ratio, max_trace)
    delta = rho * (reward + discount * following(value, bootstrap) - value)
    target = value + sums_to_come(delta, discount * trace, valid)
    advantage = rho * (reward + discount * following(target, bootstrap) - value)
    return jax.lax.stop_gradient(VTrace(target, jnp.where(valid, advantage, 0.0)))


def retrace(
    reward: jax.Array,
    discount: jax.Array,
    q: jax.Array,
    next_value: jax.Array,
    ratio: jax.Array,
    lam: float | jax.Array = 1.0,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Returns Retrace's targets of the values of the actions played.

        G_t = r_t + discount_t (V_{t+1} + c_{t+1} (G_{t+1} - Q_{t+1})),   c_t = lam min(1, ratio_t)

    with V_{t+1} = sum_a pi(a | s_{t+1}) Q(s_{t+1}, a), and nothing behind the last transition.
    Munos et al., 2016, arXiv:1606.02647, eq. 3 and 4.

    Args:
      reward, discount: [T] f32, as in `returns.gae`.
      q: [T] f32, Q(s_t, a_t).
      next_value: [T] f32, V of s_{t+1} under pi; `losses.mean_field_value` computes it.
      ratio: [T] f32 >= 0, pi(a_t | s_t) / mu(a_t | s_t), mu being the policy that played.
      lam: [] f32 in [0, 1].
      valid: [T] bool, false where s_t ended an episode; None: all true.

    Returns:
      [T] f32; Q(s_t, a_t) where not valid.

    Raises:
      ValueError: a shape does not fit.
    """
    reward, discount, q, _, valid = one_trajectory(reward, discount, q, 0.0, valid)
    next_value = as_float(next_value)
    require_shape("next_value", next_value, reward.shape)
    trace = lam * jnp.minimum(_ratio(ratio, valid, reward.dtype), 1.0)
    delta = reward + discount * jnp.where(valid, next_value, 0.0) - q
    found = q + sums_to_come(delta, discount * following(trace, 0.0), valid)
    return jax.lax.stop_gradient(found)


def _ratio(ratio, valid, dtype):
    ratio = as_float(ratio).astype(dtype)
    require_shape("ratio", ratio, valid.shape)
    return jnp.where(valid, ratio, 0.0)
