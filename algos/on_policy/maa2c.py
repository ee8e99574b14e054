"""MAA2C: advantage actor-critic for every agent, with a critic that sees the state.

Papoudakis et al., 2021, arXiv:2006.07869 (as "central-V" in Foerster et al., 2018).
"""

from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import gradient_ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.algos.on_policy.value_critics import central_critics
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def maa2c(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns advantage actor-critic with a central critic."""
    refuse("maa2c", config, target_period=NO_TARGET)
    config = with_defaults(
        config,
        share="group",
        num_epochs=1,
        num_minibatches=1,
        normalise_value="running",
        critic="environment",
    )
    return actor_critic(
        env,
        config,
        Hparams(),
        critics=central_critics,
        actor_update=gradient_ascent(config, importance_weighted),
        order=simultaneous_update,
    )
