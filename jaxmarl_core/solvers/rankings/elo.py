"""Elo ratings by maximum likelihood: a number a player, from the games that all have played.

    P(i beats j) = 1 / (1 + 10^((r_j - r_i) / 400))

is the model of Zermelo, 1929, and of Bradley & Terry, 1952, Biometrika 39, in Elo's unit: 400
points are odds of ten to one. All games count at once, so that their order does not matter, as it
does to the ratings of chess clubs. The likelihood is concave, and its maximum is finite if and only
if the players cannot be parted into two camps of which one never lost a point to the other (Ford,
1957; Hunter, 2004, Ann. Stat. 32, assumption 1): an unbeaten player has no finite rating, unless a
prior says that it could have lost.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import as_floats, require_equal_shapes, require_shape

POINTS = 400 / jnp.log(10.0).item()  # of Elo in a unit of log-odds


class EloRatings(NamedTuple):
    """What the players are rated, and whether they can be."""

    rating: jax.Array  # [P] f32, in Elo's points; NaN where no maximum is finite
    exists: jax.Array  # [] bool: a finite maximum exists
    converged: jax.Array  # [] bool: and expected points are those scored, up to rounding


def elo(
    wins: Any,
    draws: Any = None,
    prior: Any = 0.0,
    mean: Any = 0.0,
    max_steps: int = 200,
) -> EloRatings:
    """Returns the ratings that make the games most likely.

    At the maximum each player's expected points against its opponents are those that it scored; a
    draw is half a point to both. Found by Newton steps damped as Sun & Tran-Dinh, 2019, Math.
    Program. 178, do for functions with |f'''| <= M f'': each step increases the likelihood, and
    near the maximum it is Newton's. In double precision.

    Args:
      wins: [P, P], `wins[i, j]` games that i won against j; the diagonal is ignored.
      draws: [P, P] symmetric, games drawn between them; None: none.
      prior: games, at least 0, that everybody is taken to have drawn with everybody else on top of
        what was played. Any above 0 makes ratings finite; it pulls them together, the less the more
        was played.
      mean: what ratings average to: they say nothing but differences.
      max_steps: at most so many, static; 5 to 20 are usual.

    Raises:
      ValueError: shapes that differ, or no square.
    """
    wins = jnp.asarray(wins)
    draws = jnp.zeros_like(wins) if draws is None else draws
    require_shape("wins", wins, (None, len(wins) if wins.ndim else None))
    require_equal_shapes(wins=wins, draws=draws)
    with jax.enable_x64(True):
        wins, draws, prior, mean = (_double(x) for x in (wins, draws, prior, mean))
        others = ~jnp.eye(len(wins), dtype=bool)
        points = jnp.where(others, wins + (draws + prior) / 2, 0)
        exists = _connected(points > 0)
        strength, settled = _climbed(points, exists, max_steps)
        rating = jnp.where(exists, mean + POINTS * strength, jnp.nan).astype(jnp.float32)
        return EloRatings(rating, exists, exists & settled)


def _double(x) -> jax.Array:
    return jnp.asarray(x).astype(jnp.float64)


@partial(jax.jit, static_argnames="max_steps")
def _climbed(points: jax.Array, exists: jax.Array, max_steps: int) -> tuple[jax.Array, jax.Array]:
    """Returns log-odds [P] with mean 0, and whether they explain the points [P, P]."""
    games = points + points.T
    tolerance = 1e-10 * (1 + games.sum(1))

    def slopes(strength):  # points beyond those expected [P], the weights of games [P, P]
        chance = jax.nn.sigmoid(strength[:, None] - strength[None])
        return (points - games * chance).sum(1), games * chance * (1 - chance)

    def going(carry):
        strength, count = carry
        return (jnp.abs(slopes(strength)[0]) > tolerance).any() & (count < max_steps) & exists

    def step(carry):
        strength, count = carry
        gradient, weight = slopes(strength)
        laplacian = jnp.diag(weight.sum(1)) - weight
        # all may move together for nothing: a multiple of 1 1' takes that direction, to which the
        # gradient is orthogonal
        move = jnp.linalg.solve(laplacian + weight.mean(), gradient)
        width = jnp.maximum(move.max() - move.min(), 1e-9)
        strength = strength + jnp.log1p(width) / width * move
        return strength - strength.mean(), count + jnp.int32(1)

    start = jnp.zeros(len(points), points.dtype), jnp.int32(0)
    strength, _ = jax.lax.while_loop(going, step, start)
    return strength, (jnp.abs(slopes(strength)[0]) <= tolerance).all()


@jax.jit
def _connected(beats: jax.Array) -> jax.Array:
    """Returns whether, in [P, P] bool, each reaches each other one along what is true."""
    size = len(beats)
    reach = beats | jnp.eye(size, dtype=bool)
    for _ in range(max(1, size - 1).bit_length()):  # paths of twice the length
        reach = (reach.astype(jnp.float32) @ reach.astype(jnp.float32)) > 0
    return reach.all()


def expected_score(rating: jax.Array) -> jax.Array:
    """Returns what share of the points ratings [P] promise to each against each, [P, P].

    Raises ValueError unless there is a list of them.
    """
    (rating,) = as_floats(rating)
    require(rating.ndim == 1, "rating", "a list [P]", f"shape {rating.shape}")
    return jax.nn.sigmoid((rating[:, None] - rating[None]) / POINTS)
