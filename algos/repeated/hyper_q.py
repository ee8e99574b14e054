"""Hyper-Q: Q-learning whose actions are mixed strategies and whose state is the other's.

Where the opponent adapts, what it will do next hangs on its strategy y now, and how that changes on
one's own strategy x. So Hyper-Q learns the value of playing x while the other plays y, both on a
grid over the simplex, and plays the best x. The other's y is seen, or estimated from its actions.

    Q(y, x) += alpha (r + gamma max over x' of Q(y', x') - Q(y, x))

It always plays greedily; from time to time it begins anew somewhere, and so explores. Of the game
it knows nothing, its payoffs included.

Tesauro, 2003, NIPS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule, Transition
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment

MAX_ENTRIES = 2**22  # of the table, 16 MiB a player and run


@struct.dataclass
class Hparams:
    """Traced numbers, the paper's."""

    learning_rate: float = hparam(0.01, 0.0, 1.0, "log")
    gamma: float = hparam(0.9, 0.0, 1.0)
    forgetting: float = hparam(0.005, 0.0, 1.0, "log")  # mu, a round's share in the estimate
    restart: float = hparam(1000.0, 1.0, 1e12, "log")  # rounds between random strategies
    first_value: float = hparam(0.0, -1e9, 1e9)


class Estimator(NamedTuple):
    """How the other's strategy is estimated: `where` is a point of the grid, or weights on all."""

    init: Callable[[int, int], jax.Array]  # (actions, length of memory) -> what is remembered
    after: Callable[[jax.Array, Transition, int, Hparams], jax.Array]
    # (memory, transition, the other's number, hparams) -> memory
    where: Callable[[jax.Array, jax.Array, Hparams], jax.Array]
    # (memory, grid [Y, A], hparams) -> [] int32, the point's number; or [Y] f32, sums to 1


def nearest(y: jax.Array, grid: jax.Array) -> jax.Array:
    """Returns the number [] of the point of the grid [Y, A] nearest to a strategy [A]."""
    return jnp.argmax(grid @ y - 0.5 * (grid**2).sum(1)).astype(jnp.int32)


def posterior(weights: jax.Array, grid: jax.Array) -> jax.Array:
    """Returns the probability [Y] of each strategy of the grid [Y, A], a priori all alike.

        P(y | H) ~ prod over actions of y(a)^weights(a)

    Args:
      weights: [A] f32 >= 0, how often actions were seen, the older the less.
      grid: [Y, A] f32.
    """
    return jax.nn.softmax(jnp.log(jnp.maximum(grid, 1e-30)) @ weights)


def _uniform(actions, length):
    return jnp.full(actions, 1 / actions)


def _averaged(y, t, other, hp):
    return (1 - hp.forgetting) * y + hp.forgetting * jax.nn.one_hot(t.joint_action[other], len(y))


def _recorded(history, t, other, hp):
    """Actions, the newest first; -1 where none was seen yet."""
    return jnp.concatenate([t.joint_action[other][None], history[:-1]])


def _believed(history, grid, hp):
    ages = jnp.arange(len(history))
    weight = jnp.maximum(1 - hp.forgetting * ages, 0)
    return posterior(weight @ jax.nn.one_hot(history, grid.shape[1]), grid)


ESTIMATORS = {
    # told the strategy of the round before
    "omniscient": Estimator(
        _uniform, lambda y, t, other, hp: t.strategies[other], lambda y, grid, hp: nearest(y, grid)
    ),
    # an exponential moving average of actions
    "average": Estimator(_uniform, _averaged, lambda y, grid, hp: nearest(y, grid)),
    # Bayes' rule on the grid, actions fading linearly
    "bayes": Estimator(
        lambda actions, length: jnp.full(length, -1, jnp.int32), _recorded, _believed
    ),
}


@dataclass(frozen=True)
class Config:
    """What shapes the program: the grid, and how the other is estimated."""

    rollout_length: int = 64
    grid: int = 25  # values of each probability: 0, 1/24, ..., 1
    estimator: str = "bayes"  # a key of ESTIMATORS
    memory: int = 200  # actions that Bayes' rule remembers

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        require(self.grid >= 2, "grid", "at least 2", self.grid)
        require(self.memory >= 1, "memory", "at least 1", self.memory)
        lookup(ESTIMATORS, self.estimator, "estimator")


