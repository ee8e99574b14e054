"""OAL: a team learns the world's model, and which optimum to agree on from its own play.

Optimal adaptive learning counts transitions and rewards and plans on them. In each state the joint
actions that are best up to a slack pay 1 in a virtual game, all others 0, and the slack falls more
slowly than the model's error. Biased adaptive play settles that game: a player draws a sample
of the last joint actions here and, where its mates did the same in all of it and some of it was
best, does its part of the most recent best one; else it answers its mates' frequencies at random
among equals. So the team ends on one and the same optimum, without a convention as Team-Q's.

An entry holds counts of what joint actions led to, [A_1, ..., A_N, S], so that the table grows with
the square of the number of states. Values are swept once an update: every `rollout_length` steps.

Wang & Sandholm, 2002, NIPS; adaptive play is from Young, 1993, Econometrica 61.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import legal_joint
from jaxmarl_core.errors import require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.markov_games import MAX_ENTRIES
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config:
    """What shapes the program: sweeps an update, and how much of the past is sampled."""

    rollout_length: int = 64
    sweeps: int = 4
    sample: int = 2  # k, of the joint actions remembered
    memory: int = 8  # m, at least k (N + 2), for which convergence is proved

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        require(self.sweeps >= 1, "sweeps", "at least 1", self.sweeps)
        require(self.sample >= 1, "sample", "at least 1", self.sample)
        fits = self.memory >= self.sample
        require(fits, "memory", f"at least sample ({self.sample})", self.memory)


HPARAMS = Hparams(
    learning_rate=None, rate_period=None, first_value=0.0, slack=1.0, slack_power=0.25
)


@struct.dataclass
class Entry:
    tries: jax.Array  # [A_1, ..., A_N] f32
    paid: jax.Array  # [A_1, ..., A_N] f32, in sum
    led: jax.Array  # [A_1, ..., A_N, S] f32, how often there, ends of episodes left out
    q: jax.Array  # [A_1, ..., A_N] f32
    legal: jax.Array  # [A_1, ..., A_N] bool, when last here
    good: jax.Array  # [A_1, ..., A_N] bool, best up to the slack: pays 1 in the virtual game
    past: jax.Array  # [m] int32, joint actions by number, the newest last; -1: none yet
    sample: jax.Array  # [k] int32, of the past, in its order


def value_iteration(table: Entry, hp: Any, sweeps: int) -> Entry:
    """Returns the table, leaves [S, ...], after value iteration on its counts.

    Q(s, a) = (sum of rewards + gamma sum_s' n(s, a, s') max_b Q(s', b)) / n(s, a)
    """
    joint = tuple(range(1, table.q.ndim))

    def sweep(q, _):
        value = jnp.where(table.legal, q, -jnp.inf).max(joint)
        mean = (table.paid + hp.gamma * table.led @ value) / jnp.maximum(table.tries, 1)
        return jnp.where(table.tries > 0, mean, hp.first_value), None

    q, _ = jax.lax.scan(sweep, table.q, None, sweeps)
    best = jnp.where(table.legal, q, -jnp.inf).max(joint, keepdims=True)
    least = jnp.where(table.legal, table.tries, jnp.inf).min(joint, keepdims=True)
    slack = hp.slack * (1 + least) ** -hp.slack_power
    return dataclasses.replace(table, q=q, good=table.legal & (q + slack >= best))


def biased_adaptive_play(
    good: jax.Array, sample: jax.Array, mask: jax.Array, player: int
) -> jax.Array:
    """Returns a player's strategy [A_i] in a virtual game, given a sample of what was played.

    Args:
      good: [A_1, ..., A_N] bool, the joint actions that pay 1.
      sample: [k] int32, joint actions by number, the newest last; -1 where there was none yet,
        which makes play uniform.
      mask: [A_i] bool, legal.
      player: its number, static.
    """
    by_part = np.moveaxis(np.arange(good.size).reshape(good.shape), player, 0)
    by_part = by_part.reshape(good.shape[player], -1)  # numbers, by own part and by the mates'
    part, mates = (np.empty(good.size, np.int32) for _ in range(2))
    part[by_part], mates[by_part] = np.indices(by_part.shape)
    pays = good.reshape(-1)[by_part]  # [A_i, M]

    was_good, did = good.reshape(-1)[sample], jnp.asarray(mates)[sample]
    settled = (did == did[0]).all() & was_good.any()
    newest = sample[len(sample) - 1 - jnp.argmax(was_good[::-1])]
    worth = jnp.where(mask, pays[:, did].sum(axis=1), -1)
    answer = (worth == worth.max()) & mask
    answer = jnp.where(settled, jnp.arange(len(mask)) == jnp.asarray(part)[newest], answer)
    answer = jnp.where((sample >= 0).all(), answer, mask)
    return answer / jnp.maximum(answer.sum(), 1)


def rule(info: GameInfo, config: Config = Config()) -> Rule:
    """Returns the rule.

    Raises:
      ValueError: the model has too many entries, or the memory is too short for the players.
    """
    shape, player = info.num_actions, info.player
    entries = prod(shape) * info.num_states**2
    require(entries <= MAX_ENTRIES, "oal", f"a model of at most {MAX_ENTRIES} entries", entries)
    memory, least = config.memory, config.sample * (len(shape) + 2)
    require(memory >= least, "memory", f"at least sample (players + 2) = {least}", memory)

    def init(key, hp):
        zeros, yes = jnp.zeros(shape, jnp.float32), jnp.ones(shape, bool)
        led = jnp.zeros((*shape, info.num_states), jnp.float32)
        q = jnp.full(shape, hp.first_value, jnp.float32)
        none = lambda length: jnp.full(length, -1, jnp.int32)
        return Entry(zeros, zeros, led, q, yes, yes, none(memory), none(config.sample))

    def learn(entry, next_entry, t, hp):
        joint = tuple(t.joint_action)
        number = jnp.ravel_multi_index(joint, shape, mode="clip").astype(jnp.int32)
        past = jnp.append(entry.past[1:], number)
        drawn = jnp.argsort(jax.random.uniform(t.key, (memory,)))[: config.sample]
        return entry.replace(
            tries=entry.tries.at[joint].add(1),
            paid=entry.paid.at[joint].add(t.reward),
            led=entry.led.at[(*joint, t.next_obs)].add(t.discount),
            legal=legal_joint(t.masks),
            past=past,
            sample=jnp.where((past >= 0).all(), past[jnp.sort(drawn)], -1),
        ), {}

    def strategy(entry, mask, epsilon):
        adaptive = biased_adaptive_play(entry.good, entry.sample, mask, player)
        return epsilon * mask / jnp.maximum(mask.sum(), 1) + (1 - epsilon) * adaptive

    greedy = lambda entry, mask: strategy(entry, mask, 0.0)
    plan = lambda table, hp: value_iteration(table, hp, config.sweeps)
    return Rule(init, strategy, greedy, learn, informed=True, plan=plan)


def oal(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns OAL for every agent; all must be on one team.

    Raises:
      ValueError: agents on several teams, a model with too many entries, or too short a memory.
    """
    require_own("oal", config, Config)
    teams = {group.team for group in env.groups.values()}
    if len(teams) > 1:
        raise ValueError(f"oal: needs one team, the environment has {len(teams)}")
    return tabular(env, config, partial(rule, config=config), HPARAMS, name="oal")
