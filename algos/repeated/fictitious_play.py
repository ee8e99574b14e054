"""Fictitious play: best response to the others' past, as if each drew from its frequencies.

The empirical frequencies converge in zero-sum, potential and dominance-solvable games, and cycle in
Shapley's. The smooth form answers by a Boltzmann distribution instead, so that the strategies
themselves can settle. Players know the payoffs and see actions; they answer at the same time, ties
going to the lowest action.

Brown, 1951; Robinson, 1951, Annals of Mathematics 54; Fudenberg & Levine, 1998 (smooth).
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.exploration import boltzmann_probs
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers."""

    prior: float = hparam(1.0, 1e-9, 1e9, "log")  # imagined plays of each action before the first
    prior_spread: float = hparam(0.0, 0.0, 1.0)  # 0: the same number of each; 1: random shares
    temperature: float | None = hparam(None, 0.0, 1e9, "log")  # smooth play; in units of payoff


@struct.dataclass
class Entry:
    counts: tuple[jax.Array, ...]  # N times [A_j] f32, how often each was played
    temperature: jax.Array  # [] f32


def rule(info: GameInfo, smooth: bool = False) -> Rule:
    """Returns the rule."""

    def init(key, hp):
        keys = jax.random.split(key, len(info.num_actions))
        spread, ones = hp.prior_spread, map(jnp.ones, info.num_actions)
        counts = tuple(
            hp.prior * ((1 - spread) * one + spread * len(one) * jax.random.dirichlet(key, one))
            for key, one in zip(keys, ones)
        )
        return Entry(counts, jnp.float32(hp.temperature if smooth else 0.0))

    def answer(entry, mask, exploration):
        beliefs = [count / count.sum() for count in entry.counts]
        worth = action_payoffs(info.payoffs[info.player], beliefs, info.player)
        if smooth:
            return boltzmann_probs(worth, entry.temperature, mask)
        return jax.nn.one_hot(jnp.argmax(jnp.where(mask, worth, -jnp.inf)), len(worth))

    def frequencies(entry, mask):
        return entry.counts[info.player] / entry.counts[info.player].sum()

    def learn(entry, next_entry, t, hp):
        done = [
            jax.nn.one_hot(t.joint_action[j], len(count)) for j, count in enumerate(entry.counts)
        ]
        return entry.replace(counts=tuple(c + d for c, d in zip(entry.counts, done))), {}

    return Rule(init, answer, frequencies, learn, informed=True)


def fictitious_play(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns fictitious play for every player; when greedy, players draw from frequencies."""
    require_own("fictitious_play", config, Config)
    return repeated(env, config, rule, Hparams())


def smooth_fictitious_play(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns smooth fictitious play for every player."""
    require_own("smooth_fictitious_play", config, Config)
    return repeated(env, config, partial(rule, smooth=True), Hparams(temperature=0.1))
