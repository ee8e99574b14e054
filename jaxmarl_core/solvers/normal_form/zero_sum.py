"""Two-player zero-sum games: the value, and a strategy of each player that secures it.

The column player's linear program, on payoffs M shifted and scaled to [1, 2],

    maximise sum_b y_b   such that   M y <= 1, y >= 0

starts feasible at y = 0 and is solved by the simplex method; the row player's strategy are the
program's prices. What is found is checked against the payoffs as given, counted from one that is
played, so that single precision loses nothing of what is at stake. What fails is solved again in
double precision: strictly dominated actions are then left out beforehand, so that nothing forbidden
sets the scale, and as the inverse of the final basis stands in the tableau, a step of iterative
refinement wipes out the rounding of all pivots. What fails once more is not flagged solved.

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
from jaxmarl_core.solvers.normal_form.dominance import survivors
from jaxmarl_core.solvers.normal_form.gradients import envelope, without_gradient
from jaxmarl_core.solvers.normal_form.lanes import over_lanes
from jaxmarl_core.solvers.normal_form.precise import look_twice

RARELY = 1e-4  # what is played with a lower probability tells little about the payoffs' range


class ZeroSumSolution(NamedTuple):
    """What a zero-sum game is worth, and how to play it.

    `gap` is what the two strategies leave to be gained against each other, the row player's gain
    plus the column player's (NashConv): a certificate that does not depend on how they were found,
    computed from the payoffs as given.
    """

    value: jax.Array  # [] f32, to the row player
    row: jax.Array  # [A] f32, sums to 1, exactly 0 where masked
    column: jax.Array  # [B] f32, likewise
    gap: jax.Array  # [] f32, in units of payoff
    converged: jax.Array  # [] bool: the gap is below 1e-5 of the undominated payoffs' range


def precision(dtype: jnp.dtype) -> float:
    """Returns the share of the payoffs' range that passes for rounding: 1e-4 in f32, or 1e-9."""
    return 1e-4 if jnp.finfo(dtype).bits < 64 else 1e-9


def sufficient(dtype: jnp.dtype) -> float:
    """Returns the share of the range that strategies flagged solved may gain: 5e-6, or 1e-9.

    In single precision half of what is promised, since strategies are rounded once more.
    """
    return 5e-6 if jnp.finfo(dtype).bits < 64 else 1e-9


def full_mask(mask: jax.Array | None, size: int, name: str = "mask") -> jax.Array:
    """Returns the mask [size], all true if there is none."""
    if mask is None:
        return jnp.ones(size, bool)
    legal = jnp.asarray(mask, bool)
    require(legal.shape == (size,), name, f"shape [{size}]", legal.shape)
    return legal


