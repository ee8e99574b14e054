"""IL: the independent twin of MF-Q, the same learner blind to the mean action.

Every agent of the population learns Q(s, a) and takes the others for a part of the world. The
baseline of Yang et al., 2018, arXiv:1802.05438 (there "IL"): all that differs from `mfq` is the
network's input.
"""

from jaxmarl_core.algos.mean_field.engine import mean_field
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.value_learning import q_learning
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def il(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Q-learning with one network for the whole population."""
    config = with_own_options(
        "il", config, exploration="boltzmann", heats=(1.0,), target="mean_field"
    )
    return mean_field("il", env, config, q_learning, Hparams())
