"""Meta-solvers: how the strategies of two populations are mixed, from what they earn by pairs.

The meta-game has a strategy for each member of a population. Populations grow, and arrays do not:
payoffs are [2, K, K] with masks of who is there, so that one program serves all of them.

Lanctot et al., 2017, arXiv:1711.00832 (uniform, Nash, projected replicator dynamics); Muller et
al., 2020, arXiv:1909.12823 (alpha-rank).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.projections import project
from jaxmarl_core.solvers.normal_form.lemke_howson import lemke_howson
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum
from jaxmarl_core.solvers.rankings.alpha_rank import alpha_rank_profiles

Pair = tuple[np.ndarray, np.ndarray]
MetaSolver = Callable[[np.ndarray, np.ndarray, np.ndarray], Pair]
ROUNDING = 1e-5  # of the payoffs' range, within which a sum of payoffs is a constant


def uniform(payoffs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Pair:
    """Everybody alike: against it the best response is that of fictitious play."""
    return rows / rows.sum(), columns / columns.sum()


def nash(payoffs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Pair:
    """An equilibrium: that of the linear program if payoffs are zero-sum, else Lemke & Howson's."""
    present = payoffs[:, rows][:, :, columns]
    total = present.sum(0)
    if np.ptp(total) <= ROUNDING * max(np.ptp(present), 1e-30):
        # what one wins and the other loses, whatever both are paid alike
        found = _zero_sum((payoffs[0] - payoffs[1]) / 2, rows, columns)
        return np.asarray(found.row), np.asarray(found.column)
    walk = _lemke_howson(payoffs, rows, columns)
    expected = "a meta-game that a walk of Lemke & Howson solves"
    require(bool(walk.solved), "payoffs", expected, present.tolist())
    row, column = walk.strategies
    return np.asarray(row), np.asarray(column)


def alpha_rank(payoffs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Pair:
    """The marginals of alpha-rank's masses in the limit of large alpha.

    Who is not there earns less than anybody, so that nobody is ever imitated into it.
    """
    unit = max(float(np.ptp(payoffs[:, rows][:, :, columns])), 1.0)
    nowhere = [np.where(rows[:, None], 0, -10 * unit), np.where(columns, 0, -10 * unit)]
    there = rows[:, None] & columns
    payoffs = np.where(there, payoffs, 0) + np.stack(np.broadcast_arrays(*nowhere))
    mass = np.where(there, np.asarray(alpha_rank_profiles(payoffs, alpha=None)), 0)
    mass = mass / mass.sum()
    return mass.sum(1), mass.sum(0)


def prd(payoffs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Pair:
    """What projected replicator dynamics play on average."""
    row, column = projected_replicator_dynamics(payoffs, rows, columns)
    return np.asarray(row), np.asarray(column)


META_SOLVERS: dict[str, MetaSolver] = {
    "uniform": uniform,
    "nash": nash,
    "alpha_rank": alpha_rank,
    "prd": prd,
}


def meta_strategies(
    payoffs: Any, meta_solver: str = "nash", rows: Any = None, columns: Any = None
) -> Pair:
    """Returns how both populations are mixed, [A] and [B] f32, each with sum 1.

    Args:
      payoffs: [2, A, B], to both, of each pair; those of absent members are not looked at.
      meta_solver: a key of `META_SOLVERS`.
      rows, columns: [A] and [B] bool, who is there; None: all.

    Raises:
      ValueError: an unknown meta-solver, with the nearest; shapes that do not fit; or nobody there.
    """
    payoffs = np.asarray(payoffs, np.float32)
    fits = payoffs.ndim == 3 and len(payoffs) == 2
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    masks = []
    for name, mask, size in zip(("rows", "columns"), (rows, columns), payoffs.shape[1:]):
        mask = np.ones(size, bool) if mask is None else np.asarray(mask, bool)
        require(mask.shape == (size,), name, f"shape ({size},)", mask.shape)
        require(bool(mask.any()), name, "somebody in the population", "nobody")
        masks.append(mask)
    payoffs = np.where(masks[0][:, None] & masks[1], payoffs, 0)
    row, column = lookup(META_SOLVERS, meta_solver, "meta_solver")(payoffs, *masks)
    return _tidy(row), _tidy(column)


def projected_replicator_dynamics(
    payoffs: ArrayLike,
    row_mask: ArrayLike | None = None,
    column_mask: ArrayLike | None = None,
    *,
    num_steps: int = 50_000,
    step_size: float = 1e-3,
    least: float = 1e-6,
    average_last: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Returns what both play on average while the better grow at the expense of the worse.

        pi <- P(pi + step pi (u - pi . u)),   u the payoffs of one's strategies against the other's

    and P the projection on mixtures in which nobody has less than `least`. Lanctot et al., 2017,
    appendix; they project approximately, here it is the nearest such mixture.

    Args:
      payoffs: [2, A, B] f32, to both.
      row_mask, column_mask: [A] and [B] bool, who is there; None: all.
      num_steps: of the dynamics from uniform play, static.
      step_size: above 0.
      least: in [0, 1 / A), what is played at least of each.
      average_last: over so many steps at the end; None: over all. Static.
    """
    table = jnp.asarray(payoffs, jnp.float32)
    require(table.ndim == 3 and len(table) == 2, "payoffs", "shape [2, A, B]", table.shape)
    masks = [
        jnp.ones(size, bool) if mask is None else jnp.asarray(mask, bool)
        for mask, size in zip((row_mask, column_mask), table.shape[1:])
    ]
    last = num_steps if average_last is None else average_last
    require(1 <= last <= num_steps, "average_last", f"in [1, {num_steps}]", last)
    most = 1 / max(int(mask.sum()) for mask in masks)
    require(0 <= least < most, "least", f"in [0, {most:.3g})", least)
    return _dynamics(table, *masks, step_size, least, num_steps, last)


@partial(jax.jit, static_argnames=("num_steps", "last"))
def _dynamics(payoffs, rows, columns, step_size, least, num_steps: int, last: int):
    masks = (rows, columns)
    start = tuple(mask / mask.sum() for mask in masks)

    def grown(pi, worth, mask):
        pi = pi + step_size * pi * (worth - pi @ worth)
        # the simplex of those that are there, less what each has for certain
        floor = least * mask
        rest = 1 - floor.sum()
        return jnp.where(
            mask, floor + rest * project(jnp.where(mask, (pi - floor) / rest, -1e9)), 0
        )

    def step(carry, index):
        (row, column), totals = carry
        now = grown(row, payoffs[0] @ column, rows), grown(column, row @ payoffs[1], columns)
        counts = index >= num_steps - last
        return (now, tuple(t + jnp.where(counts, x, 0) for t, x in zip(totals, now))), None

    nothing = tuple(jnp.zeros_like(x) for x in start)
    (_, totals), _ = jax.lax.scan(step, (start, nothing), jnp.arange(num_steps))
    return tuple(total / last for total in totals)


_zero_sum = jax.jit(zero_sum)
_lemke_howson = jax.jit(lambda payoffs, rows, columns: lemke_howson(payoffs, 0, rows, columns))


def _tidy(strategy: np.ndarray) -> np.ndarray:
    """Returns a distribution in double precision that sums to 1."""
    strategy = np.maximum(np.asarray(strategy, np.float64), 0)
    return strategy / strategy.sum()
