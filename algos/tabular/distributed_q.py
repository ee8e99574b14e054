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

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.losses import max_value, q_target
from jaxmarl_core.recipes import refuse, require_own
from jaxmarl_core.types import Algorithm, Environment

# the first value must be at most the least return of the game
HPARAMS = Hparams(learning_rate=None, rate_period=None, first_value=0.0)


@struct.dataclass
class Entry:
    q: jax.Array  # [A] f32
    action: jax.Array  # [] int32, what the policy does; -1: the first legal action


def rule(info: GameInfo) -> Rule:
    """Returns the rule: Q(s, a) rises to any better target; the policy follows a higher maximum."""
    num_actions = info.num_actions[info.player]

    def init(key, hp):
        return Entry(jnp.full(num_actions, hp.first_value, jnp.float32), jnp.int32(-1))

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.q, t.next_mask)
        q = entry.q.at[t.action].set(jnp.maximum(entry.q[t.action], target))  # a NaN stays one
        rose = max_value(q, t.mask) > max_value(entry.q, t.mask)
        return Entry(q, jnp.where(rose, t.action, entry.action)), {}

    def strategy(entry, mask, epsilon):
        action = jnp.where(entry.action < 0, jnp.argmax(mask), entry.action)
        uniform = mask / jnp.maximum(mask.sum(), 1)
        return epsilon * uniform + (1 - epsilon) * jax.nn.one_hot(action, num_actions)

    return Rule(init, strategy, lambda entry, mask: strategy(entry, mask, 0.0), learn)


def distributed_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Distributed-Q, exploring with a falling epsilon."""
    require_own("distributed_q", config, Config)
    refuse("distributed_q", config, rate="as values rise to their targets at once")
    return tabular(env, config, rule, HPARAMS, name="distributed_q")
