"""QPLEX: a dueling mixture that can say whatever agents acting alone can make the most of.

The joint value is split as each agent's: what its best action is worth, and what is lost by
another. The first is summed up; the second is weighted by a network that sees the whole joint
action. So it can represent any joint value whose best action is made of the agents' own best ones,
which neither VDN nor QMIX can, and needs no second loss as QTRAN does.

Wang et al., 2021, ICLR, arXiv:2008.01062.
"""

import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.factorisation import (
    Mixer,
    chosen_utilities,
    examples,
    greedy_actions,
    with_mixer,
)
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.learners.mixers import Duplex
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def duplex(env, stacks, config) -> Mixer:
    """Returns the duplex dueling mixer that `config` asks for."""
    net = Duplex(config.num_heads, config.embed)
    _, actions, alive, state = examples(env, stacks, config)
    flat = lambda parts: jnp.concatenate([x.reshape(*x.shape[:-2], -1) for x in parts], -1)

    def mix(params, values, joint_action, central):
        best = chosen_utilities(values.q, greedy_actions(values.q, central.mask))
        joint = flat(joint_action)
        chosen = chosen_utilities(values.q, joint_action)
        return apply(net, params, chosen, best, joint, central.alive, central.state)[..., None]

    zeros = jnp.zeros(alive.shape)
    return Mixer(lambda key: net.init(key, zeros, zeros, flat(actions), alive, state), mix)


def qplex(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns QPLEX, for one team with discrete actions in an environment that shows its state."""
    config = with_own_options("qplex", config, num_heads=4, embed=64)
    return value_factorisation("qplex", env, config, Hparams(), with_mixer(duplex))
