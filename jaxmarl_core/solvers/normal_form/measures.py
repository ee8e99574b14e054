"""How far play is from equilibrium: what players could gain, and what they have.

Independent strategies are measured by what a best reply gains: nothing in a Nash equilibrium. Joint
play, a distribution over joint actions or the frequencies of a history, by regret, what a
player would have gained by playing one action throughout (external), or another one wherever it
played a certain action (internal), or by any rule of exchanging actions (swap). No external regret
for anybody is a coarse correlated equilibrium, no internal or swap regret a correlated one.

Hart & Mas-Colell, 2000, Econometrica 68; Blum & Mansour, 2007, JMLR 8, for swap regret.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional.projections import expectation
from jaxmarl_core.functional.shapes import as_floats, require_shape
from jaxmarl_core.solvers.normal_form.responses import Masks, best_response, legal_payoffs

REGRETS = ("external", "internal", "swap")


def joint_play(strategies: Sequence[jax.Array]) -> jax.Array:
    """Returns the distribution over joint actions of independent strategies.

    Args:
      strategies: N times [..., A_i] f32.

    Returns:
      [..., A_1, ..., A_N] f32. The mean over a leading axis of time is a history's average play.
    """
    strategies = as_floats(*strategies)
    for number, strategy in enumerate(strategies):
        require(strategy.ndim > 0, f"strategies[{number}]", "shape [..., A]", strategy.shape)
        leading = strategies[0].shape[:-1]
        require_shape(f"strategies[{number}]", strategy, (*leading, None))
    joint = jnp.ones(strategies[0].shape[:-1], strategies[0].dtype)
    for number, strategy in enumerate(strategies):
        lead = strategy.shape[:-1]
        joint = joint[..., None] * strategy.reshape(*lead, *[1] * number, strategy.shape[-1])
    return joint


def empirical_play(history: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """Returns how often each joint action was played.

    Args:
      history: [T, N] integers, the actions played.
      sizes: A_1, ..., A_N, static.

    Returns:
      [A_1, ..., A_N] f32, sums to 1.
    """
    history, sizes = jnp.asarray(history), tuple(sizes)
    fits = history.ndim == 2 and history.shape[1] == len(sizes) and history.shape[0] > 0
    require(fits, "history", f"shape [T, {len(sizes)}]", history.shape)
    played = [jax.nn.one_hot(actions, size) for actions, size in zip(history.T, sizes)]
    return joint_play(played).mean(0)


def expected_payoffs(payoffs: jax.Array, joint: jax.Array, masks: Masks = None) -> jax.Array:
    """Returns what joint play [A_1, ..., A_N] is worth to each player, [N] f32."""
    payoffs, _ = legal_payoffs(payoffs, masks)
    joint = _checked(payoffs, joint)
    return expectation(joint.reshape(-1), payoffs.reshape(len(payoffs), -1))


def social_welfare(payoffs: jax.Array, joint: jax.Array, masks: Masks = None) -> jax.Array:
    """Returns what joint play [A_1, ..., A_N] is worth to all players together, [] f32."""
    return jnp.sum(expected_payoffs(payoffs, joint, masks))


def deviation_gain(
    payoffs: jax.Array, strategies: Sequence[jax.Array], masks: Masks = None
) -> jax.Array:
    """Returns what each player gains by a best reply, [N] f32.

        max_a u_i(a, pi_-i) - u_i(pi)

    The largest is the epsilon of an epsilon-equilibrium. Differentiable by payoffs and strategies,
    where a player has one best reply; else its derivative is the mean of theirs.

    Args:
      payoffs: [N, A_1, ..., A_N] f32.
      strategies: N times [A_i] f32, 0 where illegal.
      masks: N times [A_i] bool or None; None: every action is legal.
    """
    gains = []
    for player, strategy in enumerate(strategies):
        reply = best_response(payoffs, strategies, player, masks)
        # an action that is not played has a worth, and so the gain a slope in its probability
        gain = reply.value - expectation(jnp.asarray(strategy), reply.worth)
        # below 0 by rounding alone, and there it has a slope, too
        gains.append(gain - jax.lax.stop_gradient(jnp.minimum(gain, 0)))
    return jnp.stack(gains)


def nash_conv(
    payoffs: jax.Array, strategies: Sequence[jax.Array], masks: Masks = None
) -> jax.Array:
    """Returns the sum of what all players gain by best replies, [] f32; 0 in an equilibrium.

    Lanctot et al., 2017, NeurIPS. Arguments as of `deviation_gain`.
    """
    return jnp.sum(deviation_gain(payoffs, strategies, masks))


def exploitability(
    payoffs: jax.Array, strategies: Sequence[jax.Array], masks: Masks = None
) -> jax.Array:
    """Returns the mean of what players gain by best replies, [] f32.

    In a two-player zero-sum game: how much less than the value a strategy secures, mean of both.
    """
    return nash_conv(payoffs, strategies, masks) / len(strategies)


def regret(
    payoffs: jax.Array, joint: jax.Array, kind: str = "external", masks: Masks = None
) -> jax.Array:
    """Returns each player's regret of joint play, a step, [N] f32.

        G(a, d) = sum over a_-i of joint(a, a_-i) (u_i(d, a_-i) - u_i(a, a_-i))
        external: max_d sum_a G(a, d)    internal: max_{a, d} G(a, d)    swap: sum_a max_d G(a, d)

    Args:
      payoffs: [N, A_1, ..., A_N] f32.
      joint: [A_1, ..., A_N] f32, a distribution, 0 where illegal: see `empirical_play` for a
        history of actions, `joint_play` for one of strategies.
      kind: "external", which may be negative where players correlate, "internal" or "swap"; static.
      masks: N times [A_i] bool or None; illegal actions are not deviated to.
    """
    payoffs, masks = legal_payoffs(payoffs, masks)
    joint = _checked(payoffs, joint)
    if kind not in REGRETS:
        raise ValueError(unknown("kind", kind, REGRETS))
    each = []
    for player, mask in enumerate(masks):
        worth = jnp.moveaxis(payoffs[player], player, 0).reshape(len(mask), -1)
        played = jnp.moveaxis(joint, player, 0).reshape(len(mask), -1)
        gain = _worth_of_each(played, worth) - expectation(played, worth)[:, None]  # [a, d]
        if kind == "external":
            each.append(jnp.where(mask, gain.sum(0), -jnp.inf).max())
            continue
        gain = jnp.where(mask, gain, -jnp.inf)
        gain = jnp.maximum(gain, 0)  # it may do as it is told
        each.append(gain.max() if kind == "internal" else gain.max(1).sum())
    return jnp.stack(each)


def correlated_gap(
    payoffs: jax.Array, joint: jax.Array, masks: Masks = None, coarse: bool = False
) -> jax.Array:
    """Returns how far joint play is from a (coarse) correlated equilibrium, [] f32, in payoff.

    The most that any player gains by disobeying as it likes (swap regret), or, coarse, by one
    action decided beforehand (external regret); 0 in an equilibrium and nowhere else.
    """
    kind = "external" if coarse else "swap"
    return jnp.maximum(jnp.max(regret(payoffs, joint, kind, masks)), 0)


def _worth_of_each(played, worth):
    """What action d would be worth where a was played, [a, d]; infinities count if they happen."""
    total = jnp.matmul(played, jnp.where(jnp.isinf(worth), 0, worth).T, precision="highest")
    possible = (played > 0).astype(worth.dtype)
    for infinity in (jnp.inf, -jnp.inf):
        met = jnp.matmul(possible, (worth == infinity).astype(worth.dtype).T) > 0
        total = total + jnp.where(met, infinity, 0)
    return total


def _checked(payoffs, joint):
    joint = jnp.asarray(joint)
    require(joint.shape == payoffs.shape[1:], "joint", str(payoffs.shape[1:]), joint.shape)
    return joint
