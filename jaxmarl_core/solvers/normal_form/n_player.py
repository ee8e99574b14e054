"""One equilibrium of a game of any number of players: the path of logit equilibria.

In a logit equilibrium of precision lambda everybody answers the others by a softmax of lambda times
what actions are worth. At 0 all play at random; from there a curve leads, as lambda grows, to a
Nash equilibrium, in almost all games a single one. It is followed by its arc length, because
lambda may turn back on the way: a step along the tangent, then Newton's method across it. From
every point on it we try to jump to the end: Newton's method again, on the actions that the point
seems to use. The search ends when that is an equilibrium.

McKelvey & Palfrey, 1995, Games and Economic Behavior 10; Turocy, 2005, the same 51, for following
the path in log probabilities. The jump is ours.
"""

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.solvers.normal_form.dominance import survivors
from jaxmarl_core.solvers.normal_form.equilibria import default_tolerance
from jaxmarl_core.solvers.normal_form.gradients import without_gradient
from jaxmarl_core.solvers.normal_form.precise import look_twice
from jaxmarl_core.solvers.normal_form.zero_sum import (
    as_given,
    outer_and,
    result_type,
    sufficient,
)


class NashN(NamedTuple):
    """The best that was found; an equilibrium where `solved`.

    Strategies are always strategies, but NaN if payoffs are.
    """

    strategies: tuple[jax.Array, ...]  # N times [A_i] f32
    values: jax.Array  # [N] f32
    residual: jax.Array  # [] f32, NashConv: what players gain by their best replies, summed
    solved: jax.Array  # [] bool: nobody gains 1e-5 of the range of its undominated payoffs
    steps: jax.Array  # [] int32, along the path


def nash_n(
    payoffs: jax.Array,
    masks: tuple[jax.Array, ...] | None = None,
    prior: tuple[jax.Array, ...] | None = None,
    max_steps: int = 200,
    tolerance: float | None = None,
) -> NashN:
    """Returns the equilibrium at the end of the path of logit equilibria.

    There are no derivatives: to ask for one is an error.

    Args:
      payoffs: [N, A_1, ..., A_N] f32 or f64, to every player; N at least 2.
      masks: N times [A_i] bool, true where legal; None: all are.
      prior: N times [A_i] f32, positive, where the path begins; None: everything equally likely.
        Others may lead to other equilibria, or around a branching of the path.
      max_steps: static limit, at least 1.
      tolerance: what counts as no gain, in units of the largest loss; None: 1e-5 in f32, 1e-9 in
        f64.

    Raises:
      ValueError: if a shape or the limit does not fit.
    """
    given = jax.lax.stop_gradient(as_given(payoffs))
    sizes = given.shape[1:]
    fits = given.ndim >= 3 and len(given) == len(sizes) and prod(sizes) > 0
    require(fits, "payoffs", "shape [N, A_1, ..., A_N]", given.shape)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    dtype = result_type(given)
    if masks is None:
        masks = tuple(jnp.ones(size, bool) for size in sizes)
    if prior is None:
        prior = tuple(jnp.ones(size, dtype) for size in sizes)
    for name, vectors in (("masks", masks), ("prior", prior)):
        got = tuple(np.shape(x) for x in vectors)
        require(got == tuple((size,) for size in sizes), name, f"vectors of sizes {sizes}", got)
    masks = tuple(jnp.asarray(mask, bool) for mask in masks)
    prior = tuple(jax.lax.stop_gradient(jnp.asarray(x, dtype)) for x in prior)
    options = {"max_steps": max_steps, "tolerance": tolerance, "share": sufficient(dtype)}
    found = look_twice(_path_end, given, masks, prior, **options)
    return without_gradient("nash_n", payoffs, found)


