"""Two-player zero-sum games: the value, and a strategy of each player that secures it.

The column player's linear program, on payoffs M shifted and scaled to [1, 2],

    maximise sum_b y_b   such that   M y <= 1, y >= 0

starts feasible at y = 0 and is solved by the simplex method; the row player's strategy are the
program's prices. The inverse of the final basis stands in the tableau, so that a step of iterative
refinement against the payoffs as given wipes out the rounding of all pivots.

Dantzig, 1951, in Koopmans, *Activity Analysis of Production and Allocation*, ch. 20.
"""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.normal_form import tableau as simplex
from jaxmarl_core.solvers.normal_form.lanes import over_lanes


class ZeroSumSolution(NamedTuple):
    """What a zero-sum game is worth, and how to play it.

    `gap` is what the two strategies leave to be gained against each other, the row player's gain
    plus the column player's (NashConv): a certificate that does not depend on how they were found.
    """

    value: jax.Array  # [] f32, to the row player
    row: jax.Array  # [A] f32, sums to 1, exactly 0 where masked
    column: jax.Array  # [B] f32, likewise
    gap: jax.Array  # [] f32, in units of payoff
    converged: jax.Array  # [] bool: an optimal basis was reached, and the gap is rounding


def precision(dtype: jnp.dtype) -> float:
    """Returns the share of the payoffs' range that passes for rounding: 1e-4 in f32, or 1e-9."""
    return 1e-4 if jnp.finfo(dtype).bits < 64 else 1e-9


def full_mask(mask: jax.Array | None, size: int) -> jax.Array:
    """Returns the mask [size], all true if there is none."""
    return jnp.ones(size, bool) if mask is None else jnp.asarray(mask, bool)


