"""Independent Q-learning: each agent keeps a table of its own observations and actions.

The others are part of the world, which therefore does not stand still; in games with a dominant
action it still settles there. The root of the lineage.

Watkins & Dayan, 1992, Machine Learning 8; Tan, 1993, ICML (several independent learners).
"""

import jax

from jaxmarl_core.algos.tabular.engine import Config, Hparams, Transition, tabular
from jaxmarl_core.losses import q_target
from jaxmarl_core.types import Algorithm, Environment


def rule(q: jax.Array, t: Transition, hp: Hparams) -> jax.Array:
    """Returns the table [S, A] moved towards r + gamma max_a Q(s', a)."""
    target = q_target(t.reward, hp.gamma * t.discount, q[t.next_obs], t.next_mask)
    return q.at[t.obs, t.action].add(hp.learning_rate * (target - q[t.obs, t.action]))


def q_learning(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Q-learning, epsilon-greedy with a falling epsilon."""
    return tabular(env, config, rule=rule)
