"""HAA2C: advantage actor-critic for agents that learn one after another.

No drift and no neighbourhood: an agent climbs `M r A`. Of more than one epoch the later ones are
off-policy, and nothing holds them back.

Zhong et al., 2023, arXiv:2304.09870.
"""

from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.options import SequentialOnePassConfig
from jaxmarl_core.types import Algorithm, Environment


def haa2c(
    env: Environment, config: SequentialOnePassConfig = SequentialOnePassConfig()
) -> Algorithm:
    """Returns heterogeneous-agent advantage actor-critic."""
    return haml(env, config)
