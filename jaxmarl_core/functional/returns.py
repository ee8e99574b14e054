"""Returns and advantages of one trajectory.

A trajectory has T transitions, t = 0 ... T - 1, and may hold several episodes. Transition t leads
from s_t to s_{t+1}; `reward[t]` and `discount[t]` belong to it. Where an episode ended at s_t, the
next row starts a new episode: the transition across is no transition of the world, and is told by
`valid[t] = False`. Its advantage is 0, its return is V(s_t), and nothing flows through it. So an
episode that was cut off by a time limit bootstraps from the value of its final observation,
V(s_t), and one that truly ended (discount 0) from nothing.

`trajectory_terms` derives these arguments from the time steps of a rollout. Of environments and
agents side by side, [T, B, n], `over_trajectories` makes many trajectories.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.functional.losses import chosen, masked_mean
from jaxmarl_core.functional.projections import expectation
from jaxmarl_core.functional.shapes import (
    as_float,
    as_floats,
    require_equal_shapes,
    require_shape,
)


def trajectory_terms(
    reward: jax.Array, discount: jax.Array, last: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns (reward, discount, valid), [T, ...], of the transitions between T + 1 time steps.

    A time step tells of the transition that led to it, the functions of this file of the one that
    leaves: the two differ by one row. `play.rollout.joint_rows` gathers a rollout's time steps.

    Args:
      reward, discount: [T + 1, ...] f32, on arriving at s_0 ... s_T; of one trajectory [T + 1], of
        B environments with n agents [T + 1, B, n].
      last: [T + 1, ...] bool, whether s_t ended its episode; the agents' axis may be missing.
    """
    reward, discount, last = as_float(reward), as_float(discount), jnp.asarray(last)
    require(reward.ndim > 0 and len(reward) > 0, "reward", "shape (T + 1, ...)", reward.shape)
    require_equal_shapes(reward=reward, discount=discount)
    discount = jnp.broadcast_to(discount, reward.shape)
    fits = last.ndim > 0 and last.shape == reward.shape[: last.ndim]
    require(fits, "last", f"shape {reward.shape}, or its first axes", last.shape)
    valid = ~last.astype(bool)[:-1].reshape(-1, *last.shape[1:], *[1] * (reward.ndim - last.ndim))
    return reward[1:], discount[1:], jnp.broadcast_to(valid, reward[1:].shape)


