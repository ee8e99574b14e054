"""IPPO: every agent runs PPO on its own observation and takes the others for a part of the world.

The policy climbs the clipped surrogate of PPO; the critic of each agent sees what the agent sees.
Simple, and on many tasks as good as methods with a central critic.

De Witt et al., 2020, arXiv:2011.09533; Schulman et al., 2017, arXiv:1707.06347.
"""

from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import clipped, gradient_ascent
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.algos.on_policy.value_critics import own_critics
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def ippo(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent PPO."""
    refuse("ippo", config, critic="as its critics see what agents see", target_period=NO_TARGET)
    config = with_defaults(
        config, share="group", num_epochs=4, num_minibatches=4, normalise_value="running"
    )
    return actor_critic(
        env,
        config,
        Hparams(clip=0.2, target_kl=1e6),
        critics=own_critics,
        actor_update=gradient_ascent(config, clipped),
        order=simultaneous_update,
    )
