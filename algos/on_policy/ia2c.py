"""IA2C: every agent runs advantage actor-critic on its own observation.

One policy-gradient step on each batch, `log pi(a | o) A`, and nothing that holds it back; the
critic of each agent sees what the agent sees.

Mnih et al., 2016, arXiv:1602.01783; Papoudakis et al., 2021, arXiv:2006.07869, for many agents.
"""

from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import gradient_ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.algos.on_policy.value_critics import own_critics
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def ia2c(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent advantage actor-critic."""
    refuse("ia2c", config, critic="as its critics see what agents see", target_period=NO_TARGET)
    config = with_defaults(
        config, share="group", num_epochs=1, num_minibatches=1, normalise_value="running"
    )
    return actor_critic(
        env,
        config,
        Hparams(),
        critics=own_critics,
        actor_update=gradient_ascent(config, importance_weighted),
        order=simultaneous_update,
    )