def simplex_grid(num_actions: int, values: int) -> np.ndarray:
    """Returns [Y, A] f32, all strategies with probabilities in 0, 1 / (values - 1), ..., 1.

    There are as many as ways to part values - 1 shares among A actions: 325 for 25 and 3.
    """
    slots = values - 1 + num_actions - 1  # shares, and bars between the actions'
    bars = np.array(list(combinations(range(slots), num_actions - 1)), np.int64)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, slots)))
    return ((np.diff(edges, axis=1) - 1) / (values - 1)).astype(np.float32)


@struct.dataclass
class Entry:
    q: jax.Array  # [Y, X] f32
    x: jax.Array  # [] int32, the strategy it plays, by its number
    y: jax.Array  # [] int32, or [Y] f32: the other's, estimated
    memory: jax.Array  # what the estimate is made of
    rounds: jax.Array  # [] int32, since it last drew a strategy at random


def strategy_values(q: jax.Array, y: jax.Array) -> jax.Array:
    """Returns what each strategy is worth against a point, or weights on all points; [X]."""
    return q[y] if y.ndim == 0 else y @ q


def rule(info: GameInfo, grid: int = 25, estimator: str = "bayes", memory: int = 200) -> Rule:
    """Returns the rule of one of two players.

    Under Bayes' rule all y learn at once, each in proportion to its probability; the posterior
    after the round stands in for that before it, as in the paper. Ties go to the lowest number.

    Raises:
      ValueError: there are not two players, or the table would be too large.
    """
    players = len(info.num_actions)
    require(players == 2, "hyper_q", "two players", players)
    sizes = [comb(grid + count - 2, count - 1) for count in info.num_actions]
    entries = sizes[0] * sizes[1]
    require(entries <= MAX_ENTRIES, "grid", f"at most {MAX_ENTRIES} entries of Q", entries)
    me, other = info.player, 1 - info.player
    own, others = (jnp.asarray(simplex_grid(info.num_actions[i], grid)) for i in (me, other))
    estimate = ESTIMATORS[estimator]

    def init(key, hp):
        remembered = estimate.init(info.num_actions[other], memory)
        q = jnp.full((sizes[other], sizes[me]), hp.first_value, jnp.float32)
        x = jax.random.randint(key, (), 0, sizes[me])
        return Entry(q, x, estimate.where(remembered, others, hp), remembered, jnp.int32(0))

    def learn(entry, next_entry, t, hp):
        remembered = estimate.after(entry.memory, t, other, hp)
        y = estimate.where(remembered, others, hp)
        values = strategy_values(entry.q, y)
        target = t.reward + hp.gamma * t.discount * values.max()
        if y.ndim == 0:
            change = hp.learning_rate * (target - entry.q[entry.y, entry.x])
            change = change.astype(entry.q.dtype)
            q, weight = entry.q.at[entry.y, entry.x].add(change), y == entry.y
        else:
            change = hp.learning_rate * y * (target - entry.q[:, entry.x])
            change = change.astype(entry.q.dtype)
            q, weight = entry.q.at[:, entry.x].add(change), y
        values = values + jnp.sum(weight * change) * (jnp.arange(sizes[me]) == entry.x)
        anywhere = jax.random.randint(t.key, (), 0, sizes[me])
        due = entry.rounds + 1 >= hp.restart
        x = jnp.where(due, anywhere, jnp.argmax(values).astype(jnp.int32))
        return Entry(q, x, y, remembered, jnp.where(due, 0, entry.rounds + 1)), {}

    act = lambda entry, mask, exploration: own[entry.x]
    greedy = lambda entry, mask: own[jnp.argmax(strategy_values(entry.q, entry.y))]
    return Rule(init, act, greedy, learn, informed=True)


def hyper_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Hyper-Q for both players."""
    require_own("hyper_q", config, Config)
    rules = partial(rule, grid=config.grid, estimator=config.estimator, memory=config.memory)
    return repeated(env, config, rules, Hparams())