def over_trajectories(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of one trajectory as one of many, mapped over all axes after time.

        over_trajectories(gae)(reward, discount, value, bootstrap, 0.95, valid)

    takes the terms of B environments with n agents, [T, B, n], the bootstrap [B, n], and gives
    advantages [T, B, n].

    Args:
      function: of [T] and [], such as `gae`, `n_step`, `off_policy.vtrace`; what it returns is [T].

    Returns:
      A function of the same arguments by position. The first is [T, *batch], and so may any other
      be; those that are [] to `function` may be [*batch], or [] for all.

    Raises:
      ValueError: when called, if an argument has another shape; it is named by its place.
    """

    def of_many(first: Any, *others: Any) -> Any:
        batch = np.shape(first)[1:]

        def axis(place: int, x: Any) -> int | None:
            shape = np.shape(x)
            fits = shape in ((), batch) or shape[1:] == batch
            expected = f"shape (T, *{batch}), {batch} or ()"
            require(fits, f"argument {place}", expected, shape)
            return None if shape == () else 1 if len(shape) > len(batch) else 0

        arguments = (first, *others)
        axes = tuple(None if x is None else axis(i, x) for i, x in enumerate(arguments))
        mapped = function
        for _ in batch:
            mapped = jax.vmap(mapped, axes, 1)
        return mapped(
            *(x if x is None or a is None else jnp.asarray(x) for x, a in zip(arguments, axes))
        )

    return of_many


def one_trajectory(reward, discount, value, bootstrap, valid):
    """Returns the terms of `gae`, checked, [T] floats of one type, [] and [T] bool.

    Raises:
      ValueError: a shape does not fit.
    """
    reward, discount, value, bootstrap = as_floats(reward, discount, value, bootstrap)
    require_shape("reward", reward, (None,))
    require_shape("bootstrap", bootstrap, ())
    valid = jnp.ones(reward.shape, bool) if valid is None else jnp.asarray(valid).astype(bool)
    for name, x in (("discount", discount), ("value", value), ("valid", valid)):
        require_shape(name, x, reward.shape)
    # where, not a product later: what an invalid row holds has no slope, NaN included
    reward, discount = (jnp.where(valid, x, 0) for x in (reward, discount))
    return reward, discount, value, bootstrap, valid


def following(value: jax.Array, bootstrap: float | jax.Array) -> jax.Array:
    """Returns V(s_{t+1}) for t = 0 ... T - 1."""
    return jnp.append(value[1:], bootstrap)


def gae(
    reward: jax.Array,
    discount: jax.Array,
    value: jax.Array,
    bootstrap: float | jax.Array,
    lam: float | jax.Array,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Returns generalised advantage estimates for one environment.

        A_t = d_t + discount_t lam A_{t+1},   d_t = r_t + discount_t V_{t+1} - V_t

    Schulman et al., 2016, arXiv:1506.02438, eq. 16. Episodes may end inside the sequence.

    Args:
      reward: [T] f32, for the step from t to t+1.
      discount: [T] f32 in [0, 1]; gamma, or 0 where the episode terminated.
      value: [T] f32, V(s_t).
      bootstrap: [] f32, V(s_T).
      lam: [] f32 in [0, 1]; 0 is one-step TD, 1 is Monte Carlo.
      valid: [T] bool, false where s_t ended an episode; None: all true.

    Returns:
      [T] f32; 0 where not valid.
    """
    reward, discount, value, bootstrap, valid = one_trajectory(
        reward, discount, value, bootstrap, valid
    )
    lam = jnp.asarray(lam, reward.dtype)
    require_shape("lam", lam, ())
    delta = reward + discount * following(value, bootstrap) - value
    return sums_to_come(delta, discount * lam, valid)


def sums_to_come(delta: jax.Array, factor: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns what a trajectory's errors add up to from each step on.

        A_t = delta_t + factor_t A_{t+1},   A_T = 0;   A_t = 0 where not valid

    On a processor step by step, which is the least work; elsewhere in log T steps, each of which is
    a kernel or two and not much slower than a single row would be.

    Args:
      delta, factor: [T] f32.
      valid: [T] bool.
    """
    rows = delta, factor, valid
    return jax.lax.platform_dependent(*rows, cpu=one_by_one, default=pair_by_pair)


def one_by_one(delta: jax.Array, factor: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns `sums_to_come` in T steps, one after another."""

    def backward(later, row):
        delta, factor, valid = row
        # twice: nor does what follows an invalid step reach the slope of its factor
        later = jnp.where(valid, delta + factor * jnp.where(valid, later, 0.0), 0.0)
        return later, later

    rows = (delta, factor, valid)
    return jax.lax.scan(backward, jnp.zeros((), delta.dtype), rows, reverse=True)[1]


def pair_by_pair(delta: jax.Array, factor: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns `sums_to_come` in log T steps.

    Two steps in a row are one, of delta_t + factor_t delta_{t+1} and factor_t factor_{t+1}.
    """

    def join(later, row):
        (delta_later, factor_later, valid_later), (delta, factor, valid) = later, row
        # selected, not multiplied: nothing flows through a step that is not valid, NaN included
        through = lambda x: factor * jnp.where(valid, x, 0.0)
        return delta + through(delta_later), through(factor_later), valid & valid_later

    delta, factor = (jnp.where(valid, x, 0.0) for x in (delta, factor))
    return jax.lax.associative_scan(join, (delta, factor, valid), reverse=True)[0]


def lambda_returns(
    reward: jax.Array,
    discount: jax.Array,
    value: jax.Array,
    bootstrap: float | jax.Array,
    lam: float | jax.Array,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Returns the lambda-returns of one environment, the targets of TD(lambda).

        G_t = r_t + discount_t ((1 - lam) V_{t+1} + lam G_{t+1}),   G_T = V(s_T)

    Sutton & Barto, 2018, eq. 12.18 and 12.20. Equal to `gae(...) + value`, which is how it is
    computed: where not valid, G_t = V(s_t).

    Args:
      as in `gae`.

    Returns:
      [T] f32.
    """
    return gae(reward, discount, value, bootstrap, lam, valid) + as_float(value)


def n_step(
    reward: jax.Array,
    discount: jax.Array,
    value: jax.Array,
    bootstrap: float | jax.Array,
    n: int,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Returns the n-step returns of one environment.

        G_t = r_t + discount_t r_{t+1} + ... + (discount_t ... discount_{t+n-1}) V(s_{t+n})

    Sutton & Barto, 2018, eq. 7.1. Shorter where the sequence or an episode ends first: those
    bootstrap from s_T, or from the episode's final state.

    Args:
      reward, discount, value, bootstrap, valid: as in `gae`.
      n: at least 1; 1 is TD(0), T or more is Monte Carlo.

    Returns:
      [T] f32; V(s_t) where not valid.

    Raises:
      ValueError: if n is below 1.
    """
    require(n >= 1, "n", "at least 1", n)
    reward, discount, value, bootstrap, valid = one_trajectory(
        reward, discount, value, bootstrap, valid
    )

    def longer(_, returns):  # the k-step returns of t from the (k-1)-step returns of t+1
        return jnp.where(valid, reward + discount * following(returns, bootstrap), value)

    return jax.lax.fori_loop(0, min(n, len(reward)), longer, value)


def n_step_transition(
    reward: jax.Array, discount: jax.Array, last: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns (reward, discount, index): n transitions of a replayed sequence as a single one.

        r_1 + d_1 r_2 + ... + (d_1 ... d_{h-1}) r_h,   d_1 ... d_h,   h

    Its target is the reward plus the discount times the value of row h: h = n, or less where the
    episode ended before, at row h. Where row 0 itself is an end, h = 0: no transition begins there.
    Sutton & Barto, 2018, section 7.1.

    Args:
      reward, discount: [n + 1] f32, on arriving at each of the n + 1 time steps; gamma included.
      last: [n + 1] bool, whether a time step ended its episode.

    Returns:
      [] f32, [] f32 and [] int32.
    """
    require_shape("reward", reward, (None,))
    require_equal_shapes(reward=reward, discount=discount, last=last)
    reward, discount, valid = trajectory_terms(reward, discount, last)
    within = jnp.cumprod(valid.astype(jnp.int32)) > 0  # no end before
    reward, discount = jnp.where(within, reward, 0.0), jnp.where(within, discount, 1.0)
    before = jnp.append(1.0, jnp.cumprod(discount)[:-1])
    return jnp.sum(before * reward), jnp.prod(discount), jnp.sum(within, dtype=jnp.int32)


def counterfactual_advantage(q: jax.Array, pi: jax.Array, action: jax.Array) -> jax.Array:
    """Returns how much better an agent's action was than its policy's average, all else equal.

        A(s, u) = Q(s, u) - sum_a pi(a) Q(s, (u_-i, a))

    COMA; Foerster et al., 2018, arXiv:1705.08926, eq. 4.

    Args:
      q: [..., A] f32, the joint-action value for each own action, the others' actions held.
      pi: [..., A] f32, the own policy's probabilities.
      action: [...] int32, the own action.

    Returns:
      [...] f32. Its mean under `pi` is 0.
    """
    q, pi = as_floats(q, pi)
    require_shape("pi", pi, q.shape)
    return chosen(q, action) - expectation(pi, q)


def standardise(x: jax.Array, mask: jax.Array | None = None, eps: float = 1e-5) -> jax.Array:
    """Returns `(x - mean) / (std + eps)` over the entries that count, 0 elsewhere.

    Args:
      x: [...] f32.
      mask: [...] bool, or None for all true.
      eps: [] f32 > 0, in units of x: keeps a constant x at 0.
    """
    x = as_float(x)
    if mask is not None:
        mask = jnp.asarray(mask).astype(bool)
        require_shape("mask", mask, x.shape)
        x = jnp.where(mask, x, 0.0)
    x = x - masked_mean(x, mask)
    variance = masked_mean(x**2, mask)
    # double where: the root has no slope at 0, where all entries are the same
    varied = variance > 0
    std = jnp.where(varied, jnp.sqrt(jnp.where(varied, variance, 1.0)), 0.0)
    scaled = x / (std + eps)
    return scaled if mask is None else jnp.where(mask, scaled, 0.0)


def explained_variance(value: jax.Array, target: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns how much of the targets' variance a prediction explains, [] f32.

        1 - Var(target - value) / Var(target)

    1 for a perfect prediction, 0 for one that says nothing, less for a misleading one; 0 where the
    targets do not vary, their deviation being below 1e-4.

    Args:
      value, target: [...] f32.
      mask: [...] bool, the entries that count.
    """
    value, target = as_floats(value, target)
    require_equal_shapes(value=value, target=target, mask=mask)
    mask = jnp.asarray(mask).astype(bool)
    centred = lambda x: jnp.where(mask, x - masked_mean(x, mask), 0.0)
    of_target = masked_mean(centred(target) ** 2, mask)
    of_error = masked_mean(centred(target - value) ** 2, mask)
    varies = of_target > 1e-8
    return jnp.where(varies, 1 - of_error / jnp.where(varies, of_target, 1.0), 0.0)
