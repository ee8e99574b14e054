"""HAA2C: advantage actor-critic for agents that learn one after another.

No drift and no neighbourhood: an agent climbs `M r A`. Of more than one epoch the later ones are
off-policy, and nothing holds them back.

Zhong et al., 2023, arXiv:2304.09870.
"""

from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def haa2c(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent advantage actor-critic."""
    refuse("haa2c", config, target_period=NO_TARGET)
    return haml(env, with_defaults(config, num_epochs=1, num_minibatches=1))
