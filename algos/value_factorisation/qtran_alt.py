"""QTRAN-alt: QTRAN with a tighter bound, which asks what else each agent might have done.

Where QTRAN keeps the sum of the agents' values above the joint value at every joint action, this
one also wants the two to meet at some action of each agent, the others' held. The joint network
answers for all actions of an agent at once, so that the least difference is seen in one pass.

Son et al., 2019, ICML, arXiv:1905.05408, section 4.3 ("QTRAN-alt").
"""

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.qtran_losses import alternative
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def qtran_alt(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns QTRAN-alt, for one team with discrete actions."""
    config = with_own_options("qtran_alt", config, embed=64)
    hparams = Hparams(opt_weight=1.0, nopt_weight=1.0)
    return value_factorisation("qtran_alt", env, config, hparams, alternative)
