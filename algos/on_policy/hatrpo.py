"""HATRPO: a trust-region step for each agent in turn, minding what those before it changed.

An agent climbs `M r A` by a natural-gradient step with line search, its mean KL divergence from
the old policy staying below `max_kl`. That divergence is the true one; the authors' program takes,
for discrete actions, a sum that is about as many times larger as there are actions.

Kuba et al., 2021, arXiv:2109.11251, algorithm 1.
"""

from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.learning import trust_region
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, trust_region_hparams
from jaxmarl_core.recipes import refuse
from jaxmarl_core.types import Algorithm, Environment


def hatrpo(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent TRPO; epochs and minibatches are the critic's."""
    refuse("hatrpo", config, target_period=NO_TARGET)
    return haml(env, config, neighbourhood=trust_region(), hparams=trust_region_hparams())
