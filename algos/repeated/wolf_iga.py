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
from flax import struct

from jaxmarl_core.algos.repeated import gradient
from jaxmarl_core.algos.repeated.engine import against_strategies, repeated
from jaxmarl_core.algos.repeated.equilibrium import SELECTIONS, agreed
from jaxmarl_core.algos.tabular.engine import Config as EngineConfig
from jaxmarl_core.algos.tabular.engine import Rule, Seat
from jaxmarl_core.errors import lookup
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config(EngineConfig):
    """What shapes the program; and which equilibrium winning is measured by."""

    select: str = "first"  # a key of equilibrium.SELECTIONS

    def __post_init__(self):
        super().__post_init__()
        lookup(SELECTIONS, self.select, "select")


@struct.dataclass
class Hparams(gradient.Hparams):
    """Those of IGA, whose step is a winning one."""

    lose_ratio: float = hparam(2.0, 1.0, 1e6, "log")  # a losing step over a winning one


def rule(seat: Seat, select: str = "first") -> Rule:
    """Returns IGA whose step size depends on who wins.

    Where no equilibrium was found the player always steps as a losing one, and `solver_failure`
    in the metrics is 1.
    """
    climb = gradient.rule(seat)
    equilibrium = agreed(seat.payoffs, select)
    fair = equilibrium.strategies[seat.player]

    def learn(row, next_row, t, hp):
        payoffs = against_strategies(seat, t)
        wins = equilibrium.solved & (jnp.dot(row.x, payoffs) > jnp.dot(fair, payoffs))
        step = hp.step_size * jnp.where(wins, 1.0, hp.lose_ratio)
        row, _ = climb.learn(row, next_row, t, hp.replace(step_size=step))
        return row, {"winning": wins, "solver_failure": ~equilibrium.solved}

    return climb._replace(learn=learn)


def wolf_iga(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns WoLF-IGA for every player; steps as in `iga`, for any number of actions."""
    return repeated(env, config, partial(rule, select=config.select), Hparams())
