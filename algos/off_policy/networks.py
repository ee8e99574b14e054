"""The networks of off-policy actor-critics, what optimises them, and how many are updated at once.

The first axes of a leaf say whose it is: agents that do not share their actor have an axis n, and
critics one for every twin, and one for everybody that is valued.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.learners.gradients import clip_by_norm
from jaxmarl_core.learners.networks import ACTIVATIONS, Torso, apply, head, merge_leading_axes
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, zeros


class Network(nn.Module):
    """From what is seen, of `space`, to numbers [..., size]: an actor's output, or a value."""

    space: Space
    size: int
    config: Config
    gain: float

    @nn.compact
    def __call__(self, inputs: Any) -> jax.Array:
        config = self.config
        torso = Torso(
            self.space,
            config.hidden,
            config.channels,
            activation=ACTIVATIONS[config.activation],
            layer_norm=config.layer_norm,
        )
        _, features = torso((), inputs)
        features, leading = merge_leading_axes(Box((features.shape[-1],)), features)
        return head(self.size, self.gain)(features).reshape(*leading, self.size)


@dataclass(frozen=True)
class Ensemble:
    """Several actors of one agent, of which it plays by one at a time.

    Sees {"observation": [..., *space], "policy": [...] int32, which of them}.
    """

    network: Network
    num_policies: int

    def init(self, key: jax.Array, inputs: Any) -> Any:
        """Returns parameters with a leading axis of the policies."""
        keys = jax.random.split(key, self.num_policies)
        return jax.vmap(self.network.init, (0, None))(keys, inputs["observation"])

    def apply(self, params: Any, inputs: Any) -> jax.Array:
        """Returns what the policy that is played by puts out, [..., K]."""
        each = jax.vmap(partial(apply, self.network), (0, None), -2)(params, inputs["observation"])
        own = jax.nn.one_hot(inputs["policy"], self.num_policies)[..., None] > 0
        return jnp.where(own, each, 0.0).sum(-2)

    @property
    def space(self) -> Space:
        """Returns the space of what it sees."""
        policy = Discrete(self.num_policies)
        return Composite({"observation": self.network.space, "policy": policy})


def actor_network(stack: AgentStack, size: int, config: Config) -> Any:
    """Returns an actor, or an ensemble of them as the config has it.

    Its output starts near 0, so that actions start in the middle.
    """
    network = Network(stack.observation, size, config, gain=0.01)
    return network if config.num_policies is None else Ensemble(network, config.num_policies)


def critic_network(space: Space, config: Config) -> Network:
    """Returns a critic of one value."""
    return Network(space, 1, config, gain=1.0)


def init_network(network: Any, key: jax.Array) -> Any:
    """Returns parameters drawn afresh."""
    return network.init(key, zeros(network.space))


def over_axes(function: Callable, num_axes: int) -> Callable:
    """Maps a function over so many first axes of its arguments."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function


def per_agent(stack: AgentStack, function: Callable, axis: int) -> Callable:
    """Maps (params, x) over the agents of a stack, if they do not share; `axis` is theirs in x."""
    return jax.vmap(function, (0, axis), axis) if stack.separate else function


def optimiser(rate: Any, max_grad_norm: Any) -> optax.GradientTransformation:
    """Returns Adam behind a clipping of the whole gradient's norm."""
    return optax.chain(clip_by_norm(max_grad_norm), optax.adam(rate))


def descend(
    rule: optax.GradientTransformation, num_axes: int, grads: Any, opt_state: Any, params: Any
) -> tuple[Any, Any]:
    """Returns (params, optimiser's state) after a step, each of the first axes' for itself."""

    def one(grads, opt_state, params):
        changes, opt_state = rule.update(grads, opt_state, params)
        return optax.apply_updates(params, changes), opt_state

    return over_axes(one, num_axes)(grads, opt_state, params)
