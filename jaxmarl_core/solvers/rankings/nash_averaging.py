"""Nash averaging: players rated against the mixture of them that nobody beats.

In the game "choose a player to play for you", whose payoffs are log-odds of winning, the
equilibrium of largest entropy is unique, and weighs each player as much as it is needed. Each is
rated by what it earns against that mixture: 0 for those in it, at most 0 for all others. A copy of
a player shares its weight, a player whom all beat has none, and ratings stay as they were.

Balduzzi et al., 2018, arXiv:1806.02643.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import as_floats, require_equal_shapes, require_shape

GROWTH, NUM_STAGES, NUM_CORRECTIONS = 1.5, 58, 4  # 1.5^58 = 1.6e10


class NashAverage(NamedTuple):
    """The mixture that nobody beats, and how everybody does against it."""

    mass: jax.Array  # [P] f32, sums to 1
    rating: jax.Array  # [P] f32, in units of payoff; 0 in the support, at most 0 elsewhere
    gap: jax.Array  # [] f32, the most that somebody earns against it: a certificate
    converged: jax.Array  # [] bool: the gap is below 1e-5 of the payoffs' range


def win_logits(wins: Any, draws: Any = None, prior: Any = 1.0) -> jax.Array:
    """Returns log-odds of winning [P, P], antisymmetric, 0 on the diagonal.

    log(points / points of the other), with half a point a draw.

    Args:
      wins: [P, P], games that the row's player won against the column's.
      draws: [P, P] symmetric; None: none.
      prior: games that all are taken to have drawn on top; without any, who never lost a point has
        infinite odds. 1 is the correction of Haldane, 1956, and Anscombe, 1956.
    """
    wins = jnp.asarray(wins)
    draws = jnp.zeros_like(wins) if draws is None else draws
    require_shape("wins", wins, (None, len(wins) if wins.ndim else None))
    require_equal_shapes(wins=wins, draws=draws)
    wins, draws, prior = as_floats(wins, draws, prior)
    log_points = jnp.log(wins + (draws + prior) / 2)
    return jnp.where(jnp.eye(len(wins), dtype=bool), 0, log_points - log_points.T)


def nash_averaging(payoff: Any) -> NashAverage:
    """Returns the equilibrium of largest entropy of an antisymmetric game, and what all earn by it.

    The game with a bonus of both sides' entropy over t has one saddle point, the same for both,

        p_t = softmax(t payoff p_t)

    whose entropy is at least that of any equilibrium, as each side could choose that one; so as t
    grows it tends to the equilibrium of largest entropy. It is followed from uniform play to t of
    1.6e9 over the largest payoff, by Newton's method in double precision: its Jacobian, an
    antisymmetric matrix times a covariance less the identity, is never singular. Of what a linear
    program would find, a vertex, there may be many, and they depend on the order of the players.

    Args:
      payoff: [P, P], antisymmetric, such as `win_logits`; (payoff - payoff') / 2 is taken.
    """
    payoff = jnp.asarray(payoff)
    fits = payoff.ndim == 2 and payoff.shape[0] == payoff.shape[1]
    require(fits, "payoff", "a square matrix [P, P]", f"shape {payoff.shape}")
    with jax.enable_x64(True):
        a = payoff.astype(jnp.float64)
        a = (a - a.T) / 2
        largest = jnp.abs(a).max()
        scale = jnp.where(largest > 0, largest, 1)
        mass = _followed(a / scale)
        earned = a @ mass
        gap = earned.max()
        converged = gap <= 1e-5 * 2 * scale
        out = NashAverage(mass, earned, gap, converged)
        return jax.tree.map(lambda x: x if x.dtype == bool else x.astype(jnp.float32), out)


@jax.jit
def _followed(a: jax.Array) -> jax.Array:
    """Returns the end [P] of the path z = t a softmax(z), from t = 0.1 on; |a| at most 1."""
    size = len(a)

    def solve(z, t, right):
        p = jax.nn.softmax(z)
        spread = a * p[None] - (a @ p)[:, None] * p[None]  # a times the covariance
        return jnp.linalg.solve(t * spread - jnp.eye(size, dtype=a.dtype), right)

    def correct(_, carry):
        z, t = carry
        return z - solve(z, t, t * (a @ jax.nn.softmax(z)) - z), t

    def stage(_, carry):
        z, t = carry
        further = GROWTH * t
        z = z - (further - t) * solve(z, t, a @ jax.nn.softmax(z))  # Euler's step along the path
        return jax.lax.fori_loop(jnp.int32(0), jnp.int32(NUM_CORRECTIONS), correct, (z, further))

    start = jnp.zeros(size, a.dtype), jnp.asarray(0.1, a.dtype)
    start = jax.lax.fori_loop(jnp.int32(0), jnp.int32(NUM_CORRECTIONS), correct, start)
    z, _ = jax.lax.fori_loop(jnp.int32(0), jnp.int32(NUM_STAGES), stage, start)
    return jax.nn.softmax(z)
