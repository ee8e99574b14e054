"""Joint-action learners: values of joint actions, and a model of what the others do.

A JAL learns what each joint action pays and how often each other agent plays each action, and acts
by the expected value of its own under that model. Seeing more than an independent learner, it
still does not climb over penalties: others' exploring is in the model.

Claus & Boutilier, 1998, AAAI; see there also the optimistic variants.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.repeated.fmq import temperature
from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat
from jaxmarl_core.functional.exploration import boltzmann_probs, epsilon_greedy_probs
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers; the temperature as in FMQ, with which it is compared."""

    learning_rate: float = hparam(0.9, 0.0, 1.0)
    optimism: float = hparam(0.0, 0.0, 1.0)  # rho of Combined: share of the best case in the value
    temperature: float = hparam(500.0, 0.0, 1e9, "log")
    cooling: float = hparam(0.006, 0.0, 1e9, "log")
    floor: float = hparam(1.0, 0.0, 1e9, "log")


@struct.dataclass
class Row:
    q: jax.Array  # [A_1, ..., A_N] f32, what joint actions pay this player
    counts: tuple[jax.Array, ...]  # N times [A_j] f32
    optimism: jax.Array  # [] f32


def rule(seat: Seat) -> Rule:
    """Returns the rule."""

    def first(key, hp):
        counts = tuple(jnp.zeros(count) for count in seat.num_actions)
        return Row(jnp.zeros(seat.num_actions), counts, jnp.float32(hp.optimism))

    def worth(row):
        models = [
            jnp.where(c.sum() > 0, c / jnp.maximum(c.sum(), 1), 1 / len(c)) for c in row.counts
        ]
        others = tuple(j for j in range(len(models)) if j != seat.player)
        expected = action_payoffs(row.q, models, seat.player)
        return row.optimism * row.q.max(axis=others) + (1 - row.optimism) * expected

    def strategy(row, mask, temperature):
        return boltzmann_probs(worth(row), temperature, mask)

    def learn(row, next_row, t, hp):
        entry = tuple(t.joint)
        q = row.q.at[entry].add(hp.learning_rate * (t.reward - row.q[entry]))
        done = [jax.nn.one_hot(t.joint[j], len(count)) for j, count in enumerate(row.counts)]
        return row.replace(q=q, counts=tuple(c + d for c, d in zip(row.counts, done))), {}

    def best(row, mask):
        return epsilon_greedy_probs(worth(row), jnp.float32(0), mask)

    return Rule(first, strategy, best, learn, informed=True)


def jal(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns joint-action learners, one for every agent."""
    return repeated(env, config, rule, Hparams(), temperature)
