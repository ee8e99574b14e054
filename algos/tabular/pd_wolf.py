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

from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.rates import RATES, Values, blank, towards
from jaxmarl_core.algos.tabular.wolf_phc import STARTS, Config, Hparams, climbed, played
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Row:
    values: Values
    pi: jax.Array  # [A] f32
    change: jax.Array  # [A] f32, the last of pi
    change2: jax.Array  # [A] f32, the last of `change`
    visits: jax.Array  # [] f32


def rule(
    seat: Seat,
    rate: str = "hyperbolic",
    policy_rate: str = "hyperbolic",
    start: str = "uniform",
) -> Rule:
    """Returns the rule: an action's share moves slowly where change * change2 < 0."""
    num_actions = seat.num_actions[seat.player]

    def first(key, hp):
        still = jnp.zeros(num_actions)
        pi = STARTS[start](key, num_actions)
        return Row(blank((num_actions,), rate), pi, still, still, jnp.float32(0))

    def learn(row, next_row, t, hp):
        target = q_target(t.reward, hp.gamma * t.discount, next_row.values.q, t.next_mask)
        values = towards(row.values, t.action, target, hp, t.step, rate)
        visits = row.visits + 1
        wins = row.change * row.change2 < 0
        step = RATES[policy_rate](hp.win_step, hp.step_period, t.step, visits)
        step = step * jnp.where(wins, 1.0, hp.lose_ratio)
        pi = climbed(row.pi, values.q, t.mask, step)
        change = pi - row.pi
        return Row(values, pi, change, change - row.change, visits), {}

    def strategy(row, mask, epsilon):
        return played(row.pi, mask, epsilon)

    return Rule(first, strategy, lambda row, mask: played(row.pi, mask, 0.0), learn)


def pd_wolf(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns PD-WoLF policy hill climbing for every agent."""
    rules = partial(rule, rate=config.rate, policy_rate=config.policy_rate, start=config.start)
    return tabular(env, config, rules, Hparams())
