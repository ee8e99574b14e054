"""Learners that play a stage game in every state: one rule, which differs in how they solve it.

A player keeps values of joint actions, its own and maybe everybody's. In each state they are a
matrix game, whose solution is how the player acts there and what being there is worth:

    Q_k(s, a) += alpha (r_k + gamma V_k(s') - Q_k(s, a)),   (pi, V)(s) = solve(Q(s, .))

A stage game is solved when its values change, and the solution kept, so that a step costs one solve
a player. `solver_failure` in the metrics is the share of steps whose game was not solved; the
strategy of the step before then stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config as EngineConfig
from jaxmarl_core.algos.tabular.engine import Hparams as Common
from jaxmarl_core.algos.tabular.engine import Rule, Seat
from jaxmarl_core.algos.tabular.rates import Values, blank, towards
from jaxmarl_core.algos.tabular.wolf_phc import played
from jaxmarl_core.hparams import hparam


@dataclass(frozen=True)
class Config(EngineConfig):
    """What shapes the program; learning rates are a sample mean's by default."""

    rate: str = "visits"


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and what every joint action is thought to be worth at first."""

    learning_rate: float = hparam(1.0, 0.0, 1.0, "log")
    first_value: float = hparam(0.0, -1e9, 1e9)


class Stage(NamedTuple):
    """A solved stage game, as one player sees it."""

    strategy: jax.Array  # [A_i] f32, how it plays
    value: jax.Array  # [K] f32, what the state is worth to those it keeps values of
    solved: jax.Array  # [] bool
    joint: jax.Array | tuple = ()  # [A_1, ..., A_N] f32, where a referee draws for all


Solve = Callable[[jax.Array, tuple[jax.Array, ...]], Stage]
# (q [K, A_1, ..., A_N], masks: N times [A_j] bool) -> Stage


@struct.dataclass
class Row:
    values: Values  # q [K, A_1, ..., A_N]
    stage: Stage


def stage_rule(
    seat: Seat, solve: Solve, rate: str, everyones: bool = False, referee: bool = False
) -> Rule:
    """Returns the rule.

    Args:
      seat: whose.
      solve: the stage game's solution.
      rate: a key of RATES.
      everyones: whether it keeps the values of all players (K = N), or its own alone (K = 1).
      referee: whether `solve` gives a joint strategy to draw from together.
    """
    kept = jnp.arange(len(seat.num_actions)) if everyones else jnp.array([seat.player])

    def first(key, hp):
        count = seat.num_actions[seat.player]
        values = blank(seat.num_actions, rate, players=(len(kept),))
        values = values.replace(q=jnp.full_like(values.q, hp.first_value))
        size = jnp.prod(jnp.array(seat.num_actions))
        joint = jnp.full(seat.num_actions, 1 / size) if referee else ()
        value = jnp.full(len(kept), hp.first_value, jnp.float32)
        stage = Stage(jnp.full(count, 1 / count), value, jnp.bool_(True), joint)
        return Row(values, stage)

    def learn(row, next_row, t, hp):
        target = t.rewards[kept] + hp.gamma * t.discount * next_row.stage.value
        values = towards(row.values, tuple(t.joint), target, hp, t.step, rate)
        found = solve(values.q, t.masks)
        stage = jax.tree.map(lambda new, old: jnp.where(found.solved, new, old), found, row.stage)
        stage = stage._replace(solved=found.solved)
        return Row(values, stage), {"solver_failure": ~found.solved}

    def strategy(row, mask, epsilon):
        return played(row.stage.strategy, mask, epsilon)

    recommend = (lambda row: row.stage.joint) if referee else None
    best = lambda row, mask: strategy(row, mask, 0.0)
    return Rule(first, strategy, best, learn, informed=True, recommend=recommend)


def legal_joint(masks: tuple[jax.Array, ...]) -> jax.Array:
    """Returns [A_1, ..., A_N] bool, which joint actions are legal."""
    legal = jnp.bool_(True)
    for mask in masks:
        legal = legal[..., None] & mask
    return legal
