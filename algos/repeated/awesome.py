"""AWESOME: adapt when everybody is stationary, otherwise move to equilibrium.

Players agree on an equilibrium and play it in epochs that grow. While everybody's frequencies look
like it, they go on; when somebody's do not, they try a pure action and from then on answer what the
others seem to play; when somebody does not even seem stationary, and be it by such an answer, all
begin anew with the equilibrium. Against opponents who become stationary this ends in a best
response, and in self-play in the equilibrium, in any game. Players know the payoffs and see actions
only.

Conitzer & Sandholm, 2003, ICML; 2007, Machine Learning 67. The schedule of tolerances and epochs is
ours, of the kind that the paper calls valid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.repeated.equilibrium import SELECTIONS, agreed_equilibrium
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


class Schedule(NamedTuple):
    """Functions of the epoch's number t = 0, 1, ..., arrays in, arrays out.

    With n actions of all players together a schedule is valid if tolerances fall to 0, lengths grow
    without bound, and neither of these products of chances not to be misled is 0:

        prod over t of 1 - n / (length(t) stationary(t + 1)^2),   and with equilibrium(t)
    """

    length: Callable[[Any], Any]  # N, rounds
    equilibrium: Callable[[Any], Any]  # eps_e, how far frequencies may be from the equilibrium
    stationary: Callable[[Any], Any]  # eps_s, and from those of the epoch before


def power_schedule(num_actions: int) -> Schedule:
    """Returns tolerances (t + 2)^(-1/2) in epochs of n (t + 2)^(3/2) (t + 3) rounds.

    The terms of the products are then at most (t + 2)^(-3/2), whose sum is finite.
    """
    tolerance = lambda t: (t + 2.0) ** -0.5
    return Schedule(lambda t: num_actions * (t + 2.0) ** 1.5 * (t + 3.0), tolerance, tolerance)


def existence_schedule(num_actions: int) -> Schedule:
    """Returns tolerances 1 / (t + 2) in epochs that make every factor at least 2^(-1 / (t + 1)^2).

    That such epochs exist is how the paper proves that a schedule does; t^4 is how they grow.
    """
    tolerance = lambda t: 1 / (t + 2.0)
    share = lambda t: -jnp.expm1(-np.log(2) / (t + 1.0) ** 2)
    return Schedule(lambda t: num_actions * (t + 3.0) ** 2 / share(t), tolerance, tolerance)


# name -> builder from the number of actions
SCHEDULES = {"power": power_schedule, "existence": existence_schedule}


def require_valid(schedule: Schedule, num_actions: int) -> None:
    """Raises ValueError unless the schedule is valid, as far as its first million epochs tell.

    The products' terms must fall faster than 1 / t, or their sum would grow without bound.
    """
    t = np.unique(np.round(np.logspace(0, 6, 400))).astype(np.float64) - 1
    length = np.asarray(schedule.length(t), np.float64)
    require(
        bool((np.diff(length) > 0).all()), "schedule", "epochs that grow", "one that is not longer"
    )
    for name, shift in (("equilibrium", 0), ("stationary", 1)):
        tolerance = np.asarray(getattr(schedule, name)(t + shift), np.float64)
        falls = bool((np.diff(tolerance) < 0).all() and tolerance[-1] < tolerance[0] / 10)
        require(falls, "schedule", f"tolerances ({name}) that fall to 0", tolerance[-1])
        term = num_actions / (length * tolerance**2)
        require(bool((term < 1).all()), "schedule", f"positive factors ({name})", 1 - term.max())
        slope = np.log(term[-1] / term[-100]) / np.log((t[-1] + 1) / (t[-100] + 1))
        require(slope < -1.01, "schedule", f"a product ({name}) above 0", f"terms as t^{slope:.2f}")


@dataclass(frozen=True)
class Config:
    """What shapes the program; the schedule, and which equilibrium all hold on to."""

    rollout_length: int = 64
    schedule: str = "power"  # a key of SCHEDULES
    select: str = "first"  # a key of equilibrium.SELECTIONS

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(SCHEDULES, self.schedule, "schedule")
        lookup(SELECTIONS, self.select, "select")


@struct.dataclass
class Hparams:
    """Traced numbers."""

    # epochs lengthen by its inverse square, and a valid schedule stays so
    tolerance: float = hparam(0.1, 1e-3, 1.0, "log")  # a factor on the schedule's tolerances


@struct.dataclass
class Entry:
    strategy: jax.Array  # [A] f32, phi
    counts: tuple[jax.Array, ...]  # N times [A_j] f32, of this epoch
    previous: tuple[jax.Array, ...]  # N times [A_j] f32, frequencies of the last one
    epoch: jax.Array  # [] f32, t since the last restart
    left: jax.Array  # [] f32, rounds of this epoch to come
    believes: jax.Array  # [] bool, that everybody plays the equilibrium: the paper's APPE
    tried: jax.Array  # [] bool, it has just changed its own strategy: the paper's beta
    restarts: jax.Array  # [] f32


def distance(a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> jax.Array:
    """Returns the largest difference [] of any action's probability, over all players."""
    return jnp.stack([jnp.abs(x - y).max() for x, y in zip(a, b)]).max()


