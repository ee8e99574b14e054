"""No-regret learning: regret matching, its plus form, and multiplicative weights.

Each compares what it got with what every fixed action would have got against the same play, and the
average of play tends to a coarse correlated equilibrium: to an equilibrium in zero-sum games.
Players know their payoffs and see actions.

Hart & Mas-Colell, 2000, Econometrica 68 (here with external regret); Tammelin, 2014,
arXiv:1407.5042 (plus); Freund & Schapire, 1999, Games and Economic Behavior 29.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, against_actions, repeated, uniform
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers: one of regret matching, one of multiplicative weights."""

    retention: float | None = hparam(None, 0.0, 1.0)  # factor on past regrets, every round
    step_size: float | None = hparam(None, 0.0, 1e6, "log")  # over sqrt(rounds); per payoff


REGRETS = Hparams(retention=1.0)  # none fades
WEIGHTS = Hparams(step_size=1.0)


@struct.dataclass
class Entry:
    score: jax.Array  # [A] f32: regrets, or summed payoffs
    strategy: jax.Array  # [A] f32
    average: jax.Array  # [A] f32, of the strategies played
    rounds: jax.Array  # [] f32


def regret_strategy(regret: jax.Array) -> jax.Array:
    """Returns the strategy in proportion to positive regrets, uniform if there are none; [A]."""
    positive = jnp.maximum(regret, 0.0)
    total = positive.sum()
    return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1.0), 1.0 / len(regret))


def matched(entry: Entry, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (regrets, strategy): regrets add up."""
    regret = hp.retention * entry.score + payoffs - got
    return regret, regret_strategy(regret)


def matched_plus(entry: Entry, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (regrets, strategy): regrets add up, and never fall below 0."""
    regret = jnp.maximum(hp.retention * entry.score + payoffs - got, 0.0)
    return regret, regret_strategy(regret)


def weighted(entry: Entry, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (summed payoffs, strategy): weights grow by the exponential of payoffs."""
    total = entry.score + payoffs
    return total, jax.nn.softmax(hp.step_size / jnp.sqrt(entry.rounds + 1) * total)


def rule(info: GameInfo, step=matched) -> Rule:
    """Returns the rule that turns payoffs into a strategy so."""

    def init(key, hp):
        start = uniform(info)
        return Entry(jnp.zeros_like(start), start, start, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        payoffs = against_actions(info, t)
        score, strategy = step(entry, payoffs, payoffs[t.action], hp)
        rounds = entry.rounds + 1
        average = entry.average + (entry.strategy - entry.average) / rounds
        return Entry(score, strategy, average, rounds), {}

    act = lambda entry, mask, exploration: entry.strategy
    return Rule(init, act, lambda entry, mask: entry.average, learn, informed=True)


def regret_matching(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns regret matching for every player; when greedy, players draw from their average."""
    require_own("regret_matching", config, Config)
    return repeated(env, config, rule, REGRETS)


def regret_matching_plus(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns regret matching+ for every player."""
    require_own("regret_matching_plus", config, Config)
    return repeated(env, config, partial(rule, step=matched_plus), REGRETS)


def multiplicative_weights(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multiplicative weights (Hedge) with a step of 1 / sqrt(t), for every player."""
    require_own("multiplicative_weights", config, Config)
    return repeated(env, config, partial(rule, step=weighted), WEIGHTS)
