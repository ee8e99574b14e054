"""A pool of opponents as state: parameters, who won against whom, and who is drawn how often.

Fictitious self-play draws uniformly from all past copies (Heinrich et al., 2015, ICML); prioritised
fictitious self-play draws those more often against whom the learner loses (Vinyals et al., 2019,
Nature 575, "AlphaStar", supplement).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.types import Params

EMPTY = -1


@struct.dataclass
class Pool:
    """K places for parameters of one policy. A newcomer takes an empty place, or the oldest's."""

    params: Params  # leaves [K, ...]
    entries: jax.Array  # [K] int32, how many were added before; EMPTY: nobody is there
    score: jax.Array  # [K] f32, the learner's games won against each, and half of those drawn
    games: jax.Array  # [K] f32, the learner's games against each, older ones counting less
    num_added: jax.Array  # [] int32

    @property
    def size(self) -> int:
        """K."""
        return self.entries.shape[-1]


def new_pool(params: Params, size: int) -> Pool:
    """Returns a pool of `size` places with these parameters in the first; the rest are empty."""
    require(size >= 1, "size", "at least 1", size)
    none = jnp.zeros(size, jnp.float32)
    entries = jnp.full(size, EMPTY, jnp.int32)
    places = jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *jnp.shape(x))), params)
    return add(Pool(places, entries, none, none, jnp.int32(0)), params)


def add(pool: Pool, params: Params) -> Pool:
    """Returns the pool with these parameters in the place of the oldest, nothing played yet."""
    slot = pool.num_added % pool.size
    put = lambda places, x: places.at[slot].set(x)
    return Pool(
        jax.tree.map(put, pool.params, params),
        put(pool.entries, pool.num_added),
        put(pool.score, 0.0),
        put(pool.games, 0.0),
        pool.num_added + 1,
    )


def record(pool: Pool, score: jax.Array, games: jax.Array, decay: float = 1.0) -> Pool:
    """Returns the pool with more games counted.

    Args:
      pool: before.
      score: [K] f32, those the learner won against each, and half of those drawn.
      games: [K] f32, how many were played.
      decay: in (0, 1], what a game counts less for each that is played after it against the same;
        those recorded together count alike.
    """
    kept = jnp.power(decay, games)
    score, games = kept * pool.score + score, kept * pool.games + games
    return dataclasses.replace(pool, score=score, games=games)


def win_rates(pool: Pool) -> jax.Array:
    """Returns how often the learner wins against each, [K] f32; a half where none was played."""
    return jnp.where(pool.games > 0, pool.score / jnp.where(pool.games > 0, pool.games, 1.0), 0.5)


def uniform(pool: Pool, power: float) -> jax.Array:
    """Everybody alike: fictitious self-play."""
    return jnp.ones(pool.size, jnp.float32)


def latest(pool: Pool, power: float) -> jax.Array:
    """The newest alone: self-play."""
    return (pool.entries == pool.entries.max()).astype(jnp.float32)


def hard(pool: Pool, power: float) -> jax.Array:
    """(1 - x)^power for a win rate x: those who are not beaten yet."""
    return jnp.power(1.0 - win_rates(pool), power)


def even(pool: Pool, power: float) -> jax.Array:
    """x (1 - x) for a win rate x: those of one's own strength."""
    rate = win_rates(pool)
    return rate * (1.0 - rate)


DRAWS: dict[str, Callable[[Pool, float], jax.Array]] = {
    "uniform": uniform,
    "latest": latest,
    "hard": hard,
    "even": even,
}
BY_WIN_RATE = ("hard", "even")


def draw_weights(pool: Pool, draw: str = "uniform", power: float = 2.0) -> jax.Array:
    """Returns how often each of a pool is to be drawn, [K] f32 >= 0, with sum 1.

    Args:
      pool: with somebody in it.
      draw: a key of `DRAWS`: "uniform", "latest", or prioritised by win rate, "hard" (AlphaStar's
        f_hard) or "even" (its f_var). All alike where all are beaten.
      power: of "hard", >= 0.

    Raises:
      ValueError: an unknown draw, with the nearest.
    """
    there = (pool.entries != EMPTY).astype(jnp.float32)
    weights = lookup(DRAWS, draw, "draw")(pool, power) * there
    total = weights.sum()
    weights = jnp.where(total > 1e-10, weights, there)
    return weights / weights.sum()
