"""IQL: every agent learns the value of its own actions, as if it were alone.

Deep Q-learning for each agent on what it sees and is paid, the others being part of a world that
changes as they learn. With `reward` "team" agents are paid the mean of their team, as the learners
that this one is compared with.

Tan, 1993, ICML; with deep networks Tampuu et al., 2017, PLoS ONE 12(4), arXiv:1511.08779.
"""

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.factorisation import (
    Factorisation,
    Mixer,
    one_network,
    taken,
)
from jaxmarl_core.algos.value_factorisation.options import Hparams, IndependentConfig
from jaxmarl_core.algos.value_factorisation.payoffs import mates_payoffs, own_payoffs
from jaxmarl_core.types import Algorithm, Environment


def independent(name, env, stacks, config) -> Factorisation:
    """Returns no mixture: there are N payees, the agents."""
    payoffs = (own_payoffs if config.reward == "own" else mates_payoffs)(stacks)
    mix = lambda params, outlook, choice, sight: taken(outlook.q, choice)
    return one_network(payoffs, Mixer(lambda key: (), mix, uses_state=False))


def iql(env: Environment, config: IndependentConfig = IndependentConfig()) -> Algorithm:
    """Returns independent Q-learning, in any environment with discrete actions."""
    return value_factorisation("iql", env, config, Hparams(), independent)