def as_floating(x: jax.Array) -> jax.Array:
    """Returns the array in a floating type of at least 32 bits, without a gradient."""
    x = jnp.asarray(x)
    return jax.lax.stop_gradient(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


def zero_sum(
    payoff: jax.Array,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    *,
    max_pivots: int | None = None,
) -> ZeroSumSolution:
    """Returns the value of a game and a maximin strategy of each player.

        value = max_x min_y x' payoff y

    Of several equilibria it is the vertex at which Dantzig's rule stops, the smallest index going
    first among equals: deterministic, and where the equilibrium is unique, independent of the order
    of the actions. Not differentiable; the value's derivative by the payoff is `row column'` where
    the equilibrium is unique.

    Where no optimal basis was reached `converged` is false, and the strategies are what there was,
    valid distributions nonetheless. A game without finite payoffs has value NaN and uniform
    strategies; one without a legal action for somebody has value NaN and strategies of zeros.

    Args:
      payoff: [A, B] f32 or f64, to the row player, who maximises.
      row_mask: [A] bool, true where legal; None: all are.
      column_mask: [B] bool, likewise.
      max_pivots: at most so many, static; by default 4 (A + B) + 10, more than we have ever seen.
    """
    payoff = as_floating(payoff)
    require(payoff.ndim == 2, "payoff", "a matrix [A, B]", f"shape {payoff.shape}")
    rows, columns = payoff.shape
    if max_pivots is None:
        max_pivots = 4 * (rows + columns) + 10
    solve = over_lanes(partial(_zero_sum, max_pivots=max_pivots), entries=rows * columns)
    return solve(payoff, full_mask(row_mask, rows), full_mask(column_mask, columns))


def _zero_sum(payoff, row_mask, column_mask, max_pivots) -> ZeroSumSolution:
    rows, columns, games = payoff.shape
    legal = row_mask[:, None] & column_mask[None]
    low = jnp.where(legal, payoff, jnp.inf).min((0, 1))
    spread = jnp.where(legal, payoff, -jnp.inf).max((0, 1)) - low
    scale = jnp.where(spread > 0, spread, 1)
    scale = jnp.where(jnp.isfinite(spread), scale, jnp.nan)  # then nothing is
    unit = jnp.where(legal, (payoff - low) / scale, 0)  # [0, 1]
    shifted = jnp.where(legal, unit + 1, 0)

    ones = jnp.ones((rows, games), payoff.dtype)
    start = simplex.tableau(shifted, [ones], [column_mask.astype(payoff.dtype)])
    last, status = simplex.maximise(start, max_pivots)
    row = simplex.prices(last, columns, rows)
    column = simplex.solution(last, 0, columns)
    row, column = _refined(last, shifted, row, column)
    row, column = _distribution(row, row_mask), _distribution(column, column_mask)

    against_column = (unit * column[None]).sum(1)  # [A, games]
    against_row = (unit * row[:, None]).sum(0)  # [B, games]
    value = (row * against_column).sum(0)
    best = jnp.where(row_mask, against_column, -jnp.inf).max(0)
    worst = jnp.where(column_mask, against_row, jnp.inf).min(0)
    gap = jnp.maximum(best - worst, 0)
    # A column without a row to leave, in a bounded program, is a cost that is only rounding.
    settled = (status == simplex.OPTIMAL) | (status == simplex.UNBOUNDED)
    converged = settled & (gap <= precision(payoff.dtype)) & jnp.isfinite(spread)
    return ZeroSumSolution(low + scale * value, row, column, scale * gap, converged)


def _refined(t: simplex.Tableau, matrix, row, column):
    """One step of iterative refinement of `matrix column = 1 = matrix' row` on the final basis."""
    rows, columns = matrix.shape[:2]
    slack = 1 - (matrix * column[None]).sum(1)  # of the rows; 0 where tight
    price = 1 - (matrix * row[:, None]).sum(0)
    tight = t.nonbasic[None] == columns + jnp.arange(rows, dtype=jnp.int32)[:, None, None]
    played = t.basic[None] == jnp.arange(columns, dtype=jnp.int32)[:, None, None]
    slack = jnp.where(tight, slack[:, None], 0).sum(0)  # [n, games], in the tableau's order
    price = jnp.where(played, price[:, None], 0).sum(0)  # [m, games]
    column_step = (t.body * slack[None]).sum(1)
    row_step = (t.body * price[:, None]).sum(0)
    column = column + jnp.where(played, column_step[None], 0).sum(1)
    row = row + jnp.where(tight, row_step[None], 0).sum(1)
    return row, column


def _distribution(weight, mask):
    """Returns weights [A, games] cut at 0 and normalised; uniform where there is nothing left."""
    weight = jnp.where(mask, jnp.maximum(weight, 0), 0)
    total = weight.sum(0)
    usable = (total > 0) & jnp.isfinite(total)
    weight = jnp.where(usable, weight, mask)
    return weight / jnp.maximum(jnp.where(usable, total, mask.sum(0)), 1e-30)


class FriendOrFoeSolution(NamedTuple):
    """A group's common maximin strategy against its foes."""

    value: jax.Array  # [] f32
    friends: jax.Array  # [A_i for each friend] f32, a distribution over their joint actions
    foes: jax.Array  # [A_j for each foe] f32, likewise; [] 1 without foes
    gap: jax.Array  # [] f32, as in ZeroSumSolution
    converged: jax.Array  # [] bool


def friend_or_foe(
    payoff: jax.Array,
    friends: Sequence[int],
    masks: Sequence[jax.Array | None] | None = None,
    *,
    max_pivots: int | None = None,
) -> FriendOrFoeSolution:
    """Returns what a player can count on, if its friends help it and its foes conspire.

        value = max over pi in D(A_friends) of min over foes' actions o of sum_a pi(a) payoff(a, o)

    Littman, 2001, ICML, eq. 7. As there, friends correlate: pi is over their joint actions.

    Args:
      payoff: [A_1, ..., A_N] f32, to the player; it is one of its friends.
      friends: who they are, static, distinct; the others are foes. All: the largest payoff.
      masks: N times [A_i] bool or None; None: every action is legal.
      max_pivots: at most so many, static.
    """
    payoff = as_floating(payoff)
    players = range(payoff.ndim)
    friends = tuple(sorted(friends))
    known = bool(friends) and set(friends) <= set(players) and len(set(friends)) == len(friends)
    require(known, "friends", f"distinct players among {list(players)}, at least one", friends)
    foes = tuple(i for i in players if i not in friends)
    masks = legal_actions(payoff.shape, masks)

    sizes = [tuple(payoff.shape[i] for i in side) for side in (friends, foes)]
    legal = [outer_and([masks[i] for i in side]).reshape(-1) for side in (friends, foes)]
    matrix = payoff.transpose(*friends, *foes).reshape(prod(sizes[0]), prod(sizes[1]))
    solved = zero_sum(matrix, *legal, max_pivots=max_pivots)
    return FriendOrFoeSolution(
        solved.value,
        solved.row.reshape(sizes[0]),
        solved.column.reshape(sizes[1]),
        solved.gap,
        solved.converged,
    )


def legal_actions(
    shape: Sequence[int], masks: Sequence[jax.Array | None] | None
) -> tuple[jax.Array, ...]:
    """Returns a mask [A_i] for each player, all true where there is none."""
    masks = [None] * len(shape) if masks is None else list(masks)
    require(len(masks) == len(shape), "masks", f"one for each of {len(shape)} players", len(masks))
    return tuple(full_mask(mask, size) for mask, size in zip(masks, shape))


def outer_and(masks: Sequence[jax.Array]) -> jax.Array:
    """Returns [A_1, ..., A_N] bool, true where every player's action is legal; [] true for none."""
    joint = jnp.ones((), bool)
    for mask in masks:
        joint = joint[..., None] & mask
    return joint
