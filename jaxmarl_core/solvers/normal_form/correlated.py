"""Correlated equilibria of N-player games, the best by an objective.

A referee draws a joint action and tells each player its part. If nobody gains by doing anything
else, whatever it is told, the distribution is a correlated equilibrium; if nobody gains by
deciding beforehand not to listen, a coarse one. Both are polytopes, and never empty.

Aumann, 1974, J. Math. Econ. 1; Moulin & Vial, 1978, Int. J. Game Theory 7 (coarse); the objectives
are those of CE-Q: Greenwald & Hall, 2003, ICML.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.solvers.normal_form import tableau as simplex
from jaxmarl_core.solvers.normal_form.dominance import survivors
from jaxmarl_core.solvers.normal_form.gradients import without_gradient
from jaxmarl_core.solvers.normal_form.mixtures import best_mixture
from jaxmarl_core.solvers.normal_form.precise import look_twice
from jaxmarl_core.solvers.normal_form.zero_sum import (
    as_given,
    legal_actions,
    outer_and,
    precision,
    result_type,
    sufficient,
)

Objective = str | int | Callable[[jax.Array], jax.Array]
OBJECTIVES = ("utilitarian", "egalitarian", "plutocratic", "dictatorial")


class CorrelatedSolution(NamedTuple):
    """A (coarse) correlated equilibrium."""

    joint: jax.Array  # [A_1, ..., A_N] f32, a distribution, exactly 0 where an action is masked
    values: jax.Array  # [N] f32
    residual: jax.Array  # [] f32, the most a player gains by one deviation, over its payoffs' range
    converged: jax.Array  # [] bool: neither that nor the dual bound's gap is above 1e-5


def correlated(
    payoffs: jax.Array,
    objective: Objective = "utilitarian",
    masks: Sequence[jax.Array | None] | None = None,
    coarse: bool = False,
    *,
    max_pivots: int | None = None,
) -> CorrelatedSolution:
    """Returns the correlated equilibrium that is best by an objective.

        sum_{a_-i} pi(a) (u_i(d, a_-i) - u_i(a)) <= 0   for all i, a_i and d

    "utilitarian" maximises the players' sum, "egalitarian" the least player's value, "plutocratic"
    the largest value that any player can have (in Greenwald & Hall's first paper: republican),
    "dictatorial" or a number that player's.

    Where several equilibria are equally good the sum of payoffs decides, then the payoff of player
    0, of player 1, and so on; a last tie is between joint actions that are worth the same to all,
    and goes to the lower index. "plutocratic" takes the first of several richest players. What
    counts as equal is what rounding cannot tell apart.

    Ranges are those of the payoffs that are left without strictly dominated actions. In correlated
    equilibria these are not played. In coarse ones they may be: there they are left out as
    deviations alone, and a joint action that costs somebody minus infinity is not played.

    Where equilibria are few and all but a point, single precision may miss the best; such games
    are solved again in double precision, whatever `jax_enable_x64` says. `converged` tells where
    that was not enough. Payoffs that are NaN have a solution of NaN. There are no derivatives.

    Args:
      payoffs: [N, A_1, ..., A_N] f32 or f64.
      objective: one of the names, a player's number, or a function from payoffs
        [N, A_1, ..., A_N] to the weights [A_1, ..., A_N] to maximise; static.
      masks: N times [A_i] bool or None; illegal actions are neither played nor deviated to.
      coarse: coarse correlated equilibria instead, a larger set; static.
      max_pivots: at most so many, static; None: plenty.
    """
    given = jax.lax.stop_gradient(as_given(payoffs))
    num_players, *sizes = given.shape
    require(num_players == len(sizes) >= 1, "payoffs", "[N, A_1, ..., A_N]", given.shape)
    dtype = result_type(given)
    found = look_twice(
        _correlated,
        given,
        tuple(legal_actions(sizes, masks)),
        objective=objective,
        coarse=coarse,
        max_pivots=max_pivots,
        share=sufficient(dtype),
        slack=5 * precision(dtype),
    )
    return without_gradient("correlated", payoffs, found)


def _correlated(
    payoffs, masks, objective, coarse, max_pivots, share, slack
) -> tuple[CorrelatedSolution, jax.Array]:
    """Returns the solution, and whether rounding may have spoilt it."""
    num_players, *sizes = payoffs.shape
    possible = outer_and(masks)
    payoffs = jnp.where(possible, payoffs, 0)  # what is illegal may be no number
    nan = jnp.any(jnp.isnan(payoffs))
    kept = _survivors(payoffs, masks)
    surviving = outer_and(kept)
    legal, targets = surviving, kept
    if coarse:
        legal = possible & ~jnp.any(jnp.isneginf(payoffs), axis=0)
        targets = _survivors(payoffs, masks, rounds=1)

    ranges = _ranges(payoffs, surviving)
    gains = [
        gain / spread for gain, spread in zip(deviation_gains(payoffs, targets, coarse), ranges)
    ]
    gains = jnp.concatenate([gain.reshape(-1, legal.size) for gain in gains])
    flat = legal.reshape(-1)
    gains = jnp.where(flat, gains, 0)
    finite = jnp.all(jnp.where(legal, jnp.isfinite(payoffs), True)) & legal.any()
    finite = finite & jnp.all(jnp.isfinite(gains)) & jnp.all(jnp.isfinite(ranges))
    base = jnp.where(surviving, payoffs, jnp.inf).min()
    payoffs = jnp.where(legal, payoffs, base)
    objectives, one_of = _objectives(payoffs, base, objective)
    payoffs = payoffs - base  # sums round to the payoffs' range, not to their size

    then = [payoffs.sum(0), *payoffs][: num_players + 1]
    args = (gains, flat)
    options = {"then": [x.reshape(-1) for x in then], "max_pivots": max_pivots, "slack": slack}
    if coarse:  # there what is dominated is left in
        options["size"] = jnp.max(gains, axis=0, initial=1)
    missed = partial(_missed, gains=gains, legal=flat, surviving=surviving.reshape(-1))
    if one_of:  # solve for each, and take the richest
        each = jax.vmap(lambda c: best_mixture(c[None], *args, **options))(objectives)
        worth = jnp.sum(objectives * each.probability, axis=1)
        reach = jnp.max(worth) - 1e-6 * jnp.max(ranges)
        taken = jnp.cumsum(worth >= reach) == 1
        taken = taken & (worth >= reach)
        joint = jnp.where(taken[:, None], each.probability, 0).sum(0)
        optimal, doubtful = jnp.all(each.status == simplex.OPTIMAL), each.doubtful.any()
        gap = jax.vmap(lambda c, found: missed(c[None], found))(objectives, each).max()
    else:
        found = best_mixture(objectives, *args, **options)
        joint, optimal = found.probability, found.status == simplex.OPTIMAL
        doubtful, gap = found.doubtful, missed(objectives, found)

    residual = jnp.max(gains @ joint, initial=0.0)
    values = base + jnp.where(joint > 0, payoffs.reshape(num_players, -1) * joint, 0).sum(1)
    converged = optimal & finite & (residual <= share) & (gap <= share)
    joint = jnp.where(nan, jnp.nan, joint).reshape(sizes)
    values = jnp.where(nan, jnp.nan, values)
    capped = jnp.bool_(False) if max_pivots is None else ~optimal & ~doubtful
    doubtful = (doubtful | ~converged) & possible.any() & ~nan & ~capped
    return CorrelatedSolution(joint, values, residual, converged), doubtful


def _missed(objectives, found, gains, legal, surviving):
    """Returns by how much a mixture misses its best, over the range of the objective, [].

    No distribution is worth more than the bound of any prices; and what constraints are violated by
    is worth no more than their prices.
    """
    worth = jnp.where(found.probability > 0, objectives * found.probability, 0).sum(1).min()
    bound = found.weights @ objectives - found.prices @ gains
    bound = jnp.where(legal, bound, -jnp.inf).max()
    owed = found.prices @ jnp.maximum(gains @ found.probability, 0)
    high = jnp.where(surviving, objectives, -jnp.inf).max()
    spread = high - jnp.where(surviving, objectives, jnp.inf).min()
    return jnp.maximum(bound - worth, owed) / jnp.where(spread > 0, spread, 1)


def _survivors(payoffs, masks, rounds=None):
    """Returns what elimination of dominated actions leaves of one game, N times [A_i] bool."""
    one = [mask[..., None] for mask in masks]
    return tuple(kept[..., 0] for kept in survivors(payoffs[..., None], one, rounds))


def deviation_gains(
    payoffs: jax.Array, masks: Sequence[jax.Array], coarse: bool
) -> list[jax.Array]:
    """Returns for each player what its deviations gain, 0 where it does not apply or is illegal.

    Args:
      payoffs: [N, A_1, ..., A_N] f32.
      masks: N times [A_i] bool.
      coarse: whether the player deviates before it is told its action.

    Returns:
      N times [A_i, A_1, ..., A_N] f32, from anything to the first index, if coarse; else
      [A_i, A_i, A_1, ..., A_N], from the first to the second.
    """
    gains = []
    for player, (payoff, mask) in enumerate(zip(payoffs, masks)):
        own = jnp.expand_dims(jnp.moveaxis(payoff, player, 0), player + 1)  # [A_i, ..., 1, ...]
        gain = jnp.where(mask.reshape(-1, *[1] * payoff.ndim), own - payoff, 0)
        if not coarse:
            told = jnp.eye(len(mask), dtype=bool)
            told = told.reshape(
                len(mask), 1, *[len(mask) if i == player else 1 for i in range(payoff.ndim)]
            )
            gain = jnp.where(told, gain, 0)
        gains.append(gain)
    return gains


def _objectives(
    payoffs: jax.Array, base: jax.Array, objective: Objective
) -> tuple[jax.Array, bool]:
    """Returns objectives [K, joint actions], and whether the best of them counts, not the least.

    A name's and a player's are of payoffs less `base`, which changes nothing.
    """
    players = (payoffs - base).reshape(payoffs.shape[0], -1)
    if callable(objective):
        weights = jnp.asarray(objective(payoffs), payoffs.dtype)
        expected = payoffs.shape[1:]
        require(weights.shape == expected, "objective", f"weights {expected}", weights.shape)
        return weights.reshape(1, -1), False
    if isinstance(objective, int):
        inside = 0 <= objective < len(players)
        require(inside, "objective", f"a player below {len(players)}", objective)
        return players[objective][None], False
    if objective not in OBJECTIVES:
        raise ValueError(unknown("objective", objective, OBJECTIVES))
    if objective == "dictatorial":
        return players[:1], False
    if objective == "utilitarian":
        return players.sum(0)[None], False
    return players, objective == "plutocratic"


def _ranges(payoffs: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns the range of each player's payoffs, [N] f32, 1 where constant."""
    axes = tuple(range(1, payoffs.ndim))
    high = jnp.where(legal, payoffs, -jnp.inf).max(axes)
    spread = high - jnp.where(legal, payoffs, jnp.inf).min(axes)
    return jnp.where(spread > 0, spread, 1)
