"""Asymmetric Q: a leader commits itself in every state, and a follower answers it.

Both players' values are learnt. In each state the leader announces the pure action to which the
follower's best reply suits it best, and the follower plays that reply: a Stackelberg equilibrium,
which always exists in pure actions and is worth no less to the leader than any pure Nash
equilibrium.

    T(s, b) = argmax_c Q_2(s, b, c),   b*(s) = argmax_b Q_1(s, b, T(s, b)),
    V_i(s) = Q_i(s, b*, T(s, b*))

Kononen, 2003, IAT; 2004, Web Intelligence and Agent Systems 2. Of the follower's equally good
replies the leader is granted the one it likes best. What is announced is b*: where the leader tries
something else, the follower learns from it, but has not been told.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.rates import RATES
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, legal_joint, stage_rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config:
    """What shapes the program; and who leads, player 0 or 1."""

    rollout_length: int = 64
    rate: str = "visits"  # a key of rates.RATES
    leader: int = 0

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")
        require(self.leader in (0, 1), "leader", "player 0 or 1", self.leader)


def commitment(leads: jax.Array, follows: jax.Array, legal: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the leader's best pure commitment and the follower's reply, both [] int32.

    Args:
      leads, follows: [A, B] f32, payoffs to the leader, who plays rows, and to the follower.
      legal: [A, B] bool.
    """
    follows = jnp.where(legal, follows, -jnp.inf)
    replies = legal & (follows == follows.max(axis=1, keepdims=True))
    worth = jnp.where(replies, leads, -jnp.inf)
    return jnp.unravel_index(jnp.argmax(worth), worth.shape)


def solve(info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...], leader: int) -> Solution:
    """Returns the player's part in the stage game q [2, A_1, A_2], and what it is worth to both."""
    legal = legal_joint(masks)
    turned = (lambda x: x.T) if leader else (lambda x: x)
    first, reply = commitment(turned(q[leader]), turned(q[1 - leader]), turned(legal))
    joint = (reply, first) if leader else (first, reply)
    own = jax.nn.one_hot(joint[info.player], info.num_actions[info.player])
    # NaN values are no solution: comparisons and argmax would hide them.
    solved = jnp.isfinite(jnp.where(legal, q, 0)).all()
    return Solution(own, q[:, joint[0], joint[1]], solved)


def rule(info: GameInfo, leader: int = 0, rate: str = "visits") -> Rule:
    """Returns the rule of the leader or of the follower.

    Raises:
      ValueError: there are not two players.
    """
    require(len(info.num_actions) == 2, "asymmetric_q", "two players", len(info.num_actions))
    return stage_rule(info, partial(solve, info, leader=leader), rate, all_players=True)


def asymmetric_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns asymmetric Q-learning for a leader and a follower.

    Raises:
      ValueError: there are not two players.
    """
    require_own("asymmetric_q", config, Config)
    return tabular(
        env,
        config,
        partial(rule, leader=config.leader, rate=config.rate),
        HPARAMS,
        name="asymmetric_q",
    )
