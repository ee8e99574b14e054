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

from jaxmarl_core.algos.repeated.engine import against_actions, repeated, uniform
from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class RegretHparams:
    """Traced numbers of regret matching."""

    retention: float = hparam(1.0, 0.0, 1.0)  # factor on past regrets, every round; 1: none fades


@struct.dataclass
class WeightsHparams:
    """Traced numbers of multiplicative weights."""

    step_size: float = hparam(1.0, 0.0, 1e6, "log")  # over sqrt(rounds); in units of 1 / payoff


@struct.dataclass
class Row:
    score: jax.Array  # [A] f32: regrets, or summed payoffs
    strategy: jax.Array  # [A] f32
    average: jax.Array  # [A] f32, of the strategies played
    rounds: jax.Array  # [] f32


def regret_strategy(regret: jax.Array) -> jax.Array:
    """Returns the strategy in proportion to positive regrets, uniform if there are none; [A]."""
    positive = jnp.maximum(regret, 0.0)
    total = positive.sum()
    return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1.0), 1.0 / len(regret))


def matched(row: Row, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (regrets, strategy): regrets add up."""
    regret = hp.retention * row.score + payoffs - got
    return regret, regret_strategy(regret)


def matched_plus(row: Row, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (regrets, strategy): regrets add up, and never fall below 0."""
    regret = jnp.maximum(hp.retention * row.score + payoffs - got, 0.0)
    return regret, regret_strategy(regret)


def weighted(row: Row, payoffs: jax.Array, got: jax.Array, hp: Any):
    """Returns (summed payoffs, strategy): weights grow by the exponential of payoffs."""
    total = row.score + payoffs
    return total, jax.nn.softmax(hp.step_size / jnp.sqrt(row.rounds + 1) * total)


def rule(seat: Seat, step=matched) -> Rule:
    """Returns the rule that turns payoffs into a strategy so."""

    def first(key, hp):
        start = uniform(seat)
        return Row(jnp.zeros_like(start), start, start, jnp.float32(0))

    def learn(row, next_row, t, hp):
        payoffs = against_actions(seat, t)
        score, strategy = step(row, payoffs, payoffs[t.action], hp)
        rounds = row.rounds + 1
        average = row.average + (row.strategy - row.average) / rounds
        return Row(score, strategy, average, rounds), {}

    act = lambda row, mask, exploration: row.strategy
    return Rule(first, act, lambda row, mask: row.average, learn, informed=True)


def regret_matching(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns regret matching for every player; when greedy, players draw from their average."""
    return repeated(env, config, rule, RegretHparams())


def regret_matching_plus(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns regret matching+ for every player."""
    return repeated(env, config, partial(rule, step=matched_plus), RegretHparams())


def multiplicative_weights(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multiplicative weights (Hedge) with a step of 1 / sqrt(t), for every player."""
    return repeated(env, config, partial(rule, step=weighted), WeightsHparams())
