"""FMQ: weigh an action by how often it brought the best reward it ever brought.

The frequency-maximum Q-value heuristic steers independent Boltzmann learners of a team towards an
action whose best outcome is good and not rare, and so past the penalties of mates still exploring.
It fails where rewards are stochastic all over. The recursive form estimates the frequency with a
step size and mixes the two values by it. Both see their own action and reward only.

Kapetanakis & Kudenko, 2002, AAAI; Matignon, Laurent & Le Fort-Piat, 2008, ICINCO (recursive).
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.exploration import boltzmann_probs, epsilon_greedy_probs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers; by default those of the paper's climbing game."""

    learning_rate: float = hparam(0.9, 0.0, 1.0)
    weight: float = hparam(10.0, 0.0, 1e9, "log")  # c, of frequency times best reward
    frequency_rate: float | None = hparam(None, 0.0, 1.0)  # the recursive form
    tolerance: float = hparam(1e-4, 0.0, 1e9, "log")  # rewards this close are the same
    temperature: float = hparam(500.0, 0.0, 1e9, "log")  # at first, above `floor`
    cooling: float = hparam(0.006, 0.0, 1e9, "log")  # per step, in the exponent
    floor: float = hparam(1.0, 0.0, 1e9, "log")  # in units of reward


def temperature(hp: Hparams, step: jax.Array) -> jax.Array:
    """Returns T [] after so many steps: temperature e^(-cooling t) + floor."""
    return hp.temperature * jnp.exp(-hp.cooling * step) + hp.floor


@struct.dataclass
class Entry:
    q: jax.Array  # [A] f32
    best: jax.Array  # [A] f32, the best reward it brought; 0 where untried
    frequency: jax.Array  # [A] f32 in [0, 1], how often it came
    count: jax.Array  # [A] f32, tries since that reward first came
    weight: jax.Array  # [] f32, c


def heuristic(entry: Entry) -> jax.Array:
    """Returns Q(a) + c F(a) max R(a); Q(a) where never tried. [A] f32."""
    return entry.q + entry.weight * entry.frequency * jnp.where(entry.count > 0, entry.best, 0.0)


def mixture(entry: Entry) -> jax.Array:
    """Returns (1 - F) Q + F max R, the recursive form's value; [A] f32."""
    return (1 - entry.frequency) * entry.q + entry.frequency * jnp.where(
        entry.count > 0, entry.best, 0.0
    )


def rule(info: GameInfo, recursive: bool = False) -> Rule:
    """Returns the rule; frequencies by counting, or recursively."""
    num_actions = info.num_actions[info.player]
    worth = mixture if recursive else heuristic

    def init(key, hp):
        nothing = jnp.zeros(num_actions)
        return Entry(nothing, nothing, nothing, nothing, jnp.float32(hp.weight))

    def learn(entry, next_entry, t, hp):
        a, r = t.action, t.reward
        is_new = (entry.count[a] == 0) | (r > entry.best[a] + hp.tolerance)
        is_best = is_new | (r >= entry.best[a] - hp.tolerance)
        count = jnp.where(is_new, 1.0, entry.count[a] + 1)
        rate = hp.frequency_rate if recursive else 1 / count
        frequency = entry.frequency[a] + rate * (is_best - entry.frequency[a])
        return entry.replace(
            q=entry.q.at[a].add(hp.learning_rate * (r - entry.q[a])),
            best=entry.best.at[a].set(jnp.where(is_new, r, entry.best[a])),
            frequency=entry.frequency.at[a].set(jnp.where(is_new, 1.0, frequency)),
            count=entry.count.at[a].set(count),
        ), {}

    def strategy(entry, mask, temperature):
        return boltzmann_probs(worth(entry), temperature, mask)

    def greedy(entry, mask):
        return epsilon_greedy_probs(worth(entry), jnp.float32(0), mask)

    return Rule(init, strategy, greedy, learn)


def fmq(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns FMQ for every agent."""
    require_own("fmq", config, Config)
    return repeated(env, config, rule, Hparams(), temperature)


def rfmq(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns recursive FMQ for every agent."""
    require_own("rfmq", config, Config)
    recursive = lambda info: rule(info, recursive=True)
    return repeated(
        env, config, recursive, Hparams(learning_rate=0.1, frequency_rate=0.05), temperature
    )
