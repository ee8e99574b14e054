"""PHC and WoLF-PHC: a mixed policy climbs its own Q-values; WoLF climbs slowly while it wins.

Q-learning keeps the values, the policy moves a step towards the greedy action. Plain policy hill
climbing (PHC) circles around mixed equilibria; "win or learn fast" (WoLF) damps the circle: an
agent wins where its policy is worth more than its average policy, and then steps less far.

Bowling & Veloso, 2002, Artificial Intelligence 136.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config as EngineConfig
from jaxmarl_core.algos.tabular.engine import Hparams as Common
from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.rates import RATES, Values, blank, towards
from jaxmarl_core.errors import lookup
from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment

STARTS = {
    "uniform": lambda key, n: jnp.full(n, 1.0 / n),
    "random": lambda key, n: jax.random.dirichlet(key, jnp.ones(n)),  # anywhere on the simplex
}


@dataclass(frozen=True)
class Config(EngineConfig):
    """What shapes the program; and where policies start."""

    rate: str = "hyperbolic"  # of the values
    policy_rate: str = "hyperbolic"  # of the policy's steps
    start: str = "uniform"  # or "random"

    def __post_init__(self):
        super().__post_init__()
        lookup(RATES, self.policy_rate, "policy_rate")
        lookup(STARTS, self.start, "start")


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and the policy's steps; by default as in the paper's small games."""

    learning_rate: float = hparam(0.01, 0.0, 1.0, "log")  # 1 / (100 + t / 10000)
    rate_period: float = hparam(1e6, 1.0, 1e12, "log")
    epsilon: float = hparam(0.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.0, 0.0, 1.0)
    win_step: float = hparam(5e-5, 0.0, 1.0, "log")  # 1 / (20000 + t)
    step_period: float = hparam(2e4, 1.0, 1e12, "log")
    lose_ratio: float = hparam(2.0, 1.0, 1e6, "log")  # a losing step over a winning one


@struct.dataclass
class Row:
    values: Values
    pi: jax.Array  # [A] f32
    average: jax.Array  # [A] f32, of pi over visits
    visits: jax.Array  # [] f32


def climbed(pi: jax.Array, q: jax.Array, mask: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the policy a step nearer to the greedy one.

    Every other legal action gives min(pi(a), step / (A - 1)) to the greedy one.

    Args:
      pi: [A] f32, sums to 1.
      q: [A] f32.
      mask: [A] bool.
      step: [] or [A] f32 in [0, 1].
    """
    best = jax.nn.one_hot(greedy(q, mask), len(q))
    share = step / jnp.maximum(mask.sum() - 1, 1)
    given = jnp.where(best > 0, 0.0, jnp.where(mask, jnp.minimum(pi, share), pi))
    return pi - given + best * given.sum()


def played(pi: jax.Array, mask: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """Returns the policy on legal actions, mixed with a share epsilon of uniform play; [A]."""
    uniform = mask / jnp.maximum(mask.sum(), 1)
    legal = pi * mask
    legal = jnp.where(legal.sum() > 0, legal / jnp.maximum(legal.sum(), 1e-30), uniform)
    return epsilon * uniform + (1 - epsilon) * legal


def rule(
    seat: Seat,
    rate: str = "hyperbolic",
    policy_rate: str = "hyperbolic",
    start: str = "uniform",
    wolf: bool = True,
) -> Rule:
    """Returns WoLF-PHC, or PHC, whose steps are always losing ones."""
    num_actions = seat.num_actions[seat.player]

    def first(key, hp):
        pi = STARTS[start](key, num_actions)
        return Row(blank((num_actions,), rate), pi, pi, jnp.float32(0))

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.values.q, t.next_mask)
        values = towards(row.values, t.action, target, hp, t.step, rate)
        visits = row.visits + 1
        average = row.average + (row.pi - row.average) / visits
        wins = jnp.dot(row.pi, values.q) > jnp.dot(average, values.q)
        step = RATES[policy_rate](hp.win_step, hp.step_period, t.step, visits)
        step = step * jnp.where(wins & wolf, 1.0, hp.lose_ratio)
        pi = climbed(row.pi, values.q, t.mask, step)
        return Row(values, pi, average, visits), {}

    def strategy(row, mask, epsilon):
        return played(row.pi, mask, epsilon)

    return Rule(first, strategy, lambda row, mask: played(row.pi, mask, 0.0), learn)


def wolf_phc(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns WoLF-PHC for every agent."""
    rules = partial(rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start)
    return tabular(env, config, rules, Hparams())


def phc(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns policy hill climbing for every agent; its step is win_step times lose_ratio."""
    rules = partial(
        rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start, wolf=False
    )
    return tabular(env, config, rules, Hparams())
