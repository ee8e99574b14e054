"""MAPPO: PPO for every agent, with a critic that sees the state.

As IPPO, but what an action is worth is judged by a central critic: of the environment's state for
a whole team, or of the state beside the agent's own observation.

Yu et al., 2022, arXiv:2103.01955.
"""

from jaxmarl_core.algos.on_policy.critics import central_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import ascent, clipped
from jaxmarl_core.algos.on_policy.options import CentralConfig, PPOHparams
from jaxmarl_core.algos.on_policy.order import at_once
from jaxmarl_core.types import Algorithm, Environment


def mappo(env: Environment, config: CentralConfig = CentralConfig()) -> Algorithm:
    """Returns multi-agent PPO."""
    return actor_critic(
        env,
        config,
        PPOHparams(),
        critics=central_critics,
        improve=ascent(config, clipped),
        order=at_once,
    )
