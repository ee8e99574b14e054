"""Games whose best responses are computed: for the double oracle, and as a measure of others.

A mixture is drawn from before the game. In a card game the strategy that plays the same is built
from it, decision by decision (Kuhn's theorem: players remember what they did and saw).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form.best_responses import best_response, expected_value
from jaxmarl_core.solvers.extensive_form.card_game import CardGame, Decisions, reach, uniform


class Mixture(NamedTuple):
    """Some strategies of a player, and how often it plays by each."""

    strategies: Sequence[Any]  # n
    weights: np.ndarray  # [n] f64, sum 1


class ExactGame(NamedTuple):
    """A game of two players with exact best responses."""

    payoff: Callable[[Any, Any], tuple[float, float]]  # (strategies) -> what both earn
    best_response: Callable[[int, Mixture], tuple[Any, float]]
    # (player, the other's mixture) -> (a best strategy, what it earns)
    worth: Callable[[tuple[Mixture, Mixture]], tuple[float, float]]  # what mixtures earn
    first: tuple[Any, Any]  # a strategy of each
    same: Callable[[Any, Any], bool]

    def nash_conv(self, mixtures: tuple[Mixture, Mixture]) -> float:
        """Returns the sum of what both would gain by best responses; 0 in an equilibrium."""
        best = [self.best_response(player, mixtures[1 - player])[1] for player in (0, 1)]
        return float(sum(best) - sum(self.worth(mixtures)))


def from_payoffs(payoffs: Any) -> ExactGame:
    """Returns the game of a table; strategies are actions, integers.

    Args:
      payoffs: [2, A, B], to both; or [A, B], to the row player, who wins what the other loses.
    """
    table = np.asarray(payoffs, np.float64)
    table = np.stack([table, -table]) if table.ndim == 2 else table
    fits = table.ndim == 3 and len(table) == 2
    require(fits, "payoffs", "shape [2, A, B] or [A, B]", table.shape)

    def best(player: int, mixture: Mixture) -> tuple[int, float]:
        mixed = weights(mixture, table.shape[2 - player])
        earned = table[0] @ mixed if player == 0 else mixed @ table[1]
        return int(earned.argmax()), float(earned.max())

    def worth(mixtures: tuple[Mixture, Mixture]) -> tuple[float, float]:
        row, column = (weights(m, size) for m, size in zip(mixtures, table.shape[1:]))
        first, second = row @ table @ column
        return float(first), float(second)

    payoff = lambda a, b: (float(table[0, a, b]), float(table[1, a, b]))
    return ExactGame(payoff, best, worth, (0, 0), lambda a, b: a == b)


def weights(mixture: Mixture, num_actions: int) -> np.ndarray:
    """Returns how often each action is played, [A], by a mixture of actions."""
    return np.bincount(np.asarray(mixture.strategies), mixture.weights, num_actions)


def from_cards(game: CardGame) -> ExactGame:
    """Returns the game of `extensive_form`; strategies are arrays [N, A, C] of that player.

    The first ones are uniform. Two strategies are the same where all their probabilities are.
    """

    value, answers = (
        jax.jit(expected_value),
        [
            jax.jit(lambda strategies, player=player: best_response(game, strategies, player))
            for player in (0, 1)
        ],
    )
    blend = jax.jit(behaviour)
    anyhow = uniform(game)
    capacities: list[int] = [8, 8]

    def played(player: int, mixture: Mixture) -> jax.Array:
        # filled up to a power of two: few programs, however the population grows
        while capacities[player] < len(mixture.strategies):
            capacities[player] *= 2
        missing = capacities[player] - len(mixture.strategies)
        own = jnp.stack([*mixture.strategies, *[anyhow[player]] * missing])
        share = jnp.asarray(np.pad(mixture.weights, (0, missing)), own.dtype)
        return blend(game.decisions[player], own, share)

    def best(player: int, mixture: Mixture) -> tuple[jax.Array, float]:
        other = played(1 - player, mixture)
        pair = (anyhow[0], other) if player == 0 else (other, anyhow[1])
        earned, strategy = answers[player](pair)
        return strategy, float(earned)

    def worth(mixtures: tuple[Mixture, Mixture]) -> tuple[float, float]:
        earned = float(value(game, (played(0, mixtures[0]), played(1, mixtures[1]))))
        return earned, -earned

    def payoff(a, b) -> tuple[float, float]:
        earned = float(value(game, (a, b)))
        return earned, -earned

    return ExactGame(payoff, best, worth, anyhow, lambda a, b: bool(jnp.array_equal(a, b)))


def behaviour(decisions: Decisions, strategies: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns the strategy [N, A, C] that plays what a mixture drawn before the game plays.

        pi(a | n, c) = sum_k w_k r_k(n a, c) / sum_b sum_k w_k r_k(n b, c)

    with r_k the probability of a sequence under strategy k; uniform where none of them arrives.

    Args:
      decisions: of the player.
      strategies: [K, N, A, C], each a distribution over A.
      weights: [K], sum 1.
    """
    num_actions, num_cards = decisions.legal.shape[1], strategies.shape[-1]
    reached = jax.vmap(lambda strategy: reach(decisions, strategy)[:-1])(strategies)
    mixed = jnp.tensordot(weights, reached, 1).reshape(-1, num_actions, num_cards)
    total = mixed.sum(1, keepdims=True)
    legal = decisions.legal.astype(mixed.dtype)[..., None]
    return jnp.where(
        total > 0, mixed / jnp.where(total > 0, total, 1), legal / legal.sum(1, keepdims=True)
    )
