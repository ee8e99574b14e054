"""Q-learning of joint actions against the frequencies of the others: JAL in stochastic games.

A player learns what joint actions are worth, counts what the others do in each state, and takes
those counts for their strategies. Against others who stand still it learns a best response;
in self-play it is fictitious play on learnt values, with the virtues and vices of that.

Uther & Veloso, 1997, CMU-CS-03-107 (two players, zero-sum); Claus & Boutilier, 1998, AAAI (teams,
one state, a count for every other player: as here).
"""

from jax import numpy as jnp

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.models import modelling_rule
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment

HPARAMS = Hparams(learning_rate=1.0, first_value=0.0, prior=1.0)


def rule(info: GameInfo, rate: str = "visits") -> Rule:
    """Returns the rule: beliefs are counts."""
    count = lambda belief, done, visits, hp: belief + done
    prior = lambda num, hp: jnp.full(num, hp.prior, jnp.float32)
    return modelling_rule(info, count, rate, prior)


def opponent_modelling_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns opponent-modelling Q-learning for every agent."""
    require_own("opponent_modelling_q", config, Config)
    config = with_defaults(config, rate="visits")
    return tabular(
        env,
        config,
        lambda info: rule(info, decided(config.rate)),
        HPARAMS,
        name="opponent_modelling_q",
    )