def as_floating(x: jax.Array) -> jax.Array:
    """Returns the array in a floating type of at least 32 bits, without a gradient."""
    x = jnp.asarray(x)
    return jax.lax.stop_gradient(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


def as_given(x: jax.Array) -> jax.Array:
    """Returns the same, but leaves integers be which single precision may not hold."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.integer) and jnp.iinfo(x.dtype).bits > 16:
        return x  # solved in double precision
    return as_floating(x)


def result_type(payoffs: jax.Array) -> jnp.dtype:
    """Returns the floating type in which a solver answers: f64 for f64, else f32."""
    return jnp.promote_types(payoffs.dtype, jnp.float32)


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
    of the actions. The value's derivative by the payoffs is `row column'`, in reverse mode; the
    strategies have none, and to ask for it is an error.

    A forbidden action may be masked, or cost an infinity or a lowest number throughout: dominated
    actions are not used. Where `converged` is false the strategies are what there was, valid
    distributions nonetheless. A game with infinite payoffs that are not dominated has value NaN and
    uniform strategies; one whose payoffs are NaN has strategies of NaN; one without a legal action
    for somebody has value NaN and strategies of zeros.

    Args:
      payoff: [A, B] f32, f64 or integers, to the row player, who maximises.
      row_mask: [A] bool, true where legal; None: all are.
      column_mask: [B] bool, likewise.
      max_pivots: at most so many, static; by default 4 (A + B) + 10, more than we have ever seen.
    """
    payoff = jnp.asarray(payoff)
    require(payoff.ndim == 2, "payoff", "a matrix [A, B]", f"shape {payoff.shape}")
    rows, columns = payoff.shape
    row_mask = full_mask(row_mask, rows, "row_mask")
    column_mask = full_mask(column_mask, columns, "column_mask")
    if max_pivots is None:
        max_pivots = 4 * (rows + columns) + 10
    given = as_given(payoff)
    options = {"max_pivots": max_pivots, "share": sufficient(result_type(given))}
    found = look_twice(_solution, jax.lax.stop_gradient(given), row_mask, column_mask, **options)
    if not jnp.issubdtype(payoff.dtype, jnp.floating):
        return found
    value = envelope(payoff, found.value, found.row, found.column)
    _, *others = without_gradient("zero_sum", payoff, ((), *found[1:]))
    return ZeroSumSolution(value, *others)


def _solution(payoff, row_mask, column_mask, **options) -> tuple[ZeroSumSolution, jax.Array]:
    """Returns the solution of one game, and whether it is in doubt; see `solutions`."""
    solve = over_lanes(partial(solutions, **options), entries=payoff.size)
    return solve(payoff, row_mask, column_mask)


def solutions(
    payoff, row_mask, column_mask, max_pivots, share
) -> tuple[ZeroSumSolution, jax.Array]:
    """Returns the solutions of many games, and which of them are in doubt [games].

    Only a second look, in double precision, looks for dominated actions: in ordinary games it would
    cost more than it brings, and in others the certificate fails without.
    """
    rows, columns, games = payoff.shape
    kept = row_mask, column_mask
    if payoff.dtype == jnp.float64:
        kept = survivors((payoff, -payoff), kept)
    legal = kept[0][:, None] & kept[1][None]
    low = jnp.where(legal, payoff, jnp.inf).min((0, 1))
    high = jnp.where(legal, payoff, -jnp.inf).max((0, 1))
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    scale = jnp.where(high > low, high - low, 1)
    shifted = jnp.where(legal, (payoff - low) / scale + 1, 0)  # [1, 2]

    ones = jnp.ones((rows, games), payoff.dtype)
    start = simplex.tableau(shifted, [ones], [kept[1].astype(payoff.dtype)])
    last, status = simplex.maximise(start, max_pivots)
    row = simplex.prices(last, columns, rows)
    column = simplex.solution(last, 0, columns)
    if payoff.dtype == jnp.float64:  # the first look does without: that is checked below
        row, column = _refined(last, shifted, row, column)
    row, column = (
        _distribution(jnp.where(finite, weight, 0), jnp.where(finite, left, mask))
        for weight, left, mask in ((row, kept[0], row_mask), (column, kept[1], column_mask))
    )
    value, gap, surviving = _certificate(payoff, row, column, *kept)
    # A column without a row to leave, in a bounded program, is a cost that is only rounding.
    settled = (status == simplex.OPTIMAL) | (status == simplex.UNBOUNDED)
    if payoff.dtype == jnp.float64:
        surviving = high - low
    # Where one cell is played nothing else survives, and its probability may be 1 less a rounding;
    # payoffs that are not the same differ by far more than the square of that.
    rounding = 16 * jnp.finfo(payoff.dtype).eps ** 2 * jnp.abs(value)
    converged = settled & (gap <= share * surviving + rounding) & finite
    nan = jnp.where(jnp.isnan(low), jnp.nan, 0)
    value = jnp.where(finite, value, jnp.nan)
    found = ZeroSumSolution(value, row + nan, column + nan, gap, converged)
    # Infinite payoffs may be those of forbidden actions.
    infinite = row_mask.any(0) & column_mask.any(0) & ~jnp.isnan(low)
    return found, ~converged & (finite | infinite)


def _certificate(payoff, row, column, row_kept, column_kept):
    """Returns value, gap, and a bound from below on the range of undominated payoffs, [games].

    Payoffs are counted from what is played on average, a difference that is rounded by its own size
    alone: so what is not played, be it worth -1e9, adds nothing to the rounding of what is.

    The bound is the largest |payoff - value| of what is played; of a cell played less often than
    `RARELY` a part. A dominated action of payoff -R that is played with probability p leaves pR to
    be gained, far more than a small share of that part, pR / RARELY, and so does not pass by it.
    """
    legal = row_kept[:, None] & column_kept[None]
    chance = row[:, None] * column[None]
    about = jnp.where(legal & (chance > 0), payoff * chance, 0).sum((0, 1))
    beyond = jnp.where(legal, payoff - about, 0)
    against_column = (beyond * column[None]).sum(1)  # [A, games]
    against_row = (beyond * row[:, None]).sum(0)  # [B, games]
    value = (row * against_column).sum(0)
    best = jnp.where(row_kept, against_column, -jnp.inf).max(0)
    worst = jnp.where(column_kept, against_row, jnp.inf).min(0)
    played = jnp.minimum(chance / RARELY, 1)
    surviving = (jnp.abs(beyond - value) * played).max((0, 1))
    return about + value, jnp.maximum(best - worst, 0), surviving


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

    Littman, 2001, ICML, eq. 7. As there, friends correlate: pi is over their joint actions. The
    value has a derivative as that of `zero_sum` has; strategies have none.

    Args:
      payoff: [A_1, ..., A_N] f32, to the player; it is one of its friends.
      friends: who they are, static, distinct; the others are foes. All: the largest payoff.
      masks: N times [A_i] bool or None; None: every action is legal.
      max_pivots: at most so many, static.
    """
    payoff = jnp.asarray(payoff)
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