def _path_end(payoffs, masks, prior, max_steps, tolerance, share) -> tuple[NashN, jax.Array]:
    """Returns the equilibrium of one game, and whether it is in doubt."""
    if tolerance is None:
        tolerance = default_tolerance(payoffs.dtype)
    one = jax.tree.map(lambda x: x[..., None], (tuple(payoffs), masks))
    given, masks = masks, tuple(kept[..., 0] for kept in survivors(*one))
    surviving = outer_and(masks)
    nan = jnp.any(jnp.isnan(jnp.where(outer_and(given), payoffs, 0)))
    payoffs = jnp.where(surviving, payoffs, 0)
    finite = jnp.all(jnp.isfinite(payoffs))
    legal = jnp.concatenate(masks)
    prior = jnp.log(jnp.where(legal, jnp.concatenate(prior), 1))
    losses, raw = zip(*(_losses(x, surviving, i) for i, x in enumerate(payoffs)))
    solving = _Solving(losses, legal, prior, payoffs.shape[1:])
    end = _follow(solving, max_steps, tolerance)
    strategies = solving.split(end.best)
    worth = [action_payoffs(x, strategies, i) for i, x in enumerate(payoffs)]
    values = jnp.stack([jnp.sum(pi * u) for pi, u in zip(strategies, worth)])
    gains = []
    for player, (lost, mask, pi) in enumerate(zip(raw, masks, strategies)):
        each = action_payoffs(lost, strategies, player)
        gains.append(jnp.max(jnp.where(mask, each, -jnp.inf)) - jnp.sum(pi * each))
    gains = jnp.maximum(jnp.stack(gains), 0)
    axes = tuple(range(1, payoffs.ndim))
    ranges = jnp.where(surviving, payoffs, -jnp.inf).max(axes)
    ranges = ranges - jnp.where(surviving, payoffs, jnp.inf).min(axes)
    solved = (end.residual <= tolerance) & jnp.all(gains <= share * ranges) & finite & ~nan
    strategies = tuple(jnp.where(nan, jnp.nan, pi) for pi in strategies)
    values = jnp.where(nan, jnp.nan, values)
    found = NashN(strategies, values, jnp.sum(gains), solved, end.steps)
    some = outer_and(given).any()
    return found, ~solved & finite & ~nan & some


def _losses(payoffs, legal, player):
    """A player's payoffs less its best reply's, in units of the largest loss; and not so."""
    best = jnp.max(jnp.where(legal, payoffs, -jnp.inf), axis=player, keepdims=True)
    losses = jnp.where(legal, payoffs - best, 0)
    unit = jnp.max(-losses)
    return losses / jnp.where(unit > 0, unit, 1), losses


class _Solving(NamedTuple):
    """A game whose strategies are one vector of D = A_1 + ... + A_N numbers."""

    losses: tuple[jax.Array, ...]  # N times [A_1, ..., A_N]
    legal: jax.Array  # [D] bool
    prior: jax.Array  # [D], log probabilities up to a constant
    sizes: tuple[int, ...]

    def split(self, x):
        return tuple(jnp.split(x, np.cumsum(self.sizes)[:-1]))

    def worth(self, chance):
        """What every action is worth, [D]."""
        strategies = self.split(chance)
        each = [action_payoffs(u, strategies, i) for i, u in enumerate(self.losses)]
        return jnp.concatenate(each)

    def per_player(self, x):
        """Sums [N] of a vector over the actions of every player."""
        return jnp.stack([jnp.sum(part) for part in self.split(x)])

    def spread(self, x):
        """Numbers [N] of players, repeated for their actions, [D]."""
        return jnp.repeat(x, np.array(self.sizes), total_repeat_length=sum(self.sizes))

    def best(self, worth):
        """The most that every player's legal actions are worth, [N]."""
        worth = jnp.where(self.legal, worth, -jnp.inf)
        return jnp.stack([jnp.max(part) for part in self.split(worth)])

    def gain(self, chance):
        """What players gain by their best replies, summed, []."""
        worth = self.worth(chance)
        return jnp.sum(jnp.maximum(self.best(worth) - self.per_player(chance * worth), 0))


class _Walk(NamedTuple):
    point: jax.Array  # [D + N + 1]: log probabilities, log normalisers, lambda
    tangent: jax.Array  # [D + N + 1], of length 1, the way we go
    stride: jax.Array  # []
    best: jax.Array  # [D], strategies
    residual: jax.Array  # [], their gain
    steps: jax.Array  # [] int32


def _logit(solving: _Solving, point):
    """What is 0 on the path, [D + N]; the point is (log p, c, lambda).

    log p(a) = log prior(a) + lambda u(a) - c,   sum_a p(a) = 1; log p = 0 where not legal
    """
    size = len(solving.legal)
    logs, shift, precision = point[:size], point[size:-1], point[-1]
    chance = jnp.where(solving.legal, jnp.exp(logs), 0)
    aim = solving.prior + precision * solving.worth(chance) - solving.spread(shift)
    total = solving.per_player(chance)
    return jnp.concatenate([jnp.where(solving.legal, logs - aim, logs), total - 1])


