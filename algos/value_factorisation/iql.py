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
    chosen_utilities,
    td_factorisation,
)
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.rewards import own_rewards, shared_rewards
from jaxmarl_core.learners.parameter_sharing import values_of_teams_for_the_dead
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def independent(name, env, stacks, config) -> Factorisation:
    """Returns no mixture: each of the N agents has a value and a loss of its own."""
    rewards = (own_rewards if config.reward == "own" else shared_rewards)(stacks)
    mix = lambda params, values, joint_action, central: chosen_utilities(values.q, joint_action)
    each_its_own = td_factorisation(rewards, Mixer(lambda key: (), mix, uses_state=False))

    def value(params, values, joint_action, central):
        """What is to come for the fallen, who act no more, their mates know."""
        own = each_its_own.value(params, values, joint_action, central)
        return values_of_teams_for_the_dead(own, central.alive, stacks)

    return each_its_own._replace(value=value)


def iql(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Q-learning, in any environment with discrete actions."""
    config = with_own_options("iql", config, reward="own")
    return value_factorisation("iql", env, config, Hparams(), independent)
