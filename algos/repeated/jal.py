"""Joint-action learners: values of joint actions, and a model of what the others do.

A JAL learns what each joint action pays and how often each other agent plays each action, and acts
by the expected value of its own under that model. Seeing more than an independent learner, it
still does not climb over penalties: others' exploring is in the model.

Claus & Boutilier, 1998, AAAI; see there also the optimistic variants.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.repeated.fmq import temperature
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.exploration import boltzmann_probs, epsilon_greedy_probs
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers; the temperature as in FMQ, with which it is compared."""

    learning_rate: float = hparam(0.9, 0.0, 1.0)
    optimism: float = hparam(0.0, 0.0, 1.0)  # rho of Combined: share of the best case in the value
    temperature: float = hparam(500.0, 0.0, 1e9, "log")
    cooling: float = hparam(0.006, 0.0, 1e9, "log")  # the rate at which it falls, a round
    floor: float = hparam(1.0, 0.0, 1e9, "log")  # what it falls to


@struct.dataclass
class Entry:
    q: jax.Array  # [A_1, ..., A_N] f32, what joint actions pay this player
    counts: tuple[jax.Array, ...]  # N times [A_j] f32
    optimism: jax.Array  # [] f32


def rule(info: GameInfo) -> Rule:
    """Returns the rule."""

    def init(key, hp):
        counts = tuple(jnp.zeros(count) for count in info.num_actions)
        return Entry(jnp.zeros(info.num_actions), counts, jnp.float32(hp.optimism))

    def worth(entry):
        models = [
            jnp.where(c.sum() > 0, c / jnp.maximum(c.sum(), 1), 1 / len(c)) for c in entry.counts
        ]
        others = tuple(j for j in range(len(models)) if j != info.player)
        expected = action_payoffs(entry.q, models, info.player)
        return entry.optimism * entry.q.max(axis=others) + (1 - entry.optimism) * expected

    def strategy(entry, mask, temperature):
        return boltzmann_probs(worth(entry), temperature, mask)

    def learn(entry, next_entry, t, hp):
        joint = tuple(t.joint_action)
        q = entry.q.at[joint].add(hp.learning_rate * (t.reward - entry.q[joint]))
        done = [
            jax.nn.one_hot(t.joint_action[j], len(count)) for j, count in enumerate(entry.counts)
        ]
        return entry.replace(q=q, counts=tuple(c + d for c, d in zip(entry.counts, done))), {}

    def greedy(entry, mask):
        return epsilon_greedy_probs(worth(entry), jnp.float32(0), mask)

    return Rule(init, strategy, greedy, learn, informed=True)


def jal(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns joint-action learners, one for every agent."""
    require_own("jal", config, Config)
    return repeated(env, config, rule, Hparams(), temperature)