def rule(info: GameInfo, schedule: str = "power", select: str = "first") -> Rule:
    """Returns the rule: what happens at the end of an epoch, in a flat loop over rounds.

    Raises:
      ValueError: the schedule is not valid.
    """
    actions, me = info.num_actions, info.player
    plan = SCHEDULES[schedule](sum(actions))
    require_valid(plan, sum(actions))
    equilibrium = agreed_equilibrium(info.payoffs, select)
    payoffs = info.payoffs[me]
    margin = len(actions) * max(actions) * (payoffs.max() - payoffs.min())  # n |A| mu

    def length(epoch, hp):
        return jnp.maximum(jnp.ceil(plan.length(epoch) / hp.tolerance**2), 1.0)

    def restarted(hp, restarts):
        nothing = tuple(jnp.zeros(count) for count in actions)
        yes, no, zero = jnp.bool_(True), jnp.bool_(False), jnp.float32(0)
        fair = equilibrium.strategies[me]
        return Entry(fair, nothing, nothing, zero, length(zero, hp), yes, no, restarts)

    def after_epoch(entry, key, hp):
        """Returns the entry after an epoch: it goes on, adapts, or begins anew."""
        now = tuple(count / jnp.maximum(count.sum(), 1) for count in entry.counts)
        moved = distance(now, entry.previous) > hp.tolerance * plan.stationary(entry.epoch)
        restart = ~entry.believes & ~entry.tried & moved
        worth = action_payoffs(payoffs, now, me)
        gain = worth.max() - jnp.dot(entry.strategy, worth)
        needed = margin * hp.tolerance * plan.stationary(entry.epoch + 1)
        best = jax.nn.one_hot(jnp.argmax(worth), actions[me])
        answer = jnp.where(gain > needed, best, entry.strategy)
        gap = distance(now, equilibrium.strategies)
        doubts = entry.believes & (gap > hp.tolerance * plan.equilibrium(entry.epoch))
        pure = jax.nn.one_hot(jax.random.randint(key, (), 0, actions[me]), actions[me])
        strategy = jnp.where(entry.believes, jnp.where(doubts, pure, entry.strategy), answer)
        on = Entry(
            strategy,
            tuple(jnp.zeros(count) for count in actions),
            now,
            entry.epoch + 1,
            length(entry.epoch + 1, hp),
            entry.believes & ~doubts,
            doubts,
            entry.restarts,
        )
        anew = restarted(hp, entry.restarts + 1)
        return jax.tree.map(lambda new, old: jnp.where(restart, new, old), anew, on)

    def learn(entry, next_entry, t, hp):
        done = [jax.nn.one_hot(t.joint_action[j], count) for j, count in enumerate(actions)]
        counts = tuple(c + d for c, d in zip(entry.counts, done))
        entry = entry.replace(counts=counts, left=entry.left - 1)
        over = entry.left <= 0
        after = after_epoch(entry, t.key, hp)
        entry = jax.tree.map(lambda new, old: jnp.where(over, new, old), after, entry)
        return entry, {
            "believes": entry.believes,
            "restarts": entry.restarts,
            "tolerance": hp.tolerance * plan.equilibrium(entry.epoch),
            "solver_failure": ~equilibrium.solved,
        }

    init = lambda key, hp: restarted(hp, jnp.float32(0))
    act = lambda entry, mask, exploration=0.0: entry.strategy
    return Rule(init, act, act, learn, informed=True)


def awesome(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns AWESOME for every player; without an equilibrium, action 0 stands in for it."""
    require_own("awesome", config, Config)
    rules = partial(rule, schedule=config.schedule, select=config.select)
    return repeated(env, config, rules, Hparams())
