"""QTRAN: a joint value of any form, and agents' values that are best where it is best.

The team's value is learnt without any restriction, from the agents' features and actions. Beside
it the sum of the agents' values is drawn to it where each does its best, and kept above it
elsewhere. Any game can be factorised so, those included that are beyond VDN and QMIX; what it takes
is a joint value that is right about actions seldom tried.

Son et al., 2019, ICML, arXiv:1905.05408 ("QTRAN-base").
"""

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.qtran_losses import base
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def qtran(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns QTRAN-base, for one team with discrete actions."""
    config = with_own_options("qtran", config, embed=64)
    hparams = Hparams(opt_weight=1.0, nopt_weight=1.0)
    return value_factorisation("qtran", env, config, hparams, base)
