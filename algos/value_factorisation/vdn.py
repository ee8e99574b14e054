"""VDN: the team's value is the sum of its agents', learnt from what the team is paid.

    Q(s, u) = sum_i q_i(o_i, u_i)

Each agent's own best action is then its part of the best joint one, and credit is assigned by
gradient descent alone. Games whose payoffs are no sum are beyond it.

Sunehag et al., 2018, AAMAS, arXiv:1706.05296.
"""

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.factorisation import (
    Mixer,
    chosen_utilities,
    with_mixer,
)
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.learners.mixers import additive
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def additive_mixer(env, stacks, config) -> Mixer:
    """Returns the sum over the living, which has no parameters."""

    def mix(params, values, joint_action, central):
        return additive(chosen_utilities(values.q, joint_action), central.alive)[..., None]

    return Mixer(lambda key: (), mix, uses_state=False)


def vdn(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns value decomposition networks, for one team with discrete actions."""
    config = with_own_options("vdn", config)
    return value_factorisation("vdn", env, config, Hparams(), with_mixer(additive_mixer))
