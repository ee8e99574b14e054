"""Hysteretic Q-learning: quick to believe good news about an action, slow to believe bad.

In a team, a bad reward is often a mate's exploring and not one's own fault. Optimism of a degree:
with equal rates it is Q-learning, with a second rate of 0 it is Distributed-Q's maximum.

Matignon, Laurent & Le Fort-Piat, 2007, IROS.
"""

from functools import partial

import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat, tabular
from jaxmarl_core.algos.tabular.engine import Hparams as Common
from jaxmarl_core.algos.tabular.q_learning import rule as q_rule
from jaxmarl_core.algos.tabular.rates import towards
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and how much slower bad news is learnt."""

    pessimism: float = hparam(0.1, 0.0, 1.0)  # beta / alpha: times learning_rate where below Q


def rule(seat: Seat, rate: str = "constant") -> Rule:
    """Returns the rule: alpha where the target is above Q(s, a), beta < alpha where below."""

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.q, t.next_mask)
        is_good = target >= row.q[t.action]
        alpha = hp.learning_rate * jnp.where(is_good, 1.0, hp.pessimism)
        return towards(row, t.action, target, hp.replace(learning_rate=alpha), t.step, rate), {}

    return q_rule(seat, rate)._replace(learn=learn)


def hysteretic_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns hysteretic Q-learning, epsilon-greedy with a falling epsilon."""
    return tabular(env, config, partial(rule, rate=config.rate), Hparams())
