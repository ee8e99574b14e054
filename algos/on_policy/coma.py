"""COMA: each agent is credited for what its action added to what the team would have earned anyway.

The critic values joint actions; an agent's baseline is the mean over what it might have done
instead, while the others do as they did. Discrete actions. Policies explore by an entropy bonus
where the authors mix in a falling share of uniform play.

Foerster et al., 2018, arXiv:1705.08926.
"""

from dataclasses import dataclass
from functools import partial

from jaxmarl_core.algos.on_policy.counterfactual import counterfactual_critics
from jaxmarl_core.algos.on_policy.engine import actor_critic
from jaxmarl_core.algos.on_policy.learning import ascent, importance_weighted
from jaxmarl_core.algos.on_policy.options import Hparams, OnePassConfig
from jaxmarl_core.algos.on_policy.order import at_once
from jaxmarl_core.errors import require
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config(OnePassConfig):
    """What shapes the program; and the updates between two copies to the target network."""

    target_period: int = 10

    def __post_init__(self):
        super().__post_init__()
        require(self.target_period >= 1, "target_period", "at least 1", self.target_period)


def coma(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns counterfactual multi-agent policy gradients; `gae_lambda` is the critic's TD's."""
    return actor_critic(
        env,
        config,
        Hparams(gae_lambda=0.8),
        critics=partial(counterfactual_critics, target_period=config.target_period),
        improve=ascent(config, importance_weighted),
        order=at_once,
    )
