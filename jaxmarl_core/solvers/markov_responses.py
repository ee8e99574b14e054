"""Exact best responses in Markov games: what Markov strategies are worth, and what could be gained.

Against others who play Markov strategies a player faces a Markov decision process, so that one of
its best responses is pure and Markov, too.

Filar & Vrieze, 1997, Competitive Markov Decision Processes, section 4.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import require_shape
from jaxmarl_core.solvers.markov_games import MarkovGame, backup


class MarkovResponse(NamedTuple):
    """A best response, and what it is worth."""

    policy: jax.Array  # [S, A_i] f32, zeros and ones, the first of equal actions
    value: jax.Array  # [S] f32, of each state
    residual: jax.Array  # [] f32, what another sweep would change of the value
    converged: jax.Array  # [] bool: the residual is at most the tolerance


def best_response(
    game: MarkovGame,
    policies: Sequence[jax.Array],
    player: int,
    gamma: float | jax.Array,
    tolerance: float = 1e-6,
    max_sweeps: int = 10_000,
) -> MarkovResponse:
    """Returns a best response to the others' Markov strategies, by value iteration.

    Args:
      game: the tables.
      policies: N times [S, A_i], distributions over legal actions; the player's own is not used.
      player: its number, static.
      gamma: in [0, 1]; with 1 the game must end, whatever is played.
      tolerance: of the value, of a sweep; in units of reward.
      max_sweeps: at most, static.

    Raises:
      ValueError: shapes or the player do not fit the game.
    """
    _check(game, policies)
    require(0 <= player < game.num_players, "player", f"below {game.num_players}", player)

    def improved(value):
        q = _action_values(game, policies, player, value, gamma)
        q = jnp.where(game.legal[player], q, -jnp.inf)
        return jnp.where(game.terminal, 0.0, q.max(1)), q

    value, residual = _fixed_point(lambda value: improved(value)[0], game, tolerance, max_sweeps)
    best = improved(value)[1].argmax(1)
    pure = jax.nn.one_hot(best, game.num_actions[player], dtype=value.dtype)
    return MarkovResponse(pure, value, residual, residual <= tolerance)


def policy_values(
    game: MarkovGame,
    policies: Sequence[jax.Array],
    gamma: float | jax.Array,
    tolerance: float = 1e-6,
    max_sweeps: int = 10_000,
) -> jax.Array:
    """Returns what Markov strategies are worth to each player in each state, [N, S] f32."""
    _check(game, policies)

    def valued(player):
        def sweep(value):
            q = _action_values(game, policies, player, value, gamma)
            return jnp.where(game.terminal, 0.0, (policies[player] * q).sum(1))

        return _fixed_point(sweep, game, tolerance, max_sweeps)[0]

    return jnp.stack([valued(player) for player in range(game.num_players)])


def nash_conv(
    game: MarkovGame, policies: Sequence[jax.Array], gamma: float | jax.Array
) -> jax.Array:
    """Returns what all players could gain by best responses, summed, from the start, [] f32.

    0 in a Nash equilibrium of Markov strategies. Lanctot et al., 2017, arXiv:1711.00832.
    """
    now = policy_values(game, policies, gamma)
    best = [best_response(game, policies, i, gamma).value for i in range(game.num_players)]
    return sum((game.start * (b - v)).sum() for b, v in zip(best, now))  # type: ignore[return-value]


def _check(game: MarkovGame, policies: Sequence[jax.Array]) -> None:
    count = game.num_players
    require(len(policies) == count, "policies", f"one for each of {count}", len(policies))
    for player, policy in enumerate(policies):
        shape = (game.num_states, game.num_actions[player])
        require_shape(f"policies[{player}]", policy, shape)


def _action_values(game: MarkovGame, policies, player: int, value: jax.Array, gamma) -> jax.Array:
    """Returns what a player's actions are worth if play goes on to be worth `value`, [S, A_i]."""
    own = game._replace(reward=game.reward[player][None])
    q = backup(own, value[None], gamma)[0]  # [S, A_1, ..., A_N]
    return jax.vmap(partial(_mean_over_others, player))(q, tuple(policies))


def _mean_over_others(player: int, q: jax.Array, policies) -> jax.Array:
    for other in reversed(range(len(policies))):
        if other != player:
            # what is never played may be worth anything
            pi = policies[other]
            q = jnp.tensordot(q, pi, axes=(other, 0))
    return q


def _fixed_point(sweep, game: MarkovGame, tolerance: float, max_sweeps: int):
    """Returns (the value [S] that a contraction leaves as it is, the last change)."""
    start = jnp.zeros(game.num_states, game.reward.dtype)

    def going(carry):
        _, change, count = carry
        return (change > tolerance) & (count < max_sweeps)

    def step(carry):
        value, _, count = carry
        after = sweep(value).astype(value.dtype)
        return after, jnp.abs(after - value).max(), count + 1

    infinite = jnp.asarray(jnp.inf, start.dtype)
    value, change, _ = jax.lax.while_loop(going, step, (start, infinite, jnp.int32(0)))
    return value, change
