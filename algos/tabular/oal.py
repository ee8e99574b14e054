"""OAL: a team learns the world's model, and which optimum to meet in by watching itself play.

Optimal adaptive learning counts transitions and rewards and plans on them. In each state the joint
actions that are best up to a slack pay 1 in a virtual game, all others 0, and the slack falls more
slowly than the model's error. Biased adaptive play settles that game: a player looks at a sample
of the last joint actions here and, where its mates did the same in all of it and some of it was
best, does its part of the most recent best one; else it answers its mates' frequencies at random
among equals. So the team ends on one and the same optimum, without a convention as Team-Q's.

A row holds counts of what joint actions led to, [A_1, ..., A_N, S], so that the table grows with
the square of the number of states. Values are swept once an update: every `rollout_length` steps.

Wang & Sandholm, 2002, NIPS; adaptive play is from Young, 1993, Econometrica 61.
"""

from dataclasses import dataclass
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config as EngineConfig
from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.stage import legal_joint
from jaxmarl_core.errors import require
from jaxmarl_core.hparams import hparam
from jaxmarl_core.solvers.markov_games import MAX_ENTRIES
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config(EngineConfig):
    """What shapes the program: sweeps an update, and how much of the past is looked at."""

    sweeps: int = 4
    sample: int = 2  # k, of the joint actions remembered
    memory: int = 8  # m, at least k (N + 2), for which convergence is proved

    def __post_init__(self):
        super().__post_init__()
        require(self.sweeps >= 1, "sweeps", "at least 1", self.sweeps)
        require(self.sample >= 1, "sample", "at least 1", self.sample)
        fits = self.memory >= self.sample
        require(fits, "memory", f"at least sample ({self.sample})", self.memory)


@struct.dataclass
class Hparams:
    """Traced numbers. Epsilon as in Q-learning; slack in units of return."""

    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(1.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    anneal_steps: float = hparam(3000.0, 1.0, 1e12, "log")
    first_value: float = hparam(0.0, -1e9, 1e9)  # of joint actions never tried
    slack: float = hparam(1.0, 0.0, 1e9, "log")  # slack (1 + n)^-slack_power, n being the tries of
    slack_power: float = hparam(0.25, 0.0, 0.5)  # the joint action tried least in the state


@struct.dataclass
class Row:
    tries: jax.Array  # [A_1, ..., A_N] f32
    paid: jax.Array  # [A_1, ..., A_N] f32, in sum
    led: jax.Array  # [A_1, ..., A_N, S] f32, how often there, ends of episodes left out
    q: jax.Array  # [A_1, ..., A_N] f32
    legal: jax.Array  # [A_1, ..., A_N] bool, when last here
    good: jax.Array  # [A_1, ..., A_N] bool, best up to the slack: pays 1 in the virtual game
    past: jax.Array  # [m] int32, joint actions by number, the newest last; -1: none yet
    sample: jax.Array  # [k] int32, of the past, in its order


def planned(table: Row, hp: Hparams, sweeps: int) -> Row:
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
    return table.replace(q=q, good=table.legal & (q + slack >= best))


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


def rule(seat: Seat, config: Config = Config()) -> Rule:
    """Returns the rule.

    Raises:
      ValueError: the model has too many entries, or the memory is too short for the players.
    """
    shape, player = seat.num_actions, seat.player
    entries = prod(shape) * seat.num_states**2
    require(entries <= MAX_ENTRIES, "oal", f"a model of at most {MAX_ENTRIES} entries", entries)
    memory, least = config.memory, config.sample * (len(shape) + 2)
    require(memory >= least, "memory", f"at least sample (players + 2) = {least}", memory)

    def first(key, hp):
        zeros, yes = jnp.zeros(shape), jnp.ones(shape, bool)
        led = jnp.zeros((*shape, seat.num_states))
        q = jnp.full(shape, hp.first_value, jnp.float32)
        none = lambda length: jnp.full(length, -1, jnp.int32)
        return Row(zeros, zeros, led, q, yes, yes, none(memory), none(config.sample))

    def learn(row, next_row, t, hp):
        entry = tuple(t.joint)
        number = jnp.ravel_multi_index(entry, shape, mode="clip").astype(jnp.int32)
        past = jnp.append(row.past[1:], number)
        drawn = jnp.argsort(jax.random.uniform(t.key, (memory,)))[: config.sample]
        return row.replace(
            tries=row.tries.at[entry].add(1),
            paid=row.paid.at[entry].add(t.reward),
            led=row.led.at[(*entry, t.next_obs)].add(t.discount),
            legal=legal_joint(t.masks),
            past=past,
            sample=jnp.where((past >= 0).all(), past[jnp.sort(drawn)], -1),
        ), {}

    def strategy(row, mask, epsilon):
        adaptive = biased_adaptive_play(row.good, row.sample, mask, player)
        return epsilon * mask / jnp.maximum(mask.sum(), 1) + (1 - epsilon) * adaptive

    best = lambda row, mask: strategy(row, mask, 0.0)
    plan = lambda table, hp: planned(table, hp, config.sweeps)
    return Rule(first, strategy, best, learn, informed=True, plan=plan)


def oal(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns OAL for every agent; all must be on one team.

    Raises:
      ValueError: agents on several teams, a model with too many entries, or too short a memory.
    """
    teams = {group.team for group in env.groups.values()}
    if len(teams) > 1:
        raise ValueError(f"oal: needs one team, the environment has {len(teams)}")
    return tabular(env, config, partial(rule, config=config), Hparams())
