"""What the solvers of bimatrix games return, and how they look at payoffs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require


class Equilibria(NamedTuple):
    """Equilibria of one game in a fixed number of rows; a row that is not `valid` holds zeros."""

    row: jax.Array  # [K, A] f32, mixed strategies of the row player
    column: jax.Array  # [K, B] f32, of the column player
    values: jax.Array  # [K, 2] f32, what they are worth to both
    regret: jax.Array  # [K] f32, the most that a player gains by another action
    valid: jax.Array  # [K] bool; the valid rows come first
    count: jax.Array  # [] int32, how many there are; above K: the rest was left out


class Equilibrium(NamedTuple):
    """One equilibrium. Where `solved` is false the strategies are zeros and the values NaN."""

    strategies: tuple[jax.Array, jax.Array]  # [A] and [B] f32
    values: jax.Array  # [2] f32
    regret: jax.Array  # [] f32, the most that a player gains by another action
    solved: jax.Array  # [] bool


class Game(NamedTuple):
    """A bimatrix game ready to be solved: same best replies, differences of at most 1."""

    replies: tuple[jax.Array, jax.Array]
    # [A, B] and [B, A] f32: [own action, other's action] -> the other's payoff less its best
    # reply's, in units of the largest such loss; in [-1, 0]
    legal: tuple[jax.Array, jax.Array]  # [A], [B] bool
    payoffs: jax.Array  # [2, A, B] f32, as given; 0 where not legal
    scale: jax.Array  # [2] f32, the unit of the row's and of the column's losses


def game(payoffs, row_mask=None, column_mask=None) -> Game:
    """Returns the game in the solvers' units.

    What is added to a player's payoffs against one action of the other changes no equilibrium, so
    best replies are told from losses alone: a game of payoffs near 1e4 keeps its unit differences.

    Args:
      payoffs: [2, A, B]; to the row and to the column player.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are.

    Raises:
      ValueError: if a shape does not fit.
    """
    payoffs = jnp.asarray(payoffs)
    fits = payoffs.ndim == 3 and payoffs.shape[0] == 2 and 0 not in payoffs.shape
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    payoffs = payoffs.astype(jnp.promote_types(payoffs.dtype, jnp.float32))
    legal = []
    for name, mask, size in zip(
        ("row_mask", "column_mask"), (row_mask, column_mask), payoffs[0].shape
    ):
        mask = jnp.ones(size, bool) if mask is None else jnp.asarray(mask, bool)
        require(mask.shape == (size,), name, f"shape [{size}]", mask.shape)
        legal.append(mask)
    rows, columns = legal
    payoffs = jnp.where(rows[:, None] & columns, payoffs, 0)
    to_column, row_unit = _losses(payoffs[0].T, columns, rows)
    to_row, column_unit = _losses(payoffs[1], rows, columns)
    return Game((to_row, to_column), (rows, columns), payoffs, jnp.stack([row_unit, column_unit]))


def _losses(payoffs, own, other):
    """What replies lose [own, other] in units of the largest loss, and that unit."""
    lowest = jnp.where(other, payoffs, -jnp.inf)
    losses = payoffs - jnp.max(lowest, axis=1, keepdims=True)
    losses = jnp.where(own[:, None] & other, losses, 0)
    unit = jnp.max(-losses)
    unit = jnp.where(unit > 0, unit, 1)
    return losses / unit, unit


def default_tolerance(dtype) -> float:
    """Returns what counts as zero in a solver's units: 1e-5 in single precision, 1e-9 in double."""
    return 1e-9 if dtype == jnp.float64 else 1e-5


def judge(solving: Game, row, column):
    """Returns what both players get [2], and the most either gains by another action []."""
    row_actions = jnp.einsum("ab,b->a", solving.payoffs[0], column, precision="highest")
    column_actions = jnp.einsum("ab,a->b", solving.payoffs[1], row, precision="highest")
    values = jnp.stack([jnp.sum(row * row_actions), jnp.sum(column * column_actions)])
    rows, columns = solving.legal
    best = jnp.stack(
        [
            jnp.max(jnp.where(rows, row_actions, -jnp.inf)),
            jnp.max(jnp.where(columns, column_actions, -jnp.inf)),
        ]
    )
    return values, jnp.max(best - values)


def gathered(solving: Game, row, column, found, capacity: int) -> Equilibria:
    """Returns the first `capacity` of those that were found, judged.

    Args:
      row, column: [M, A] and [M, B] f32, candidates.
      found: [M] bool, which of them count.
    """
    chosen = first_true(found, capacity)  # [K, M], one row each
    row = _chosen(chosen, found, row)
    column = _chosen(chosen, found, column)
    return judged(solving, row, column, jnp.any(chosen, axis=1), jnp.sum(found))


def judged(solving: Game, row, column, valid, count) -> Equilibria:
    """Returns the record of strategies [K, A] and [K, B], zeros where they are not valid."""
    values, regret = jax.vmap(judge, (None, 0, 0))(solving, row, column)
    values = jnp.where(valid[:, None], values, 0)
    regret = jnp.where(valid, regret, 0)
    return Equilibria(row, column, values, regret, valid, count.astype(jnp.int32))


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


def _chosen(chosen, found, rows):
    rows = jnp.where(found[:, None], rows, 0)  # what was not found may be infinite
    return jnp.dot(chosen.astype(rows.dtype), rows, precision="highest")
