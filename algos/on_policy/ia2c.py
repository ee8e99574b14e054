"""IA2C: every agent runs advantage actor-critic on its own observation.

One policy-gradient step on each batch, `log pi(a | o) A`, and nothing that holds it back; the
critic of each agent sees what the agent sees.

Mnih et al., 2016, arXiv:1602.01783; Papoudakis et al., 2021, arXiv:2006.07869, for many agents.
"""

from jaxmarl_core.algos.on_policy.critics import own_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import Hparams, OnePassConfig
from jaxmarl_core.algos.on_policy.order import at_once
from jaxmarl_core.types import Algorithm, Environment


def ia2c(env: Environment, config: OnePassConfig = OnePassConfig()) -> Algorithm:
    """Returns independent advantage actor-critic."""
    return actor_critic(
        env,
        config,
        Hparams(),
        critics=own_critics,
        improve=ascent(config, importance_weighted),
        order=at_once,
    )
