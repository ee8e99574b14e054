"""HAPPO: PPO for agents that learn one after another, each minding what those before it changed.

Its drift is how much the clipping of PPO's ratio takes off the objective, so that an agent climbs
`M min(r A, clip(r, 1 - c, 1 + c) A)`.

Kuba et al., 2021, arXiv:2109.11251; Zhong et al., 2023, arXiv:2304.09870.
"""

from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.learning import clipping_drift
from jaxmarl_core.algos.on_policy.options import PPOHparams, SequentialConfig
from jaxmarl_core.types import Algorithm, Environment


def happo(env: Environment, config: SequentialConfig = SequentialConfig()) -> Algorithm:
    """Returns heterogeneous-agent PPO."""
    return haml(env, config, drift=clipping_drift, hparams=PPOHparams())
