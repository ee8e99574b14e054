"""What strategies are worth, and how much is lost by sticking to them: exact best responses."""

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form.card_game import (
    CardGame,
    action_values,
    counterfactual_values,
    leaf_matrices,
    reach,
    require_shapes,
)

Pair = tuple[jax.Array, jax.Array]


def expected_value(game: CardGame, strategies: Pair) -> jax.Array:
    """Returns what player 0 wins on average, [].

    Args:
      game: from `poker` or its relatives.
      strategies: of both players, each [N, A, C]: a distribution over A for each public state and
        card.
    """
    require_shapes(game, strategies)
    own, other = (reach(*each) for each in zip(game.decisions, strategies))
    return jnp.sum(own * counterfactual_values(leaf_matrices(game, 0), other))


def best_response(game: CardGame, strategies: Pair, player: int) -> tuple[jax.Array, jax.Array]:
    """Returns the most that a player can win against the other's strategy, and a pure way to.

    Args:
      game: from `poker` or its relatives.
      strategies: of both players, each [N, A, C]; the player's own is not used.
      player: 0 or 1, static.

    Returns:
      [], on average over the cards; and a strategy [N, A, C] of zeros and ones, the first of equal
      actions.
    """
    require_shapes(game, strategies)
    require(player in (0, 1), "player", "0 or 1", player)
    decisions = game.decisions[player]
    other = reach(game.decisions[1 - player], strategies[1 - player])
    values = counterfactual_values(leaf_matrices(game, player), other)
    legal = decisions.legal[..., None]
    q, w = action_values(
        decisions, values, lambda q, level: jnp.where(legal[level], q, -jnp.inf).max(1)
    )
    best = jnp.argmax(jnp.where(legal, q, -jnp.inf), axis=1)
    strategy = jax.nn.one_hot(best, legal.shape[1], axis=1, dtype=q.dtype)
    return w[decisions.levels()[0]].sum() + values[-1].sum(), strategy


def nash_conv(game: CardGame, strategies: Pair) -> jax.Array:
    """Returns the sum over players of what a best response would gain, []; 0 at an equilibrium."""
    # in a zero-sum game, what both win with their strategies cancels
    return best_response(game, strategies, 0)[0] + best_response(game, strategies, 1)[0]


def exploitability(game: CardGame, strategies: Pair) -> jax.Array:
    """Returns half of `nash_conv`: what a best response wins on average over both seats, []."""
    return nash_conv(game, strategies) / 2
