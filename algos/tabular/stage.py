"""Learners that play a stage game in every state: one rule, which differs in how they solve it.

A player keeps values of joint actions, its own and maybe everybody's. In each state they are a
matrix game, whose solution is how the player acts there and what being there is worth:

    Q_k(s, a) += alpha (r_k + gamma V_k(s') - Q_k(s, a)),   (pi, V)(s) = solve(Q(s, .))

A stage game is solved when its values change, and the solution kept, so that a step costs one solve
a player. `solver_failure` in the metrics is the share of steps whose game was not solved; the
strategy of the step before then stays.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rates import Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.wolf_phc import epsilon_soft

HPARAMS = Hparams(learning_rate=1.0, first_value=0.0)  # with a sample mean's rate


class Solution(NamedTuple):
    """A stage game's solution for one player."""

    strategy: jax.Array  # [A_i] f32, how it plays
    value: jax.Array  # [K] f32, what the state is worth to those it keeps values of
    solved: jax.Array  # [] bool
    joint: jax.Array | tuple = ()  # [A_1, ..., A_N] f32, where a referee draws for all players


Solve = Callable[[jax.Array, tuple[jax.Array, ...]], Solution]
# (q [K, A_1, ..., A_N], masks: N times [A_j] bool) -> Solution


@struct.dataclass
class Entry:
    values: Values  # q [K, A_1, ..., A_N]
    stage: Solution


def stage_rule(
    info: GameInfo, solve: Solve, rate: str, all_players: bool = False, referee: bool = False
) -> Rule:
    """Returns the rule.

    Args:
      info: whose.
      solve: the stage game's solution.
      rate: a key of RATES.
      all_players: whether it keeps the values of all players (K = N), or its own alone (K = 1).
      referee: whether `solve` gives a joint strategy, which one draw for all players is made from.
    """
    players = jnp.arange(len(info.num_actions)) if all_players else jnp.array([info.player])

    def init(key, hp):
        count = info.num_actions[info.player]
        values = initial_values(info.num_actions, rate, players=(len(players),))
        values = dataclasses.replace(values, q=jnp.full_like(values.q, hp.first_value))
        size = jnp.prod(jnp.array(info.num_actions))
        joint = jnp.full(info.num_actions, 1 / size) if referee else ()
        value = jnp.full(len(players), hp.first_value, jnp.float32)
        stage = Solution(jnp.full(count, 1 / count), value, jnp.bool_(True), joint)
        return Entry(values, stage)

    def learn(entry, next_entry, t, hp):
        target = t.rewards[players] + hp.gamma * t.discount * next_entry.stage.value
        values = q_update(entry.values, tuple(t.joint_action), target, hp, t.step, rate)
        found = solve(values.q, t.masks)
        stage = jax.tree.map(lambda new, old: jnp.where(found.solved, new, old), found, entry.stage)
        stage = stage._replace(solved=found.solved)
        return Entry(values, stage), {"solver_failure": ~found.solved}

    def strategy(entry, mask, epsilon):
        return epsilon_soft(entry.stage.strategy, mask, epsilon)

    recommend = (lambda entry: entry.stage.joint) if referee else None
    greedy = lambda entry, mask: strategy(entry, mask, 0.0)
    return Rule(init, strategy, greedy, learn, informed=True, recommend=recommend)


def legal_joint(masks: tuple[jax.Array, ...]) -> jax.Array:
    """Returns [A_1, ..., A_N] bool, which joint actions are legal."""
    legal = jnp.bool_(True)
    for mask in masks:
        legal = legal[..., None] & mask
    return legal
