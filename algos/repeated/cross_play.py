"""Different rules in one game: a rule a player, numbers of their own, opponents who do not learn.

    rules = by_player(giga_wolf_rule, with_hparams(iga_rule, Hparams(step_size=1e-3)))
    algorithm = repeated(env, config, rules, Hparams(step_size=0.1))

The algorithm's hparams, which a sweep may vary, are those of the players without their own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.tabular.rules import Entry, GameInfo, Rule, RuleBuilder
from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs


def by_player(*rules: RuleBuilder) -> RuleBuilder:
    """Returns one builder for all players, who gives player i the i-th rule.

    It works whether the players are one group, as in a team's game, or a group each.

    Raises:
      ValueError: when used in a game of another number of players.
    """

    def build(info: GameInfo) -> Rule:
        players = len(info.num_actions)
        require(len(rules) == players, "rules", f"one for each of {players} players", len(rules))
        # as if informed: then every player has a rule of its own
        return rules[info.player](info)._replace(informed=True)

    return build


def with_hparams(rule: RuleBuilder, hparams: Any) -> RuleBuilder:
    """Returns the rule with numbers of its own, whatever the algorithm's are.

    What strategies explore by remains the algorithm's.
    """

    def build(info: GameInfo) -> Rule:
        built = rule(info)
        init = lambda key, hp: built.init(key, hparams)
        learn = lambda entry, next_entry, t, hp: built.learn(entry, next_entry, t, hparams)
        return built._replace(init=init, learn=learn)

    return build


@struct.dataclass
class Restarting:
    """An entry, and the rounds since it began anew."""

    entry: Entry
    rounds: jax.Array  # [] int32


def restarting(
    rule: RuleBuilder,
    period: int,
    restart: Callable[[Entry, Entry], Entry] = lambda entry, fresh: fresh,
) -> RuleBuilder:
    """Returns the rule that begins anew every so many rounds; its entries are `Restarting`.

    Args:
      rule: which; one that neither recommends nor plans.
      period: rounds between beginnings.
      restart: maps (entry, an entry as at the start) to the entry to begin with; by default nothing
        stays.

    Raises:
      ValueError: a period below 1.
    """
    require(period >= 1, "period", "at least 1", period)

    def build(info: GameInfo) -> Rule:
        built = rule(info)

        def init(key, hp):
            return Restarting(built.init(key, hp), jnp.int32(0))

        def learn(row, next_row, t, hp):
            entry, metrics = built.learn(row.entry, next_row.entry, t, hp)
            fresh = restart(entry, built.init(jax.random.fold_in(t.key, 1), hp))
            due = row.rounds + 1 >= period
            entry = jax.tree.map(lambda new, old: jnp.where(due, new, old), fresh, entry)
            return Restarting(entry, jnp.where(due, 0, row.rounds + 1)), metrics

        return built._replace(
            init=init,
            strategy=lambda row, *rest: built.strategy(row.entry, *rest),
            greedy=lambda row, mask: built.greedy(row.entry, mask),
            learn=learn,
        )

    return build


def stationary(strategy: Sequence[float] | None = None) -> RuleBuilder:
    """Returns the rule that always draws from one strategy.

    Args:
      strategy: [A], sums to 1; None: each run has its own, drawn anywhere on the simplex.

    Raises:
      ValueError: not a strategy, or, when used, not of the player's number of actions.
    """
    given = None if strategy is None else np.asarray(strategy, np.float32)
    if given is not None:
        sums = given.ndim == 1 and bool((given >= 0).all() and abs(given.sum() - 1) < 1e-5)
        require(sums, "strategy", "probabilities that sum to 1", given)

    def build(info: GameInfo) -> Rule:
        count = info.num_actions[info.player]
        if given is not None:
            require(len(given) == count, "strategy", f"{count} probabilities", given)

        def init(key, hp):
            return jax.random.dirichlet(key, jnp.ones(count)) if given is None else given

        def learn(entry, next_entry, t, hp):
            return entry, {}

        return Rule(
            init, lambda entry, mask, e: entry, lambda entry, mask: entry, learn, informed=True
        )

    return build


def exploit_fictitious_play(info: GameInfo) -> Rule:
    """Returns the rule that guesses that the others play fictitious play, and answers that.

    An adversary with perfect insight into a fictitious player: it counts as that one counts, works
    out what it will do, and does what is best against it. Two players.

    Raises:
      ValueError: there are not two players.
    """
    players = len(info.num_actions)
    require(players == 2, "exploit_fictitious_play", "two players", players)
    own, other = info.player, 1 - info.player

    def act(entry, mask, exploration=0.0):
        share = entry / entry.sum()
        theirs = jnp.argmax(action_payoffs(info.payoffs[other], [share, share], other))
        done = jax.nn.one_hot(theirs, info.num_actions[other])
        worth = action_payoffs(info.payoffs[own], [done, done], own)
        return jax.nn.one_hot(jnp.argmax(jnp.where(mask, worth, -jnp.inf)), len(worth))

    def learn(entry, next_entry, t, hp):
        return entry + jax.nn.one_hot(t.joint_action[own], len(entry)), {}

    init = lambda key, hp: jnp.ones(info.num_actions[own])
    return Rule(init, act, act, learn, informed=True)
