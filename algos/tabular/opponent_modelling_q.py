"""Q-learning of joint actions against the frequencies of the others: JAL in stochastic games.

A player learns what joint actions are worth, counts what the others do in each state, and takes
those counts for their strategies. Against others who stand still it learns a best response;
in self-play it is fictitious play on learnt values, with the virtues and vices of that.

Uther & Veloso, 1997, CMU-CS-03-107 (two players, zero-sum); Claus & Boutilier, 1998, AAAI (teams,
one state, a count for every other player: as here).
"""

from flax import struct
from jax import numpy as jnp

from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.models import modelling_rule
from jaxmarl_core.algos.tabular.stage import Config
from jaxmarl_core.algos.tabular.stage import Hparams as Common
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and how firm the first belief in uniform play is."""

    prior: float = hparam(1.0, 1e-9, 1e9, "log")  # imagined plays of each action (Laplace)


def rule(seat: Seat, rate: str = "visits") -> Rule:
    """Returns the rule: beliefs are counts."""
    count = lambda belief, done, visits, hp: belief + done
    prior = lambda num, hp: jnp.full(num, hp.prior, jnp.float32)
    return modelling_rule(seat, count, rate, prior)


def opponent_modelling_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns opponent-modelling Q-learning for every agent."""
    return tabular(env, config, lambda seat: rule(seat, config.rate), Hparams())
