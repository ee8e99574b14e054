"""Lenient Q-learning: young actions are forgiven bad rewards, mature ones are not.

Every action of every state has a temperature. While it is hot, a target below Q is mostly ignored;
each time the action is tried it cools, and in the end this is Q-learning. Unlike optimism for ever,
that copes with rewards that are bad by chance.

Panait, Sullivan & Luke, 2006, AAMAS; in the form of Wei & Luke, 2016, JMLR 17(84) (LMRL2), whose
temperatures also diffuse from the state that follows.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rates import Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import masked_mean, q_target
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment

# A small rate and a slow cooling: an action must be forgiven for as long as mates explore, who
# explore long enough for it to be tried with the right one.
HPARAMS = Hparams(
    learning_rate=0.01,
    anneal_steps=1e4,
    hottest=50.0,
    cooling=0.9995,
    leniency=1.0,
    diffusion=0.1,
)


@struct.dataclass
class Entry:
    values: Values
    temperature: jax.Array  # [A] f32


def rule(info: GameInfo, rate: str = "constant") -> Rule:
    """Returns the rule: learn if the target is above Q(s, a), or by chance as it grows cold."""
    num_actions = info.num_actions[info.player]

    def init(key, hp):
        return Entry(
            initial_values((num_actions,), rate), jnp.full(num_actions, hp.hottest, jnp.float32)
        )

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.values.q, t.next_mask)
        heat = entry.temperature[t.action]
        strict = 1 - jnp.exp(-1 / (hp.leniency * jnp.maximum(heat, 1e-9)))
        learns = (target > entry.values.q[t.action]) | (jax.random.uniform(t.key) < strict)
        learned = q_update(entry.values, t.action, target, hp, t.step, rate)
        values = jax.tree.map(lambda a, b: jnp.where(learns, a, b), learned, entry.values)
        next_heat = masked_mean(next_entry.temperature, t.next_mask)
        mixed = jnp.where(t.discount > 0, heat + hp.diffusion * (next_heat - heat), heat)
        return Entry(values, entry.temperature.at[t.action].set(hp.cooling * mixed)), {}

    def strategy(entry, mask, epsilon):
        return epsilon_greedy_probs(entry.values.q, epsilon, mask)

    return Rule(init, strategy, lambda entry, mask: strategy(entry, mask, jnp.float32(0)), learn)


def lenient_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns lenient Q-learning, epsilon-greedy with a falling epsilon."""
    require_own("lenient_q", config, Config)
    config = with_defaults(config, rate="constant")
    return tabular(env, config, partial(rule, rate=decided(config.rate)), HPARAMS, name="lenient_q")
