"""MAPPO: PPO for every agent, with a critic that sees the state.

As IPPO, but advantages are those of a central critic: of the environment's state for a whole team,
or of the state beside the agent's own observation.

Yu et al., 2022, arXiv:2103.01955.
"""

from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import clipped, gradient_ascent
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.algos.on_policy.value_critics import central_critics
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def mappo(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-agent PPO."""
    refuse("mappo", config, target_period=NO_TARGET)
    config = with_defaults(
        config,
        share="group",
        num_epochs=4,
        num_minibatches=4,
        normalise_value="running",
        critic="environment",
    )
    return actor_critic(
        env,
        config,
        Hparams(clip=0.2, target_kl=1e6),
        critics=central_critics,
        actor_update=gradient_ascent(config, clipped),
        order=simultaneous_update,
    )
