"""The best mixture: linear programs over distributions, the core of several solution concepts.

    maximise over x:  min_k objective_k' x   such that   constraint_i' x <= 0,   x a distribution

What is solved is the dual, easy to start (v = the largest objective) and seldom degenerate, while
at the primal's start every right-hand side is 0:

    minimise v   such that   sum_k lambda_k objective_k(a) - sum_i y_i constraint_i(a) <= v,  all a

over y >= 0 and distributions lambda. The mixture is its prices. Its right-hand sides are the
objective's coefficients, and ranked right-hand sides therefore rank objectives: of several best
mixtures, the one that is best by the second criterion, then by the third, and so on.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.solvers.normal_form import tableau as simplex
from jaxmarl_core.solvers.normal_form.lanes import over_lanes
from jaxmarl_core.solvers.normal_form.zero_sum import precision


class Mixture(NamedTuple):
    probability: jax.Array  # [n] f32, sums to 1, exactly 0 where masked; rubbish if not optimal
    status: jax.Array  # [] int32: OPTIMAL, CAP, INFEASIBLE or NUMERICAL, see tableau.py
    residual: jax.Array  # [] f32, the largest violation of a constraint, its largest entry being 1
    doubtful: jax.Array  # [] bool: rounding may have spoilt it; a higher precision would not
    prices: jax.Array  # [m] f32, nonnegative, what relaxing a constraint by a unit is worth
    weights: jax.Array  # [K] f32, a distribution over objectives


def best_mixture(
    objectives: jax.Array,
    constraints: jax.Array,
    legal: jax.Array,
    *,
    counts: jax.Array | None = None,
    then: Sequence[jax.Array] = (),
    size: jax.Array | None = None,
    max_pivots: int | None = None,
    slack: float | None = None,
) -> Mixture:
    """Returns the best distribution under homogeneous constraints.

    Args:
      objectives: [K, n] f32; the smallest of them is maximised.
      constraints: [m, n] f32; each is at most 0 in the mean. A row of zeros constrains nothing.
      legal: [n] bool, what may have positive probability.
      counts: [K] bool, which objectives there are, the first always; None: all.
      then: further criteria, each [n] f32, maximised in turn among what is equally good.
      size: [n] f32, at least 1, of the entries in a column; one much larger than others is counted
        in so much smaller units, and not used for the scale of objectives. None: 1.
      max_pivots: at most so many, static; by default 8 (n + m + K) + 20.
      slack: what an optimum may miss, of its objective's range or a constraint's largest entry,
        static; None: five times what passes for rounding.
    """
    (num_objectives, n), m = objectives.shape, constraints.shape[0]
    if max_pivots is None:
        max_pivots = 8 * (n + m + num_objectives) + 20
    if counts is None:
        counts = jnp.ones(num_objectives, bool)
    if slack is None:
        slack = 5 * precision(objectives.dtype)
    solve = over_lanes(
        partial(_best_mixture, max_pivots=max_pivots, slack=slack), entries=n * (m + 1)
    )
    if size is None:
        size = jnp.ones(n, objectives.dtype)
    return solve(objectives, constraints, legal, counts, tuple(then), size)


def _best_mixture(objectives, constraints, legal, counts, then, size, max_pivots, slack) -> Mixture:
    dtype = objectives.dtype
    games, m = objectives.shape[-1], constraints.shape[0]
    ordinary = legal & (size <= 1)
    ordinary = jnp.where(ordinary.any(0), ordinary, legal)[None]
    first, *others = _unit(objectives, legal[None] & counts[:, None], ordinary & counts[:, None])
    entries = jnp.where(legal[None], jnp.abs(constraints) / size, 0).max(1, keepdims=True)
    constraints = jnp.where(legal[None], constraints / jnp.where(entries > 0, entries, 1), 0)

    # variables: y of the constraints, lambda of the other objectives, v
    body = [-constraints.swapaxes(0, 1)]
    body += [
        jnp.where(legal & yes, other - first, 0)[:, None] for other, yes in zip(others, counts[1:])
    ]
    body += [-legal.astype(dtype)[:, None]]
    body = jnp.concatenate(body, 1)
    rhs = [jnp.where(legal, -first, 1)]
    rhs += [
        jnp.where(legal, -_unit(criterion[None], legal[None], ordinary)[0], 0) for criterion in then
    ]
    top = legal
    for criterion in rhs:
        top = top & (criterion <= jnp.where(top, criterion, jnp.inf).min(0))
    unscaled, rhs, body = body, [b / size for b in rhs], body / size[:, None]
    if others:  # lambda_2 + ... <= 1, the rest being the first objective's
        row = jnp.concatenate([jnp.zeros((m, games)), counts[1:], jnp.zeros((1, games))]).astype(
            dtype
        )
        body = jnp.concatenate([body, row[None]], 0)
        rhs = [
            jnp.concatenate([b, jnp.full((1, games), float(not k), dtype)])
            for k, b in enumerate(rhs)
        ]
        top = jnp.concatenate([top, jnp.zeros((1, games), bool)])
    num_columns = body.shape[1]
    is_v = jnp.broadcast_to(
        jnp.arange(num_columns)[:, None] == num_columns - 1, (num_columns, games)
    )

    start = simplex.tableau(body, rhs, [-is_v.astype(dtype)])
    top = top & (jnp.cumsum(top, 0) == 1)
    start = simplex.pivot(start, top, is_v, top.any(0))  # v = the largest coefficient

    program = _Program(jnp.stack([first, *others]), counts, constraints, legal, unscaled, size)
    last, status = simplex.maximise(start, max_pivots)
    probability, _, residual = program.mixture(last)
    missed, grown = program.missed(last)
    status = jnp.where(status == simplex.UNBOUNDED, simplex.INFEASIBLE, status)
    lost = (status == simplex.OPTIMAL) & ~(missed <= slack)
    status = jnp.where(lost, simplex.NUMERICAL, status)
    sure = (status == simplex.OPTIMAL) & (grown <= simplex.tolerance(dtype).tie)
    prices, weights = program.multipliers(last)
    _, spread = _scale(objectives, ordinary & counts[:, None])
    prices = prices * spread / jnp.where(entries[:, 0] > 0, entries[:, 0], 1)
    doubtful = ~sure & (status != simplex.CAP)
    return Mixture(probability, status, residual, doubtful, prices, weights)


class _Program(NamedTuple):
    """Linear programs, the last axis games, and how good their last tableaus are."""

    objectives: jax.Array  # [K, n, games]
    counts: jax.Array  # [K, games] bool
    constraints: jax.Array  # [m, n, games]
    legal: jax.Array  # [n, games] bool
    body: jax.Array  # [n, m + K, games], of the dual
    size: jax.Array  # [n, games], of which its rows are parts in the tableau

    def mixture(self, last: simplex.Tableau) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns (probability [n, games], whether it is one [games], its residual [games])."""
        n, num_columns = len(self.legal), self.body.shape[1]
        weight = jnp.maximum(simplex.prices(last, num_columns, n), 0) / self.size
        weight = jnp.where(self.legal, weight, 0)
        total = weight.sum(0)
        usable = (total > 0) & jnp.isfinite(total)
        weight = jnp.where(usable, weight, self.legal)
        probability = weight / jnp.maximum(weight.sum(0), 1e-30)
        residual = (self.constraints * probability[None]).sum(1).max(0, initial=0)
        return probability, usable, residual

    def multipliers(self, last: simplex.Tableau) -> tuple[jax.Array, jax.Array]:
        """Returns the constraints' prices [m, games] and the objectives' weights [K, games]."""
        m, num_columns = len(self.constraints), self.body.shape[1]
        y = jnp.maximum(simplex.solution(last, 0, num_columns - 1), 0)
        rest = jnp.maximum(1 - y[m:].sum(0, keepdims=True), 0)
        weights = jnp.concatenate([rest, y[m:]])
        return y[:m], weights / weights.sum(0)

    def missed(self, last: simplex.Tableau) -> tuple[jax.Array, jax.Array]:
        """Returns by how much constraints and the best are missed, and how rounding has grown.

        No mixture is worth more than the bound of any y >= 0: the gap to it is what may be lost. As
        rounding is in proportion to y, the gap over y tells how much of it there is.
        """
        num_columns = self.body.shape[1]
        probability, usable, residual = self.mixture(last)
        worth = (probability[None] * self.objectives).sum(1)
        worth = jnp.where(self.counts, worth, jnp.inf).min(0)
        y = jnp.maximum(simplex.solution(last, 0, num_columns - 1), 0)
        bound = self.objectives[0] + (self.body[:, :-1] * y[None]).sum(1)
        gap = jnp.where(self.legal, bound, -jnp.inf).max(0) - worth
        grown = jnp.maximum(residual, gap / (1 + y.max(0, initial=0)))
        return jnp.where(usable, jnp.maximum(residual, gap), jnp.inf), grown


def _unit(values, legal, ordinary):
    """Returns values [K, n, games], the ordinary ones shifted and scaled to [1, 2] together.

    What is illegal is 0.
    """
    low, spread = _scale(values, ordinary)
    return jnp.where(legal, (values - low) / spread + 1, 0)


def _scale(values, ordinary):
    """Returns the least of the ordinary ones of [K, n, games], and their range, 1 if it is 0."""
    low = jnp.where(ordinary, values, jnp.inf).min((0, 1))
    spread = jnp.where(ordinary, values, -jnp.inf).max((0, 1)) - low
    return low, jnp.where(spread > 0, spread, 1)
