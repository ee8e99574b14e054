"""Lenient Q-learning: young actions are forgiven bad rewards, mature ones are not.

Every action of every state has a temperature. While it is hot, a target below Q is mostly ignored;
each time the action is tried it cools, and in the end this is Q-learning. Unlike optimism for ever,
that copes with rewards that are bad by chance.

Panait, Sullivan & Luke, 2006, AAMAS; in the form of Wei & Luke, 2016, JMLR 17(84) (LMRL2), whose
temperatures also diffuse from the state that follows.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat, tabular
from jaxmarl_core.algos.tabular.engine import Hparams as Common
from jaxmarl_core.algos.tabular.rates import Values, blank, towards
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import masked_mean, q_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and how leniency fades."""

    hottest: float = hparam(50.0, 0.0, 1e9, "log")  # temperature of an action never tried
    cooling: float = hparam(0.995, 0.0, 1.0)  # factor at each try
    leniency: float = hparam(1.0, 1e-9, 1e9, "log")  # theta: bad news counts w.p. 1-e^(-1/theta T)
    diffusion: float = hparam(0.1, 0.0, 1.0)  # tau: how far towards the next state's mean


@struct.dataclass
class Row:
    values: Values
    temperature: jax.Array  # [A] f32


def rule(seat: Seat, rate: str = "constant") -> Rule:
    """Returns the rule: learn if the target is above Q(s, a), or by chance as it grows cold."""
    num_actions = seat.num_actions[seat.player]

    def first(key, hp):
        return Row(blank((num_actions,), rate), jnp.full(num_actions, hp.hottest, jnp.float32))

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.values.q, t.next_mask)
        heat = row.temperature[t.action]
        strict = 1 - jnp.exp(-1 / (hp.leniency * jnp.maximum(heat, 1e-9)))
        heeded = (target > row.values.q[t.action]) | (jax.random.uniform(t.key) < strict)
        learned = towards(row.values, t.action, target, hp, t.step, rate)
        values = jax.tree.map(lambda a, b: jnp.where(heeded, a, b), learned, row.values)
        ahead = masked_mean(next_row.temperature, t.next_mask)
        mixed = jnp.where(t.discount > 0, heat + hp.diffusion * (ahead - heat), heat)
        return Row(values, row.temperature.at[t.action].set(hp.cooling * mixed)), {}

    def strategy(row, mask, epsilon):
        return epsilon_greedy_probs(row.values.q, epsilon, mask)

    return Rule(first, strategy, lambda row, mask: strategy(row, mask, jnp.float32(0)), learn)


def lenient_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns lenient Q-learning, epsilon-greedy with a falling epsilon."""
    return tabular(env, config, partial(rule, rate=config.rate), Hparams())
