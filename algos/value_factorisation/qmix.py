"""QMIX: the team's value rises with each agent's, in a mixture that the state decides.

    Q(s, u) = f_s(q_1(o_1, u_1), ..., q_N(o_N, u_N)),   dQ / dq_i >= 0

The weights of the mixing network are made from the state by another and kept at 0 or above, so
that each agent's own best action is still its part of the best joint one. Games in which what is
best for one depends on what others do are beyond it.

Rashid et al., 2018, ICML, arXiv:1803.11485.
"""

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.factorisation import (
    Mixer,
    chosen_utilities,
    examples,
    with_mixer,
)
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.learners.mixers import Monotone
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def monotone(env, stacks, config) -> Mixer:
    """Returns the monotone mixer that `config` asks for."""
    net = Monotone(config.embed, config.hypernet)
    *_, alive, state = examples(env, stacks, config)

    def mix(params, values, joint_action, central):
        chosen = chosen_utilities(values.q, joint_action)
        return apply(net, params, chosen, central.alive, central.state)[..., None]

    return Mixer(lambda key: net.init(key, alive.astype(float), alive, state), mix)


def qmix(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns QMIX, for one team with discrete actions in an environment that shows its state."""
    config = with_own_options("qmix", config, embed=32, hypernet=64)
    return value_factorisation("qmix", env, config, Hparams(), with_mixer(monotone))
