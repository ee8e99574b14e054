"""IPPO: every agent runs PPO on its own observation and takes the others for a part of the world.

The policy climbs the clipped surrogate of PPO; the critic of each agent sees what the agent sees.
Simple, and on many tasks as good as methods with a central critic.

De Witt et al., 2020, arXiv:2011.09533; Schulman et al., 2017, arXiv:1707.06347.
"""

from jaxmarl_core.algos.on_policy.critics import own_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import ascent, clipped
from jaxmarl_core.algos.on_policy.options import Config, PPOHparams
from jaxmarl_core.algos.on_policy.order import at_once
from jaxmarl_core.types import Algorithm, Environment


def ippo(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent PPO."""
    return actor_critic(
        env,
        config,
        PPOHparams(),
        critics=own_critics,
        improve=ascent(config, clipped),
        order=at_once,
    )
