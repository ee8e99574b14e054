"""What the solvers of bimatrix games return, and how they look at payoffs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.normal_form.dominance import survivors
from jaxmarl_core.solvers.normal_form.zero_sum import RARELY, as_given, full_mask


class Equilibria(NamedTuple):
    """Equilibria of one game in a fixed number of rows; a row that is not `valid` holds zeros."""

    row: jax.Array  # [K, A] f32, mixed strategies of the row player
    column: jax.Array  # [K, B] f32, of the column player
    values: jax.Array  # [K, 2] f32, what they are worth to both
    regret: jax.Array  # [K] f32, the most that a player gains by another action
    valid: jax.Array  # [K] bool; the valid rows come first
    count: jax.Array  # [] int32, how many there are; above K: the rest was left out


class Equilibrium(NamedTuple):
    """One equilibrium. Where `solved` is false the strategies are zeros and the values NaN.

    If payoffs are NaN the strategies are, too.
    """

    strategies: tuple[jax.Array, jax.Array]  # [A] and [B] f32
    values: jax.Array  # [2] f32
    regret: jax.Array  # [] f32, the most that a player gains by another action
    solved: jax.Array  # [] bool: the regret is below 1e-5 of the undominated payoffs' range
    complete: jax.Array  # [] bool: it was selected from all that were found, none was left out


class Game(NamedTuple):
    """A bimatrix game ready to be solved: same best replies, differences of at most 1."""

    replies: tuple[jax.Array, jax.Array]
    # [A, B] and [B, A] f32: [own action, other's action] -> the other's payoff less its best
    # reply's, in units of the largest such loss; in [-1, 0]
    losses: tuple[jax.Array, jax.Array]  # the same in units of payoff
    best: tuple[jax.Array, jax.Array]  # [B], [A] f32, what the best replies are worth to both
    legal: tuple[jax.Array, jax.Array]  # [A], [B] bool
    payoffs: jax.Array  # [2, A, B] f32, as given; 0 where not legal
    finite: jax.Array  # [] bool, whether all legal payoffs are
    nan: jax.Array  # [] f32, NaN if a legal payoff is, else 0


def checked(payoffs, row_mask, column_mask):
    """Returns payoffs [2, A, B] as they were given, without a gradient, and both masks.

    Args:
      payoffs: [2, A, B]; to the row and to the column player.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are.

    Raises:
      ValueError: if a shape does not fit.
    """
    payoffs = jnp.asarray(payoffs)
    fits = payoffs.ndim == 3 and payoffs.shape[0] == 2 and 0 not in payoffs.shape
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    rows, columns = payoffs.shape[1:]
    masks = full_mask(row_mask, rows, "row_mask"), full_mask(column_mask, columns, "column_mask")
    return jax.lax.stop_gradient(as_given(payoffs)), *masks


def game(payoffs, rows, columns) -> Game:
    """Returns the game in the solvers' units.

    What is added to a player's payoffs against one action of the other changes no equilibrium, so
    best replies are told from losses alone: a game of payoffs near 1e4 keeps its unit differences.

    Dominated actions are left out in double precision, that is by whoever looks twice: in ordinary
    games it would cost more than it brings, and in others the certificate fails without.

    Args:
      payoffs: [2, A, B] f32 or f64; to the row and to the column player.
      rows, columns: [A] and [B] bool, true where legal.
    """
    if payoffs.dtype == jnp.float64:
        one = jax.tree.map(lambda x: x[..., None], ((payoffs[0], payoffs[1]), (rows, columns)))
        rows, columns = (kept[..., 0] for kept in survivors(*one))
    legal = rows[:, None] & columns
    payoffs = jnp.where(legal, payoffs, 0)
    finite = jnp.all(jnp.isfinite(payoffs))
    nan = jnp.where(jnp.any(jnp.isnan(payoffs)), jnp.nan, 0).astype(payoffs.dtype)
    to_column, row_best = _losses(payoffs[0].T, columns, rows)
    to_row, column_best = _losses(payoffs[1], rows, columns)
    replies = _in_units(to_row), _in_units(to_column)
    return Game(
        replies, (to_row, to_column), (row_best, column_best), (rows, columns), payoffs, finite, nan
    )


def _losses(payoffs, own, other):
    """What replies lose [own, other], and what the best ones are worth [own]."""
    best = jnp.max(jnp.where(other, payoffs, -jnp.inf), axis=1)
    losses = payoffs - best[:, None]
    best = jnp.where(own & jnp.any(other), best, 0)
    return jnp.where(own[:, None] & other, losses, 0), best


def _in_units(losses):
    unit = jnp.max(-losses)
    return losses / jnp.where(unit > 0, unit, 1)


def default_tolerance(dtype) -> float:
    """Returns what counts as zero in a solver's units: 1e-5 in single precision, 1e-9 in double."""
    return 1e-9 if dtype == jnp.float64 else 1e-5


