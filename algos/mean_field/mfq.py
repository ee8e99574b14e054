"""MF-Q: Q-learning among many, each agent against the mean of its neighbours.

A population's joint action is too large for a table of values, but each agent's value can be
approximated by Q(s, a, mean action of the neighbours), which does not grow with their number.
Agents act by a Boltzmann policy on that Q; a state's value is the policy's mean (the mean-field
value).

Yang, Luo, Li, Zhou, Zhang & Wang, 2018, Mean Field Multi-Agent Reinforcement Learning,
arXiv:1802.05438, algorithm 1. Its independent twin is `il`.
"""

from jaxmarl_core.algos.mean_field.engine import mean_field
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.value_learning import q_learning
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def mfq(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns mean-field Q-learning for an environment that answers `mean_action`."""
    config = with_own_options(
        "mfq",
        config,
        exploration="boltzmann",
        heats=(1.0,),
        target="mean_field",
        mean_action="current",
        mean_action_hidden=(32,),
        mean_action_iterations=0,
    )
    return mean_field("mfq", env, config, q_learning, Hparams())
