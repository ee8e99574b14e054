"""Independent Q-learning: each agent keeps a table of its own observations and actions.

The others are part of the world, which therefore does not stand still; in games with a dominant
action it still settles there. The root of the lineage.

Watkins & Dayan, 1992, Machine Learning 8; Tan, 1993, ICML (several independent learners).
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat, tabular
from jaxmarl_core.algos.tabular.rates import Values, blank, towards
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.types import Algorithm, Environment


def explore(values: Values, mask: jax.Array, epsilon: jax.Array) -> jax.Array:
    """Returns the epsilon-greedy strategy [A]."""
    return epsilon_greedy_probs(values.q, epsilon, mask)


def exploit(values: Values, mask: jax.Array) -> jax.Array:
    """Returns the greedy strategy [A]."""
    return epsilon_greedy_probs(values.q, jnp.float32(0), mask)


def rule(seat: Seat, rate: str = "constant") -> Rule:
    """Returns the rule: Q(s, a) moves towards r + gamma max_b Q(s', b)."""

    def first(key, hp):
        return blank((seat.num_actions[seat.player],), rate)

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.q, t.next_mask)
        return towards(row, t.action, target, hp, t.step, rate), {}

    return Rule(first, explore, exploit, learn)


def q_learning(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Q-learning, epsilon-greedy with a falling epsilon."""
    return tabular(env, config, partial(rule, rate=config.rate))
