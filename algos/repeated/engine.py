"""Learning in matrix games: a tabular learner with one state, who may know the payoffs.

The rules of this folder are informed: they may see everybody's actions, the strategies these were
drawn from and the payoff table, and each says which of it its paper grants. An entry is all
the memory an agent has, so that here it may count rounds and keep histories.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import ShapesProgram, tabular
from jaxmarl_core.algos.tabular.rules import GameInfo, RuleBuilder, Transition
from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.spaces import num_values
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config:
    """What shapes the program: rounds an update."""

    rollout_length: int = 64

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)


def no_exploration(hp: Any, step: jax.Array) -> jax.Array:
    """Returns 0: these learners explore by being unsure, or not at all."""
    return jnp.float32(0)


def repeated(
    env: Environment,
    config: ShapesProgram,
    rules: RuleBuilder | Mapping[str, RuleBuilder],
    hparams: Any,
    exploration: Callable[[Any, jax.Array], jax.Array] = no_exploration,
) -> Algorithm:
    """Returns learners of a matrix game; arguments as in `tabular`.

    Raises:
      ValueError: `env` has no payoff table, or players remember the last round.
    """
    known = getattr(env, "payoffs", None) is not None
    require(known, "env", "a matrix game, with its payoffs", type(env).__name__)
    states = max(num_values(group.observation) for group in env.groups.values())
    require(states == 1, "env", "a matrix game without memory", f"{states} observations")
    return tabular(env, config, rules, hparams, exploration)


def against_strategies(info: GameInfo, t: Transition) -> jax.Array:
    """Returns [A] f32, each own action's payoff against what the others drew from."""
    return action_payoffs(info.payoffs[info.player], t.strategies, info.player)


def against_actions(info: GameInfo, t: Transition) -> jax.Array:
    """Returns [A] f32, each own action's payoff against what the others did."""
    done = [jax.nn.one_hot(t.joint_action[j], count) for j, count in enumerate(info.num_actions)]
    return action_payoffs(info.payoffs[info.player], done, info.player)


def uniform(info: GameInfo) -> jax.Array:
    """Returns the player's uniform strategy [A]."""
    count = info.num_actions[info.player]
    return jnp.full(count, 1.0 / count)


def entries(state: Any) -> list[Any]:
    """Returns each player's entry, of informed rules, as a learner's state holds them."""
    return [jax.tree.map(lambda x: x[0, 0], table) for table in state.params.tables.values()]
