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

from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat
from jaxmarl_core.functional.exploration import boltzmann_probs
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers."""

    prior: float = hparam(1.0, 1e-9, 1e9, "log")  # imagined plays of each action before the first
    prior_spread: float = hparam(0.0, 0.0, 1.0)  # 0: the same number of each; 1: random shares
    temperature: float = hparam(0.1, 0.0, 1e9, "log")  # smooth play only; in units of payoff


@struct.dataclass
class Row:
    counts: tuple[jax.Array, ...]  # N times [A_j] f32, how often each was played
    temperature: jax.Array  # [] f32


def rule(seat: Seat, smooth: bool = False) -> Rule:
    """Returns the rule."""

    def first(key, hp):
        keys = jax.random.split(key, len(seat.num_actions))
        spread, ones = hp.prior_spread, map(jnp.ones, seat.num_actions)
        counts = tuple(
            hp.prior * ((1 - spread) * one + spread * len(one) * jax.random.dirichlet(key, one))
            for key, one in zip(keys, ones)
        )
        return Row(counts, jnp.float32(hp.temperature if smooth else 0.0))

    def answer(row, mask, exploration):
        beliefs = [count / count.sum() for count in row.counts]
        worth = action_payoffs(seat.payoffs[seat.player], beliefs, seat.player)
        if smooth:
            return boltzmann_probs(worth, row.temperature, mask)
        return jax.nn.one_hot(jnp.argmax(jnp.where(mask, worth, -jnp.inf)), len(worth))

    def frequencies(row, mask):
        return row.counts[seat.player] / row.counts[seat.player].sum()

    def learn(row, next_row, t, hp):
        done = [jax.nn.one_hot(t.joint[j], len(count)) for j, count in enumerate(row.counts)]
        return row.replace(counts=tuple(c + d for c, d in zip(row.counts, done))), {}

    return Rule(first, answer, frequencies, learn, informed=True)


def fictitious_play(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns fictitious play for every player; when greedy, players draw from frequencies."""
    return repeated(env, config, rule, Hparams())


def smooth_fictitious_play(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns smooth fictitious play for every player."""
    return repeated(env, config, partial(rule, smooth=True), Hparams())
