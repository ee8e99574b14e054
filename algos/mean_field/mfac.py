"""MF-AC: an actor for a population, and a critic that sees the neighbours' mean action.

The critic is MF-Q's, Q(s, a, mean action of the neighbours), and does not grow with their number;
the actor learns from it and acts without knowing what the others do, unless `actor_mean_action`
shows it what they did the step before. An agent's end is learnt from, where the authors' program
bootstraps beyond it.

Yang, Luo, Li, Zhou, Zhang & Wang, 2018, Mean Field Multi-Agent Reinforcement Learning,
arXiv:1802.05438, algorithm 2; where paper, program and this differ is told in actor_critic.py. Its
twin without the mean action is `ac`.
"""

from jaxmarl_core.algos.mean_field.actor_critic import actor_critic
from jaxmarl_core.algos.mean_field.engine import mean_field
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def mfac(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns mean-field actor-critic for an environment that answers `mean_action`."""
    config = with_own_options(
        "mfac",
        config,
        mean_action="current",
        mean_action_hidden=(32,),
        mean_action_iterations=0,
        actor_mean_action=False,
    )
    return mean_field("mfac", env, config, actor_critic, Hparams(actor_learning_rate=1e-3))
