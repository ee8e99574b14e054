"""Independent Q-learning: each agent keeps a table of its own observations and actions.

The others are part of the world, which therefore does not stand still; in games with a dominant
action it still settles there. The root of the lineage.

Watkins & Dayan, 1992, Machine Learning 8; Tan, 1993, ICML (several independent learners).
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.rates import Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def explore(values: Values, mask: jax.Array, epsilon: jax.Array) -> jax.Array:
    """Returns the epsilon-greedy strategy [A]."""
    return epsilon_greedy_probs(values.q, epsilon, mask)


def exploit(values: Values, mask: jax.Array) -> jax.Array:
    """Returns the greedy strategy [A]."""
    return epsilon_greedy_probs(values.q, jnp.float32(0), mask)


def rule(info: GameInfo, rate: str = "constant") -> Rule:
    """Returns the rule: Q(s, a) moves towards r + gamma max_b Q(s', b)."""

    def init(key, hp):
        return initial_values((info.num_actions[info.player],), rate)

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.q, t.next_mask)
        return q_update(entry, t.action, target, hp, t.step, rate), {}

    return Rule(init, explore, exploit, learn)


def q_learning(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Q-learning, epsilon-greedy with a falling epsilon."""
    require_own("q_learning", config, Config)
    config = with_defaults(config, rate="constant")
    return tabular(env, config, partial(rule, rate=decided(config.rate)), name="q_learning")