def certificate(solving: Game, row, column, share: float):
    """Returns both players' values [K, 2], the most either gains by another action [K], and flags.

    A flag [K] is true where nobody gains more than a share of the range of its payoffs. In single
    precision that range is bounded from below by what a played action loses in the mean against the
    best reply to each of the other's, as in zero_sum.py. Gains are computed from losses, which are
    rounded by their own size alone; values from what the best replies are worth, less that.

    Args:
      solving: the game.
      row, column: [K, A] and [K, B], strategies.
      share: of the range.
    """
    gains, values, enough = [], [], solving.finite
    row, column = row.T, column.T  # sums over a last axis of a few actions would be slow
    rows, columns = solving.legal
    for own, other, losses, best, legal, payoffs in (
        (row, column, solving.losses[1], solving.best[0], rows, solving.payoffs[0]),
        (column, row, solving.losses[0], solving.best[1], columns, solving.payoffs[1]),
    ):
        worth = jnp.einsum("ba,bk->ak", losses, other, precision="highest")
        lost = jnp.sum(own * worth, axis=0)
        most = jnp.max(jnp.where(legal[:, None], worth, -jnp.inf), axis=0)
        gain = jnp.maximum(most - lost, 0)
        spread = jnp.max(-worth * jnp.minimum(own / RARELY, 1), axis=0)
        if worth.dtype == jnp.float64:
            cells = rows[:, None] & columns
            spread = jnp.max(jnp.where(cells, payoffs, -jnp.inf))
            spread = spread - jnp.min(jnp.where(cells, payoffs, jnp.inf))
        gains.append(gain)
        values.append(jnp.sum(other * best[:, None], axis=0) + lost)
        enough = enough & (gain <= share * spread)
    return jnp.stack(values, axis=1), jnp.maximum(*gains), enough


def certified(solving: Game, row, column, valid, count, share: float):
    """Returns the record of strategies [K, A] and [K, B], and whether it is in doubt [].

    Zeros where they are not valid; and in double precision, where that is final, what could gain
    too much is no longer valid, and those that are come first.
    """
    values, regret, enough = certificate(solving, row, column, share)
    valid, count = valid & solving.finite, jnp.where(solving.finite, count, 0)
    lost = valid & ~enough
    doubt = jnp.any(lost) | ~jnp.any(valid)
    if row.dtype == jnp.float64:
        count = count - jnp.sum(lost)
        order = jnp.argsort(~(valid & enough), stable=True)
        valid, row, column, values, regret = (
            x[order] for x in (valid & enough, row, column, values, regret)
        )
        row, column = (jnp.where(valid[:, None], x, 0) for x in (row, column))
    values = jnp.where(valid[:, None], values, 0)
    regret = jnp.where(valid, regret, 0)
    return Equilibria(row, column, values, regret, valid, count.astype(jnp.int32)), doubt


def first_true(flags, capacity: int):
    """Returns [capacity, M] bool: row k marks the k-th true one of `flags` [M]; then none."""
    return flags & (_earlier(flags) == jnp.arange(capacity, dtype=jnp.float32)[:, None])


def first_true_pairs(flags, capacity: int):
    """Returns the row [capacity, V] and the column [capacity, W] of the true ones of flags [V, W].

    Row by row, each marked by one true entry; then none. That never makes [capacity, V, W].
    """
    number = jnp.arange(capacity, dtype=jnp.float32)[:, None]
    count = jnp.sum(flags, axis=1, dtype=jnp.float32)
    before = jnp.dot(count, _upper(len(flags)), precision="highest")
    row = (before <= number) & (number < before + count)  # [K, V]
    pick = lambda x: jnp.dot(row.astype(jnp.float32), x, precision="highest")
    rank = jnp.where(
        flags, jnp.dot(flags.astype(jnp.float32), _upper(flags.shape[1]), precision="highest"), -1
    )
    column = (pick(rank) == number - pick(before)[:, None]) & jnp.any(row, axis=1, keepdims=True)
    return row, column


def _earlier(flags):
    """How many of flags [M] are true before each."""
    return jnp.dot(flags.astype(jnp.float32), _upper(len(flags)), precision="highest")


def _upper(size: int) -> np.ndarray:
    # a product with a triangle is faster than a cumulative sum for the sizes met here
    return np.triu(np.ones((size, size), np.float32), 1)


def taken(chosen, found, rows):
    """Returns the rows [K, ...] of [M, ...] that [K, M] marks, zeros where none."""
    rows = jnp.where(found[:, None], rows, 0)  # what was not found may be infinite
    return jnp.dot(chosen.astype(rows.dtype), rows, precision="highest")