def _follow(solving: _Solving, max_steps: int, tolerance) -> _Walk:
    size = len(solving.legal)
    dtype = solving.prior.dtype
    reached = 1e-4 if dtype == jnp.float32 else 1e-8  # Newton's method has found the path
    system = lambda point: _logit(solving, point)
    slope = jax.jacfwd(system)

    def direction(point, before):
        """The unit vector along the path that agrees with the one before."""
        square = jnp.concatenate([slope(point), before[None]])
        along = jnp.linalg.solve(square, jnp.zeros_like(point).at[-1].set(1))
        return along / jnp.linalg.norm(along)

    def correct(carry, _):
        point, tangent, anchor = carry
        error = jnp.append(system(point), jnp.dot(tangent, point - anchor))
        move = jnp.linalg.solve(jnp.concatenate([slope(point), tangent[None]]), error)
        # log probabilities of a step that overshoots would overflow
        return (point - move, tangent, anchor), jnp.max(jnp.abs(move) / (1 + jnp.abs(point)))

    def step(walk):
        guess = walk.point + walk.stride * walk.tangent
        (point, *_), moves = jax.lax.scan(correct, (guess, walk.tangent, guess), None, length=4)
        tangent = direction(point, walk.tangent)
        fine = jnp.all(jnp.isfinite(tangent)) & (moves[-1] < reached) & (moves[0] < 0.5)
        fine &= jnp.dot(tangent, walk.tangent) > 0.7  # a sharp bend may be another branch
        point = jnp.where(fine, point, walk.point)
        tangent = jnp.where(fine, tangent, walk.tangent)
        easy = moves[0] < 0.1
        stride = walk.stride * jnp.where(fine, jnp.where(easy, 2.0, 1.2), 0.4)
        here = _strategies(solving, point[:size])
        there = _jump(solving, here, tolerance)
        best, residual = walk.best, walk.residual
        for candidate in (here, there):
            gain = solving.gain(candidate)
            better = gain < residual  # false for what is not a number
            best = jnp.where(better, candidate, best)
            residual = jnp.where(better, gain, residual)
        return _Walk(point, tangent, stride, best, residual, walk.steps + 1)

    shift = jnp.stack(
        [jax.nn.logsumexp(part) for part in solving.split(_where_legal(solving, solving.prior))]
    )
    logs = jnp.where(solving.legal, solving.prior - solving.spread(shift), 0)
    point = jnp.concatenate([logs, shift, jnp.zeros(1, dtype)])
    tangent = direction(point, jnp.zeros_like(point).at[-1].set(1))
    start = _strategies(solving, logs)
    walk = _Walk(
        point, tangent, jnp.ones((), dtype) * 0.1, start, solving.gain(start), jnp.int32(0)
    )
    unfinished = lambda walk: (walk.residual > tolerance) & (walk.steps < max_steps)
    return jax.lax.while_loop(unfinished, step, walk)


def _where_legal(solving, logs):
    return jnp.where(solving.legal, logs, -jnp.inf)


def _strategies(solving: _Solving, logs):
    parts = solving.split(_where_legal(solving, logs))
    return jnp.concatenate([jax.nn.softmax(part) for part in parts])


def _jump(solving: _Solving, chance, tolerance):
    """Strategies that make players indifferent between the actions they seem to use, [D].

    An action is used if its probability exceeds what it loses. Newton's method on

        u(a) = v if used, else p(a) = 0;   sum_a p(a) = 1

    Where it fails or leaves the simplex the result is no number, or no better.
    """
    size = len(chance)
    worth = solving.worth(chance)
    used = solving.legal & (chance > solving.spread(solving.best(worth)) - worth)

    def system(point):
        p, value = point[:size], point[size:]
        lack = solving.worth(p) - solving.spread(value)
        return jnp.concatenate([jnp.where(used, lack, p), solving.per_player(p) - 1])

    def newton(point, _):
        return point - jnp.linalg.solve(jax.jacfwd(system)(point), system(point)), None

    point = jnp.concatenate([jnp.where(used, chance, 0), solving.best(worth)])
    point, _ = jax.lax.scan(newton, point, None, length=5)
    p = point[:size]
    inside = jnp.all(p >= -tolerance)
    p = jnp.maximum(p, 0)
    return jnp.where(inside, p / solving.spread(solving.per_player(p)), jnp.nan)
