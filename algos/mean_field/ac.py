"""AC: the twin of MF-AC, the same actor and critic blind to the mean action.

Every agent's critic learns Q(s, a) and takes the others for a part of the world. The baseline of
Yang et al., 2018, arXiv:1802.05438 (there "AC"): all that differs from `mfac` is what the critic
sees. An on-policy one is `ia2c`.
"""

from jaxmarl_core.algos.mean_field.actor_critic import actor_critic
from jaxmarl_core.algos.mean_field.engine import mean_field
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def ac(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns actor-critic with one actor and one critic for the whole population."""
    config = with_own_options("ac", config)
    return mean_field("ac", env, config, actor_critic, Hparams(actor_learning_rate=1e-3))
