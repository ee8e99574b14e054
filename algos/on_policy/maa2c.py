"""MAA2C: advantage actor-critic for every agent, with a critic that sees the state.

Papoudakis et al., 2021, arXiv:2006.07869 (as "central-V" in Foerster et al., 2018).
"""

from jaxmarl_core.algos.on_policy.critics import central_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import CentralOnePassConfig, Hparams
from jaxmarl_core.algos.on_policy.order import at_once
from jaxmarl_core.types import Algorithm, Environment


def maa2c(env: Environment, config: CentralOnePassConfig = CentralOnePassConfig()) -> Algorithm:
    """Returns advantage actor-critic with a central critic."""
    return actor_critic(
        env,
        config,
        Hparams(),
        critics=central_critics,
        improve=ascent(config, importance_weighted),
        order=at_once,
    )
