"""Hysteretic Q-learning: quick to believe good news about an action, slow to believe bad.

In a team, a bad reward is often a mate's exploring and not one's own fault. Optimism of a degree:
with equal rates it is Q-learning, with a second rate of 0 it is Distributed-Q's maximum.

Matignon, Laurent & Le Fort-Piat, 2007, IROS.
"""

from functools import partial

import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.q_learning import rule as q_rule
from jaxmarl_core.algos.tabular.rates import q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment

HPARAMS = Hparams(pessimism=0.1)


def rule(info: GameInfo, rate: str = "constant") -> Rule:
    """Returns the rule: alpha where the target is above Q(s, a), beta < alpha where below."""

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.q, t.next_mask)
        is_good = target >= entry.q[t.action]
        alpha = hp.learning_rate * jnp.where(is_good, 1.0, hp.pessimism)
        return q_update(entry, t.action, target, hp.replace(learning_rate=alpha), t.step, rate), {}

    return q_rule(info, rate)._replace(learn=learn)


def hysteretic_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns hysteretic Q-learning, epsilon-greedy with a falling epsilon."""
    require_own("hysteretic_q", config, Config)
    config = with_defaults(config, rate="constant")
    return tabular(
        env, config, partial(rule, rate=decided(config.rate)), HPARAMS, name="hysteretic_q"
    )
