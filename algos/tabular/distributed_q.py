"""Distributed-Q: agents of a team who never forgive themselves a good reward.

An agent's value of its own action is the best it has ever been worth, as if all mates played their
part; its policy changes only when that best rises, so that equally good joint actions are not
mixed up. Optimal where rewards and transitions are deterministic, and only there. Rewards must be
0 or more (or the first values at most the least return).

Lauer & Riedmiller, 2000, ICML.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat, tabular
from jaxmarl_core.functional.losses import max_value, q_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers; there is no learning rate. Epsilon as in Q-learning."""

    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(1.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    anneal_steps: float = hparam(3000.0, 1.0, 1e12, "log")
    first_value: float = hparam(0.0, -1e9, 1e9)  # at most the least return of the game


@struct.dataclass
class Row:
    q: jax.Array  # [A] f32
    action: jax.Array  # [] int32, what the policy does; -1: the first legal action


def rule(seat: Seat) -> Rule:
    """Returns the rule: Q(s, a) rises to any better target; the policy follows a higher maximum."""
    num_actions = seat.num_actions[seat.player]

    def first(key, hp):
        return Row(jnp.full(num_actions, hp.first_value, jnp.float32), jnp.int32(-1))

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.q, t.next_mask)
        q = row.q.at[t.action].set(jnp.maximum(row.q[t.action], target))  # a NaN stays one
        rose = max_value(q, t.mask) > max_value(row.q, t.mask)
        return Row(q, jnp.where(rose, t.action, row.action)), {}

    def strategy(row, mask, epsilon):
        action = jnp.where(row.action < 0, jnp.argmax(mask), row.action)
        uniform = mask / jnp.maximum(mask.sum(), 1)
        return epsilon * uniform + (1 - epsilon) * jax.nn.one_hot(action, num_actions)

    return Rule(first, strategy, lambda row, mask: strategy(row, mask, 0.0), learn)


def distributed_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Distributed-Q, exploring with a falling epsilon."""
    return tabular(env, config, rule, Hparams())
