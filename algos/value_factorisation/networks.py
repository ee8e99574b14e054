"""The networks of learners by value factorisation: the agents', and what optimises them."""

from typing import Any

import flax.linen as nn
import jax
import optax

from jaxmarl_core.algos.value_factorisation.options import Config, Hparams, annealed_learning_rate
from jaxmarl_core.learners.gradients import clip_by_norm
from jaxmarl_core.learners.networks import ACTIVATIONS, Torso, head, initial_memory
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.spaces import Composite, Discrete, Space, num_values, zeros


class AgentNetwork(nn.Module):
    """(memory, observation) -> (memory, (utilities [..., A], features [..., F])).

    Along time, with `reset` [T, ...], as a Torso; F is `memory_size`, or the last of `hidden`.
    """

    space: Space
    num_actions: int
    config: Config

    @nn.compact
    def __call__(self, memory: Any, observation: Any, reset: jax.Array | None = None):
        config = self.config
        torso = Torso(
            self.space,
            config.hidden,
            config.channels,
            config.memory_size,
            ACTIVATIONS[config.activation],
            layer_norm=config.layer_norm,
        )
        memory, features = torso(memory, observation, reset)
        flat = features.reshape(
            -1, features.shape[-1]
        )  # one leading axis: see networks.merge_leading_axes
        utilities = head(self.num_actions, gain=config.head_gain)(flat)
        return memory, (utilities.reshape(*features.shape[:-1], self.num_actions), features)


def agent_network(stack: AgentStack, config: Config) -> AgentNetwork:
    """Returns the network of one of the stack's agents.

    What it did before is part of what it sees: a Discrete, -1 where an episode begins, which is
    zeros as one-hot.
    """
    space = stack.observation
    if config.last_action:
        space = Composite({"observation": space, "last_action": Discrete(num_values(stack.action))})
    return AgentNetwork(space, num_values(stack.action), config)


def init_network(network: AgentNetwork, key: jax.Array) -> Any:
    """Returns the network's parameters."""
    return network.init(key, initial_memory(network.config.memory_size), zeros(network.space))


def num_features(network: AgentNetwork) -> int:
    """Returns F, how many features an agent's utilities are linear in."""
    example = initial_memory(network.config.memory_size), zeros(network.space)
    out, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), *example)
    return out[1][1].shape[-1]


def optimiser(config: Config, hp: Hparams, update_index: jax.Array) -> optax.GradientTransformation:
    """Returns what `config.optimiser` names, behind a clipping of the whole gradient's norm."""
    rate, eps = annealed_learning_rate(hp, update_index), hp.optimiser_eps
    if config.optimiser == "adam":
        rule = optax.adam(rate, eps=eps)
    else:  # as PyTorch has it, which QMIX was published with: eps outside of the root
        rule = optax.rmsprop(rate, decay=0.99, eps=eps, eps_in_sqrt=False)
    return optax.chain(clip_by_norm(hp.max_grad_norm), rule)
