"""PHC and WoLF-PHC: a mixed policy climbs its own Q-values; WoLF climbs slowly while it wins.

Q-learning keeps the values, the policy moves a step towards the greedy action. Plain policy hill
climbing (PHC) circles around mixed equilibria; "win or learn fast" (WoLF) damps the circle: an
agent wins where its policy is worth more than its average policy, and then steps less far.

Which actions are legal in a state is learnt on visiting it: there the policy is what it was at
first, kept to them, so that a uniform start is uniform over legal actions and what illegal ones
had is nobody's gain.

Bowling & Veloso, 2002, Artificial Intelligence 136.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rates import RATES, Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment

STARTS = {
    "uniform": lambda key, n: jnp.full(n, 1.0 / n),
    "random": lambda key, n: jax.random.dirichlet(key, jnp.ones(n)),  # anywhere on the simplex
}


@dataclass(frozen=True)
class Config:
    """What shapes the program; and where policies start."""

    rollout_length: int = 64
    rate: str = "hyperbolic"  # of the values; a key of rates.RATES
    policy_rate: str = "hyperbolic"  # of the policy's steps
    start: str = "uniform"  # or "random"

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")
        lookup(RATES, self.policy_rate, "policy_rate")
        lookup(STARTS, self.start, "start")


HPARAMS = Hparams(  # the paper's, in small games
    learning_rate=0.01,  # 1 / (100 + t / 10000)
    rate_period=1e6,
    epsilon=0.0,
    final_epsilon=0.0,
    win_step=5e-5,  # 1 / (20000 + t)
    step_period=2e4,
    lose_ratio=2.0,
)


@struct.dataclass
class Entry:
    values: Values
    pi: jax.Array  # [A] f32
    average: jax.Array  # [A] f32, of pi over visits
    visits: jax.Array  # [] f32


def hill_climb(pi: jax.Array, q: jax.Array, mask: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the policy a step nearer to the greedy one.

    Every other legal action gives min(pi(a), step / (A - 1)) to the greedy one, A being how many
    are legal; what the others hold stays where it is.

    Args:
      pi: [A] f32, sums to 1 over legal actions.
      q: [A] f32.
      mask: [A] bool.
      step: [] or [A] f32 in [0, 1].
    """
    best = jax.nn.one_hot(greedy(q, mask), len(q))
    share = step / jnp.maximum(mask.sum() - 1, 1)
    given = jnp.where((best > 0) | ~mask, 0.0, jnp.minimum(pi, share))
    return pi - given + best * given.sum()


def epsilon_soft(pi: jax.Array, mask: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """Returns the policy on legal actions, mixed with a share epsilon of uniform play; [A]."""
    uniform = mask / jnp.maximum(mask.sum(), 1)
    legal = pi * mask
    legal = jnp.where(legal.sum() > 0, legal / jnp.maximum(legal.sum(), 1e-30), uniform)
    return epsilon * uniform + (1 - epsilon) * legal


def rule(
    info: GameInfo,
    rate: str = "hyperbolic",
    policy_rate: str = "hyperbolic",
    start: str = "uniform",
    wolf: bool = True,
) -> Rule:
    """Returns WoLF-PHC, or PHC, whose steps are always losing ones."""
    num_actions = info.num_actions[info.player]

    def init(key, hp):
        pi = STARTS[start](key, num_actions)
        return Entry(initial_values((num_actions,), rate), pi, pi, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.values.q, t.next_mask)
        values = q_update(entry.values, t.action, target, hp, t.step, rate)
        visits = entry.visits + 1
        pi, average = (epsilon_soft(x, t.mask, 0.0) for x in (entry.pi, entry.average))
        average = average + (pi - average) / visits
        wins = jnp.dot(pi, values.q) > jnp.dot(average, values.q)
        step = RATES[policy_rate](hp.win_step, hp.step_period, t.step, visits)
        step = step * jnp.where(wins & wolf, 1.0, hp.lose_ratio)
        return Entry(values, hill_climb(pi, values.q, t.mask, step), average, visits), {}

    def strategy(entry, mask, epsilon):
        return epsilon_soft(entry.pi, mask, epsilon)

    return Rule(init, strategy, lambda entry, mask: epsilon_soft(entry.pi, mask, 0.0), learn)


def wolf_phc(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns WoLF-PHC for every agent."""
    require_own("wolf_phc", config, Config)
    rules = partial(rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start)
    return tabular(env, config, rules, HPARAMS, name="wolf_phc")


def phc(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns policy hill climbing for every agent; its step is win_step times lose_ratio."""
    require_own("phc", config, Config)
    rules = partial(
        rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start, wolf=False
    )
    return tabular(env, config, rules, HPARAMS, name="phc")
