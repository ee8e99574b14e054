"""The simplex method on condensed tableaus, many of them at once on the last axis.

A tableau says what its basic variables and its objective are in terms of the nonbasic ones,

    basic = rhs - body nonbasic,     objective = const + cost nonbasic,     all variables >= 0

and a pivot exchanges one of each. Everything is arithmetic on whole arrays: rows and columns are
picked by masks, never by an index, so that games side by side cost no gather.

Dantzig's rule chooses the column (the largest cost); of equal ones, and of equal rows, the variable
with the smallest label goes. After as many pivots without progress as there are variables, Bland's
rule takes over, under which no basis can recur, until there is progress again. Objectives may be
ranked: the second counts where the first is indifferent. Likewise right-hand sides: the second
breaks ties of the ratio test, as an infinitesimal addition to the first would.

Dantzig, 1963, *Linear Programming and Extensions*; Bland, 1977, Math. Oper. Res. 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

OPTIMAL, CAP, INFEASIBLE, UNBOUNDED, NUMERICAL = range(5)  # as scipy.optimize.linprog counts them
RUNNING = -1
NOBODY = 2**30  # larger than any label


class Tableau(NamedTuple):
    """m rows, n columns; a variable's label is its number. The last axis are games.

    Labels are unique in a game. A masked row has body 0 and a positive right-hand side, a masked
    column body and cost 0: they stay so, and are never chosen.
    """

    body: jax.Array  # [m, n, games] f32
    rhs: tuple[jax.Array, ...]  # each [m, games] f32, the first one nonnegative
    cost: tuple[jax.Array, ...]  # each [n, games] f32
    basic: jax.Array  # [m, games] int32, whose row it is
    nonbasic: jax.Array  # [n, games] int32, whose column it is


class Tolerance(NamedTuple):
    """What counts as zero, where entries are of order 1."""

    cost: float
    doubt: float  # a smaller cost, of a column that no row bounds, is only rounding
    pivot: float
    tie: float


def tolerance(dtype: jnp.dtype) -> Tolerance:
    """Returns what counts as zero in a precision.

    Pivots are far from rounding on purpose: in degenerate games, entries that should be 0 are not,
    and dividing by one loses the game. Double precision has room to keep much farther.
    """
    eps = float(jnp.finfo(dtype).eps)
    pivot = eps**0.6 if jnp.finfo(dtype).bits < 64 else eps**0.4
    return Tolerance(cost=4 * eps, doubt=eps**0.5, pivot=pivot, tie=32 * eps)


def tableau(body: jax.Array, rhs, cost) -> Tableau:
    """Returns the first tableau of: maximise cost x, body x <= rhs, x >= 0.

    Variable j of x has label j, and the slack of row i label n + i.
    """
    m, n, games = body.shape
    basic = jnp.broadcast_to(n + jnp.arange(m, dtype=jnp.int32)[:, None], (m, games))
    nonbasic = jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32)[:, None], (n, games))
    return Tableau(body, tuple(rhs), tuple(cost), basic, nonbasic)


def pivot(t: Tableau, row: jax.Array, column: jax.Array, go: jax.Array) -> Tableau:
    """Returns the tableau after exchanging a row's variable and a column's.

    Args:
      row: [m, games] bool, column: [n, games] bool; each true once a game.
      go: [games] bool; elsewhere nothing changes.
    """
    u = jnp.where(column[None], t.body, 0).sum(1)
    w = jnp.where(row[:, None], t.body, 0).sum(0)
    p = jnp.where(row, u, 0).sum(0)
    inverse = jnp.where(go, 1 / jnp.where(go, p, 1), 0)
    # One rank-1 update does it all: entries of the pivot row become w / p, of its column -u / p.
    u = (u - row) * inverse
    w = w + column
    entering = jnp.where(column, t.nonbasic, 0).sum(0, dtype=jnp.int32)
    leaving = jnp.where(row, t.basic, 0).sum(0, dtype=jnp.int32)
    return Tableau(
        body=t.body - u[:, None] * w[None],
        rhs=tuple(b - u * jnp.where(row, b, 0).sum(0) for b in t.rhs),
        cost=tuple(c - (jnp.where(column, c, 0).sum(0) * inverse) * w for c in t.cost),
        basic=jnp.where(row & go, entering, t.basic),
        nonbasic=jnp.where(column & go, leaving, t.nonbasic),
    )


def _smallest(candidates: jax.Array, labels: jax.Array) -> jax.Array:
    return labels == jnp.where(candidates, labels, NOBODY).min(0)


def _entering(t: Tableau, tol: Tolerance, bland: jax.Array, open_: jax.Array):
    """Returns (column [n, games] bool, its cost [games]; above `tol.cost` it improves)."""
    *ranked, cost = t.cost
    for first in reversed(ranked):
        decides = ((first > tol.cost) & open_).any(0)
        cost = jnp.where(decides, first, jnp.where(jnp.abs(first) <= tol.cost, cost, -jnp.inf))
    cost = jnp.where(open_, cost, -jnp.inf)
    best = cost.max(0)
    column = _smallest(cost >= jnp.where(bland, tol.cost, best), t.nonbasic)
    return column, best


def _leaving(t: Tableau, tol: Tolerance, column: jax.Array):
    """Returns (row [m, games] bool, whether there is one, whether it makes progress)."""
    u = jnp.where(column[None], t.body, 0).sum(1)
    row = u > tol.pivot
    u = jnp.where(row, u, 1)
    tie = tol.tie if len(t.rhs) > 1 else 0.0
    steps = []  # how far each right-hand side lets it go
    for rank, rhs in enumerate(t.rhs):
        ratio = jnp.where(row, (rhs if rank else jnp.maximum(rhs, 0)) / u, jnp.inf)
        least = ratio.min(0)
        row = row & (ratio <= least + tie)
        steps.append(least)
    return _smallest(row, t.basic), jnp.isfinite(steps[0]), steps[0] > tol.cost


def maximise(
    t: Tableau,
    max_pivots: int,
    num_enterable: int | None = None,
) -> tuple[Tableau, jax.Array]:
    """Returns the last tableau and the status [games] int32.

    OPTIMAL, CAP or UNBOUNDED.

    Args:
      t: a feasible tableau, its entries of order 1.
      max_pivots: at most so many, static.
      num_enterable: variables with labels from here on never enter, static; None: all may.
    """
    tol = tolerance(t.body.dtype)
    m, n, games = t.body.shape

    def going(carry):
        _, status, _, _, count = carry
        return jnp.any(status == RUNNING) & (count < max_pivots)

    def step(carry):
        t, status, stalled, shut, count = carry
        open_ = ~shut if num_enterable is None else ~shut & (t.nonbasic < num_enterable)
        column, cost = _entering(t, tol, stalled > m + n, open_)
        row, bounded, progress = _leaving(t, tol, column)
        improves = cost > tol.cost
        stop = jnp.where(improves & ~bounded & (cost > tol.doubt), UNBOUNDED, RUNNING)
        stop = jnp.where(improves, stop, OPTIMAL)
        status = jnp.where(status == RUNNING, stop, status)
        go = (status == RUNNING) & bounded
        t = pivot(t, row, column, go)
        shut = ~go & (shut | column)  # what cannot enter is not tried again before the next pivot
        return t, status, jnp.where(progress, 0, stalled + 1), shut, count + 1

    shut = jnp.zeros((n, games), bool)
    status = jnp.full(games, RUNNING, jnp.int32)
    start = (t, status, jnp.zeros(games, jnp.int32), shut, 0)
    t, status, *_ = jax.lax.while_loop(going, step, start)
    return t, jnp.where(status == RUNNING, CAP, status)


def solution(t: Tableau, first: int, count: int) -> jax.Array:
    """Returns the values [count, games] of the variables with labels first, first + 1, ..."""
    here = t.basic[None] == first + jnp.arange(count, dtype=jnp.int32)[:, None, None]
    return jnp.where(here, t.rhs[0][None], 0).sum(1)


def prices(t: Tableau, first: int, count: int) -> jax.Array:
    """Returns what a unit of those variables would cost the objective [count, games].

    For a slack it is the dual variable of its row.
    """
    here = t.nonbasic[None] == first + jnp.arange(count, dtype=jnp.int32)[:, None, None]
    return jnp.where(here, -t.cost[0][None], 0).sum(1)
