"""PD-WoLF: hill climbing that learns fast until its own policy slows down.

WoLF needs to know an equilibrium, or an average policy in its place. Policy-dynamics WoLF looks at
how the policy itself moves: it wins where a change and the change of that change have opposite
signs, which in two-player, two-action games is where the policy nears the turning point of its
circle. Here in policy hill climbing; with exact gradients, see `pd_wolf_iga`.

A hill climber's changes are as long as its step whatever the values, so that their own changes
tell of little but that step: expect PHC's circles of it, where the gradient form converges.

Banerjee & Peng, 2003, AAMAS.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.rates import RATES, Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.wolf_phc import HPARAMS, STARTS, Config, epsilon_soft, hill_climb
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Entry:
    values: Values
    pi: jax.Array  # [A] f32
    change: jax.Array  # [A] f32, the last of pi
    change2: jax.Array  # [A] f32, the last of `change`
    visits: jax.Array  # [] f32


def rule(
    info: GameInfo,
    rate: str = "hyperbolic",
    policy_rate: str = "hyperbolic",
    start: str = "uniform",
) -> Rule:
    """Returns the rule: an action's share moves slowly where change * change2 < 0."""
    num_actions = info.num_actions[info.player]

    def init(key, hp):
        still = jnp.zeros(num_actions)
        pi = STARTS[start](key, num_actions)
        return Entry(initial_values((num_actions,), rate), pi, still, still, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_entry.values.q, t.next_mask)
        values = q_update(entry.values, t.action, target, hp, t.step, rate)
        visits = entry.visits + 1
        wins = entry.change * entry.change2 < 0
        step = RATES[policy_rate](hp.win_step, hp.step_period, t.step, visits)
        step = step * jnp.where(wins, 1.0, hp.lose_ratio)
        legal = epsilon_soft(entry.pi, t.mask, 0.0)
        pi = hill_climb(legal, values.q, t.mask, step)
        change = pi - legal
        return Entry(values, pi, change, change - entry.change, visits), {}

    def strategy(entry, mask, epsilon):
        return epsilon_soft(entry.pi, mask, epsilon)

    return Rule(init, strategy, lambda entry, mask: epsilon_soft(entry.pi, mask, 0.0), learn)


def pd_wolf(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns PD-WoLF policy hill climbing for every agent."""
    require_own("pd_wolf", config, Config)
    rules = partial(rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start)
    return tabular(env, config, rules, HPARAMS, name="pd_wolf")
