"""HAPPO: PPO for agents that learn one after another, each minding what those before it changed.

Its drift is how much the clipping of PPO's ratio takes off the objective, so that an agent climbs
`M min(r A, clip(r, 1 - c, 1 + c) A)`.

Kuba et al., 2021, arXiv:2109.11251; Zhong et al., 2023, arXiv:2304.09870.
"""

from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.learning import clipping_drift
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams
from jaxmarl_core.recipes import refuse
from jaxmarl_core.types import Algorithm, Environment


def happo(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent PPO."""
    refuse("happo", config, target_period=NO_TARGET)
    hparams = Hparams(clip=0.2, target_kl=1e6)
    return haml(env, config, drift=clipping_drift, hparams=hparams)
