"""Learning in matrix games: a tabular learner with one state, who may know the payoffs.

The rules of this folder are informed: they may see everybody's actions, the strategies these were
drawn from and the payoff table, and each says which of it its paper grants. A row is all the memory
an agent has, so that here it may count rounds and keep histories.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import (
    Config,
    RuleBuilder,
    Seat,
    Transition,
    tabular,
)
from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.types import Algorithm, Environment


def nothing(hp: Any, step: jax.Array) -> jax.Array:
    """Returns 0: these learners explore by being unsure, or not at all."""
    return jnp.float32(0)


def repeated(
    env: Environment,
    config: Config,
    rules: RuleBuilder | Mapping[str, RuleBuilder],
    hparams: Any,
    exploration: Callable[[Any, jax.Array], jax.Array] = nothing,
) -> Algorithm:
    """Returns learners of a matrix game; arguments as in `tabular`.

    Raises:
      ValueError: `env` has no payoff table, or players remember the last round.
    """
    known = getattr(env, "payoffs", None) is not None
    require(known, "env", "a matrix game, with its payoffs", type(env).__name__)
    states = max(group.observation.num_values for group in env.groups.values())
    require(states == 1, "env", "a matrix game without memory", f"{states} observations")
    return tabular(env, config, rules, hparams, exploration)


def against_strategies(seat: Seat, t: Transition) -> jax.Array:
    """Returns [A] f32, each own action's payoff against what the others drew from."""
    return action_payoffs(seat.payoffs[seat.player], t.strategies, seat.player)


def against_actions(seat: Seat, t: Transition) -> jax.Array:
    """Returns [A] f32, each own action's payoff against what the others did."""
    done = [jax.nn.one_hot(t.joint[j], count) for j, count in enumerate(seat.num_actions)]
    return action_payoffs(seat.payoffs[seat.player], done, seat.player)


def uniform(seat: Seat) -> jax.Array:
    """Returns the player's uniform strategy [A]."""
    count = seat.num_actions[seat.player]
    return jnp.full(count, 1.0 / count)


def rows(state: Any) -> list[Any]:
    """Returns each player's row, of informed rules, as a learner's state holds them."""
    return [jax.tree.map(lambda x: x[0, 0], table) for table in state.params.tables.values()]
