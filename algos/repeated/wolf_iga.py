"""WoLF-IGA: gradient ascent by two step sizes, the smaller one while it wins.

IGA's strategies circle an equilibrium inside the simplex. "Win or learn fast" bends the circle into
a spiral: a player wins where its strategy is worth more than its equilibrium strategy would be
against the same opponent, and then steps less far. With two actions each, strategies converge to an
equilibrium; beyond two there is no theorem. Players know the payoffs, the others' strategies, and
one equilibrium of the game, which they choose by a fixed rule.

Bowling & Veloso, 2002, Artificial Intelligence 136, section 4.
"""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp

from jaxmarl_core.algos.repeated import gradient
from jaxmarl_core.algos.repeated.engine import against_strategies, repeated
from jaxmarl_core.algos.repeated.equilibrium import SELECTIONS, agreed_equilibrium
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config:
    """What shapes the program; and which equilibrium winning is measured by."""

    rollout_length: int = 64
    select: str = "first"  # a key of equilibrium.SELECTIONS

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(SELECTIONS, self.select, "select")


HPARAMS = gradient.Hparams(lose_ratio=2.0)  # IGA's step is a winning one


def rule(info: GameInfo, select: str = "first") -> Rule:
    """Returns IGA whose step size depends on who wins.

    Where no equilibrium was found the player always steps as a losing one, and `solver_failure`
    in the metrics is 1.
    """
    climb = gradient.rule(info)
    equilibrium = agreed_equilibrium(info.payoffs, select)
    fair = equilibrium.strategies[info.player]

    def learn(entry, next_entry, t, hp):
        payoffs = against_strategies(info, t)
        wins = equilibrium.solved & (jnp.dot(entry.x, payoffs) > jnp.dot(fair, payoffs))
        step = hp.step_size * jnp.where(wins, 1.0, hp.lose_ratio)
        entry, _ = climb.learn(entry, next_entry, t, hp.replace(step_size=step))
        return entry, {"winning": wins, "solver_failure": ~equilibrium.solved}

    return climb._replace(learn=learn)


def wolf_iga(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns WoLF-IGA for every player; steps as in `iga`, for any number of actions."""
    require_own("wolf_iga", config, Config)
    return repeated(env, config, partial(rule, select=config.select), HPARAMS)
