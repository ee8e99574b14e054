"""One equilibrium of a bimatrix game of any size: Lemke & Howson's walk along an edge path.

Give up one label, an action that is to be unused or a best reply, and walk: every pivot lets go of
the label held twice, until the one given up is found again. Which label is given up decides which
equilibrium is found, so that labels are a way to select; not every equilibrium need be found.

A walk cannot return to where it was if ties between leaving variables are broken by a perturbation
of the right-hand side; here a symbolic one, comparing rows of the tableau lexicographically. Every
pivot divides by its element, so that numbers stay of the size of the losses.

Lemke & Howson, 1964, J. SIAM 12(2); Shapley, 1974, Math. Programming Study 1, for the labels;
von Stengel, 2002, Handbook of Game Theory 3, section 2.6, for the perturbation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.normal_form.equilibria import (
    Equilibria,
    Game,
    certificate,
    checked,
    default_tolerance,
    first_true,
    game,
    taken,
)
from jaxmarl_core.solvers.normal_form.gradients import without_gradient
from jaxmarl_core.solvers.normal_form.precise import first_index, look_twice
from jaxmarl_core.solvers.normal_form.zero_sum import result_type, sufficient


class Walk(NamedTuple):
    """Where a walk ended. Where `solved` is false the strategies are zeros and the values NaN.

    If payoffs are NaN the strategies are, too.
    """

    strategies: tuple[jax.Array, jax.Array]  # [A] and [B] f32
    values: jax.Array  # [2] f32
    regret: jax.Array  # [] f32, the most that a player gains by another action
    solved: jax.Array  # [] bool: it ended, regret below 1e-5 of the payoffs' range
    pivots: jax.Array  # [] int32
    capped: jax.Array  # [] bool, the limit of pivots was met before the end


def lemke_howson(
    payoffs: jax.Array,
    label: int | jax.Array = 0,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    max_pivots: int | None = None,
    tolerance: float | None = None,
) -> Walk:
    """Returns the equilibrium at the end of the path without a label.

    Args:
      payoffs: [2, A, B] f32 or f64, to the row and to the column player.
      label: the number of a legal action, counting the row player's, then the column player's;
        more than there are begin anew. May be traced: vmap finds what all of them lead to.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are. Solving the
        submatrix of the legal actions gives the same.
      max_pivots: static limit, at least 1; None: 50 (A + B). Normal payoffs took 10 pivots of
        10 x 10, 30 of 20 x 20 and 240 of 50 x 50 games on average; there are games whose paths
        grow exponentially.
      tolerance: what counts as a tie, in units of the largest loss; None: 1e-5 in f32, 1e-9 in f64.

    What is not solved is solved again in double precision, whatever `jax_enable_x64` says, without
    dominated actions. There are no derivatives.

    Raises:
      ValueError: if a shape or the limit does not fit.
    """
    given, rows, columns = checked(payoffs, row_mask, column_mask)
    size = sum(given.shape[1:])
    max_pivots = 50 * size if max_pivots is None else max_pivots
    require(max_pivots >= 1, "max_pivots", "at least 1", max_pivots)
    found = look_twice(
        _path_end,
        given,
        rows,
        columns,
        jnp.asarray(label, jnp.int32),
        max_pivots=max_pivots,
        tolerance=tolerance,
        share=sufficient(result_type(given)),
    )
    return without_gradient("lemke_howson", payoffs, found)


def _path_end(payoffs, rows, columns, label, max_pivots, tolerance, share):
    """Returns the walk in one game, and whether it is in doubt."""
    if tolerance is None:
        tolerance = default_tolerance(payoffs.dtype)
    solving = game(payoffs, rows, columns)
    given_up = _numbered(label, rows, columns)
    out = ~jnp.concatenate(solving.legal)[given_up]  # dominated: another one then
    given_up = jnp.where(out, _numbered(label, *solving.legal), given_up)
    walk = _walk(solving, given_up, max_pivots, tolerance, share)
    some = rows.any() & columns.any() & ~jnp.isnan(solving.nan)
    return walk, ~walk.solved & some


def _numbered(label, rows, columns):
    """Returns the place, among all actions of both, of the legal action with that number."""
    legal = jnp.concatenate([rows, columns])
    number = jnp.mod(label, jnp.maximum(jnp.sum(legal, dtype=jnp.int32), 1))
    return first_index(legal & (jnp.cumsum(legal) == number + 1))


def lemke_howson_equilibria(
    payoffs: jax.Array,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    labels: tuple[int, ...] | None = None,
    max_pivots: int | None = None,
    tolerance: float | None = None,
) -> Equilibria:
    """Returns the different equilibria that the labels lead to, in the order of the labels.

    `first` and `second` of these are Hu & Wellman's (2003) first and second Nash. There are no
    derivatives.

    Args:
      labels: which to try, static, as many as equilibria are kept (K); None: all A + B. One label
        is the cheapest way to one equilibrium of a game larger than 3 x 3.
      payoffs, row_mask, column_mask, max_pivots, tolerance: as of `lemke_howson`.
    """
    given, *_ = checked(payoffs, row_mask, column_mask)
    tried = tuple(range(sum(given.shape[1:]))) if labels is None else labels
    require(len(tried) >= 1, "labels", "at least one", labels)
    search = lambda label: lemke_howson(
        payoffs, label, row_mask, column_mask, max_pivots, tolerance
    )
    walks = jax.vmap(search)(jnp.array(tried, jnp.int32))
    row, column = walks.strategies
    distance = lambda x: jnp.max(jnp.abs(x[:, None] - x[None]), axis=2)
    near = default_tolerance(row.dtype) if tolerance is None else tolerance
    same = jnp.maximum(distance(row), distance(column)) < 100 * near
    again = jnp.any(jnp.tril(same, -1) & walks.solved, axis=1)
    found = walks.solved & ~again
    chosen = first_true(found, len(tried))  # [K, M], one row each
    return Equilibria(
        row=taken(chosen, found, row),
        column=taken(chosen, found, column),
        values=taken(chosen, found, walks.values),
        regret=taken(chosen, found, walks.regret[:, None])[:, 0],
        valid=jnp.any(chosen, axis=1),
        count=jnp.sum(found).astype(jnp.int32),
    )


class _Path(NamedTuple):
    tableau: jax.Array  # [L, 2 L + 1] f32: actions' variables, slacks, right-hand side
    basis: jax.Array  # [L] int32, the variable of each row; v and v + L are complements
    entering: jax.Array  # [] int32
    pivots: jax.Array
    done: jax.Array  # [] bool
    stuck: jax.Array  # [] bool, nothing could leave: rounding, or no legal action


def _walk(solving: Game, given_up, max_pivots: int, tolerance, share: float) -> Walk:
    """Pivots from the artificial equilibrium, where nobody plays anything, to the path's end.

    Row l of the tableau belongs to action l of both players together: what it is worth against the
    other's unscaled strategy z, and its slack, add up to 1. Losses are shifted to [1, 2]. A row and
    a column of an illegal action are 0: it can neither enter nor push another out.
    """
    size = sum(solving.payoffs.shape[1:])
    num_rows = solving.payoffs.shape[1]
    legal = jnp.concatenate(solving.legal)
    rows, columns = solving.legal
    allowed = rows[:, None] & columns
    worth = lambda replies: replies + 2
    row_worth = jnp.where(allowed, worth(solving.replies[1]).T, 0)  # [A, B]
    column_worth = jnp.where(allowed, worth(solving.replies[0]), 0).T  # [B, A]
    dtype = row_worth.dtype
    square = jnp.zeros((size, size), dtype)
    square = square.at[:num_rows, num_rows:].set(row_worth)
    square = square.at[num_rows:, :num_rows].set(column_worth)
    tableau = jnp.concatenate([square, jnp.eye(size, dtype=dtype), jnp.ones((size, 1), dtype)], 1)
    start = _Path(
        tableau,
        jnp.arange(size, dtype=jnp.int32) + size,
        given_up,
        jnp.int32(0),
        jnp.bool_(False),
        jnp.bool_(False),
    )

    def unfinished(path):
        return ~path.done & ~path.stuck & (path.pivots < max_pivots)

    def pivot(path):
        entering = jnp.take(path.tableau, path.entering, axis=1)
        leaves, none = _leaving(path.tableau, entering, tolerance)
        element = jnp.where(none, 1, jnp.sum(jnp.where(leaves, entering, 0)))
        row = jnp.sum(jnp.where(leaves[:, None], path.tableau, 0), axis=0) / element
        after = jnp.where(leaves[:, None], row, path.tableau - entering[:, None] * row)
        after = after.at[:, -1].max(0)  # a degenerate vertex rounds to below 0
        left = jnp.sum(jnp.where(leaves, path.basis, 0), dtype=jnp.int32)
        basis = jnp.where(leaves, path.entering, path.basis)
        complement = jnp.where(left < size, left + size, left - size)
        # the label given up is back as soon as either of its variables has left
        done = ~none & (left % size == given_up)
        return _Path(after, basis, complement, path.pivots + 1, done, none)

    end = jax.lax.while_loop(unfinished, pivot, start)
    played = jnp.arange(size) == end.basis[:, None]  # [L, L], which action a row holds
    weight = jnp.sum(jnp.where(played, end.tableau[:, -1:], 0), axis=0) * legal
    row, column = (part / jnp.sum(part) for part in (weight[:num_rows], weight[num_rows:]))
    certified = certificate(solving, row[None], column[None], share)
    values, regret, enough = (each[0] for each in certified)
    solved = end.done & enough
    return Walk(
        (jnp.where(solved, row, solving.nan), jnp.where(solved, column, solving.nan)),
        jnp.where(solved, values, jnp.nan),
        jnp.where(solved, regret, jnp.nan),
        solved,
        end.pivots,
        ~end.done & ~end.stuck,
    )


def _leaving(tableau, entering, tolerance):
    """The row that leaves [L], one true, by the lexicographic ratio test; and whether none may."""
    size = len(entering)
    able = entering > tolerance
    divisor = jnp.where(able, entering, 1)

    def least(candidates, column):
        ratio = jnp.where(candidates, column / divisor, jnp.inf)
        lowest = jnp.min(ratio)
        return candidates & (ratio <= lowest + tolerance * jnp.maximum(1, jnp.abs(lowest)))

    def tied(carry):
        candidates, slack = carry
        return (jnp.sum(candidates) > 1) & (slack < size)

    def untie(carry):
        candidates, slack = carry
        return least(candidates, jnp.take(tableau, size + slack, axis=1)), slack + 1

    candidates = least(able, tableau[:, -1])
    candidates, _ = jax.lax.while_loop(tied, untie, (candidates, jnp.int32(0)))
    return jnp.arange(size) == first_index(candidates), ~jnp.any(able)
