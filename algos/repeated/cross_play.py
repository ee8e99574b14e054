"""Different rules in one game: who sits where, with which numbers, and opponents who do not learn.

    rules = seated(giga_wolf_rule, with_hparams(iga_rule, Hparams(step_size=1e-3)))
    algorithm = repeated(env, config, rules, Hparams(step_size=0.1))

The algorithm's hparams, which a sweep may vary, are those of the players without their own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.algos.tabular.engine import Row, Rule, RuleBuilder, Seat
from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs


def seated(*rules: RuleBuilder) -> RuleBuilder:
    """Returns one builder for all seats, who gives player i the i-th rule.

    It works whether the players are one group, as in a team's game, or a group each.

    Raises:
      ValueError: when used in a game of another number of players.
    """

    def build(seat: Seat) -> Rule:
        players = len(seat.num_actions)
        require(len(rules) == players, "rules", f"one for each of {players} players", len(rules))
        # as if informed: then every player has a seat, and so a rule, of its own
        return rules[seat.player](seat)._replace(informed=True)

    return build


def with_hparams(rule: RuleBuilder, hparams: Any) -> RuleBuilder:
    """Returns the rule with numbers of its own, whatever the algorithm's are.

    What strategies explore by remains the algorithm's.
    """

    def build(seat: Seat) -> Rule:
        built = rule(seat)
        first = lambda key, hp: built.first(key, hparams)
        learn = lambda row, next_row, t, hp: built.learn(row, next_row, t, hparams)
        return built._replace(first=first, learn=learn)

    return build


def restarting(
    rule: RuleBuilder, period: int, again: Callable[[Row, Row], Row] = lambda row, fresh: fresh
) -> RuleBuilder:
    """Returns the rule that begins anew every so many rounds.

    Args:
      rule: which.
      period: rounds between beginnings.
      again: maps (row, a row as at the start) to the row to begin with; by default nothing stays.

    Raises:
      ValueError: a period below 1.
    """
    require(period >= 1, "period", "at least 1", period)

    def build(seat: Seat) -> Rule:
        built = rule(seat)

        def learn(row, next_row, t, hp):
            row, metrics = built.learn(row, next_row, t, hp)
            fresh = again(row, built.first(jax.random.fold_in(t.key, 1), hp))
            due = (t.step + 1) % period == 0
            return jax.tree.map(lambda new, old: jnp.where(due, new, old), fresh, row), metrics

        return built._replace(learn=learn)

    return build


def stationary(strategy: Sequence[float] | None = None) -> RuleBuilder:
    """Returns the rule that always draws from one strategy.

    Args:
      strategy: [A], sums to 1; None: each run has its own, drawn anywhere on the simplex.

    Raises:
      ValueError: not a strategy, or, when used, not of the player's number of actions.
    """
    if strategy is not None:
        strategy = np.asarray(strategy, np.float32)
        sums = strategy.ndim == 1 and bool((strategy >= 0).all() and abs(strategy.sum() - 1) < 1e-5)
        require(sums, "strategy", "probabilities that sum to 1", strategy)

    def build(seat: Seat) -> Rule:
        count = seat.num_actions[seat.player]
        if strategy is not None:
            require(len(strategy) == count, "strategy", f"{count} probabilities", strategy)

        def first(key, hp):
            return jax.random.dirichlet(key, jnp.ones(count)) if strategy is None else strategy

        def learn(row, next_row, t, hp):
            return row, {}

        return Rule(first, lambda row, mask, e: row, lambda row, mask: row, learn, informed=True)

    return build


def outguess(seat: Seat) -> Rule:
    """Returns the rule that guesses that the others play fictitious play, and answers that.

    An adversary with perfect insight into a fictitious player: it counts as that one counts, works
    out what it will do, and does what is best against it. Two players.

    Raises:
      ValueError: there are not two players.
    """
    players = len(seat.num_actions)
    require(players == 2, "outguess", "two players", players)
    own, other = seat.player, 1 - seat.player

    def act(row, mask, exploration=0.0):
        share = row / row.sum()
        believed = [share if j == own else None for j in range(2)]
        theirs = jnp.argmax(action_payoffs(seat.payoffs[other], believed, other))
        done = jax.nn.one_hot(theirs, seat.num_actions[other])
        worth = action_payoffs(seat.payoffs[own], [done, done], own)
        return jax.nn.one_hot(jnp.argmax(jnp.where(mask, worth, -jnp.inf)), len(worth))

    def learn(row, next_row, t, hp):
        return row + jax.nn.one_hot(t.joint[own], len(row)), {}

    first = lambda key, hp: jnp.ones(seat.num_actions[own])
    return Rule(first, act, act, learn, informed=True)
