"""Policies that climb a learnt Q: how they draw, what they minimise, and their critics' targets.

Actions of a bounded Box are told in half ranges from its middle, [-1, 1]. Noise is an argument,
drawn before: what is written here is arithmetic, and a program may draw for many steps at once.
"""

import math

import jax
import jax.numpy as jnp

from jaxmarl_core.functional.shapes import as_float, as_floats, require_equal_shapes, require_shape


def squashed_draw(
    mean: jax.Array, log_std: jax.Array, noise: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (an action in (-1, 1) [..., D], its log-density [...]), along which gradients pass.

        a = tanh(x),   x = mean + std noise,   log p(a) = log N(x) - sum_d log(1 - tanh(x_d)^2)

    Haarnoja et al., 2018, arXiv:1801.01290, appendix C. The density is that of x, so that it is
    exact however near the bound the action is.

    Args:
      mean, log_std: [..., D] f32.
      noise: [..., D] f32, standard normal.
    """
    mean, log_std, noise = as_floats(mean, log_std, noise)
    require_shape("log_std", log_std, mean.shape)
    require_shape("noise", noise, mean.shape)
    x = mean + jnp.exp(log_std) * noise
    normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
    slope = 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))  # log(1 - tanh^2), without underflow
    return jnp.tanh(x), (normal - slope).sum(-1)


def smoothed(
    action: jax.Array,
    noise: jax.Array,
    scale: float | jax.Array,
    clip: float | jax.Array,
    low: float = -1.0,
    high: float = 1.0,
) -> jax.Array:
    """Returns a target action with a little noise, so that a sharp peak of Q teaches little.

        clip(a + clip(scale noise, -c, c), low, high)

    TD3's target policy smoothing; Fujimoto et al., 2018, arXiv:1802.09477, eq. 14 and algorithm 1.

    Args:
      action: [...] f32.
      noise: [...] f32, standard normal.
      scale: [] f32 >= 0, in units of the action; there 0.2.
      clip: [] f32 >= 0, c, in units of the action; there 0.5.
      low, high: the bounds of the action.
    """
    action, noise, scale, clip = as_floats(action, noise, scale, clip)
    require_shape("noise", noise, action.shape)
    require_shape("scale", scale, ())
    require_shape("clip", clip, ())
    return jnp.clip(action + jnp.clip(scale * noise, -clip, clip), low, high)


def twin_target(
    reward: jax.Array,
    discount: jax.Array,
    next_q: jax.Array,
    entropy_bonus: float | jax.Array = 0.0,
) -> jax.Array:
    """Returns the target of critics that are two, or one, without gradient.

        r + discount (min_m Q_m(s', a') - sum_i alpha_i log pi_i(a'_i | s'))

    With two critics the minimum is clipped double-Q learning, Fujimoto et al., 2018,
    arXiv:1802.09477, eq. 10; with the bonus it is the soft target of Haarnoja et al., 2018,
    arXiv:1812.05905, eq. 3; with neither it is DDPG's, Lillicrap et al., 2016, arXiv:1509.02971.

    Args:
      reward, discount: [...] f32; gamma, or 0 where no more pay can come.
      next_q: [M, ...] f32, of M target critics.
      entropy_bonus: [...] f32, the entropies of those who act, weighted; or 0.
    """
    reward, discount, next_q, bonus = as_floats(reward, discount, next_q, entropy_bonus)
    require_shape("next_q", next_q, (None, *reward.shape))
    require_equal_shapes(reward=reward, discount=discount, entropy_bonus=bonus)
    return jax.lax.stop_gradient(reward + discount * (next_q.min(0) + bonus))


def soft_policy_loss(
    log_prob: jax.Array, q: jax.Array, temperature: float | jax.Array = 0.0
) -> jax.Array:
    """Returns what a policy minimises along the action that it draws: `alpha log pi(a) - Q(s, a)`.

    Haarnoja et al., 2018, arXiv:1812.05905, eq. 9. At temperature 0 it is the deterministic policy
    gradient, -Q(s, mu(s)); Silver et al., 2014, ICML, theorem 1.

    Args:
      log_prob: [...] f32, of the action.
      q: [...] f32, differentiable in the action.
      temperature: [] f32 >= 0, alpha.
    """
    log_prob, q, temperature = as_floats(log_prob, q, temperature)
    require_equal_shapes(log_prob=log_prob, q=q)
    require_shape("temperature", temperature, ())
    return temperature * log_prob - q


def temperature_loss(
    log_temperature: jax.Array, log_prob: jax.Array, target_entropy: jax.Array
) -> jax.Array:
    """Returns what a temperature minimises, so that the policy's entropy is the one that is wanted.

        - log(alpha) (log pi(a) + H),   constants but for alpha

    Haarnoja et al., 2018, arXiv:1812.05905, eq. 18, for log(alpha) in place of alpha, as in the
    authors' program: the step does not depend on how large alpha is.

    Args:
      log_temperature: [] f32.
      log_prob: [...] f32, of actions drawn from the policy.
      target_entropy: [...] f32, H, in nats.
    """
    log_temperature = as_float(log_temperature)
    require_shape("log_temperature", log_temperature, ())
    log_prob, target_entropy = as_floats(log_prob, target_entropy)
    require_equal_shapes(log_prob=log_prob, target_entropy=target_entropy)
    return -log_temperature * jax.lax.stop_gradient(log_prob + target_entropy)
