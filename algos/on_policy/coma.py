"""COMA: each agent is credited for what its action added to what the team would have earned anyway.

The critic values joint actions; an agent's baseline is the mean over what it might have done
instead, while the others do as they did. Discrete actions. Policies explore by an entropy bonus
where the authors mix in a falling share of uniform play.

Foerster et al., 2018, arXiv:1705.08926.
"""

from jaxmarl_core.algos.on_policy.counterfactual import counterfactual_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import gradient_ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def coma(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns counterfactual multi-agent policy gradients; `gae_lambda` is the critic's TD's."""
    refuse("coma", config, critic="as its critic values joint actions")
    config = with_defaults(
        config,
        share="group",
        num_epochs=1,
        num_minibatches=1,
        normalise_value="running",
        target_period=10,
    )
    return actor_critic(
        env,
        config,
        Hparams(gae_lambda=0.8, value_clip=1e6),
        critics=counterfactual_critics,
        actor_update=gradient_ascent(config, importance_weighted),
        order=simultaneous_update,
    )
