"""The networks of on-policy actor-critics: actor, critic, and what optimises them."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.functional.distributions import distribution, head_size, num_scales
from jaxmarl_core.learners.gradients import clip_by_norm
from jaxmarl_core.learners.networks import ACTIVATIONS, Torso, apply, head, merge_leading_axes
from jaxmarl_core.spaces import Box, Space


def torso(space: Space, config: Config) -> Torso:
    """Returns the layers between an observation of `space` and a head."""
    return Torso(
        space,
        config.hidden,
        config.channels,
        config.memory_size,
        ACTIVATIONS[config.activation],
        layer_norm=config.layer_norm,
    )


class Actor(nn.Module):
    """(memory, observation) -> (memory, (head [..., K], log_std or None)); see distributions.py.

    Along time, with `reset` [T, ...], as a Torso.
    """

    space: Space
    action: Space
    config: Config

    @nn.compact
    def __call__(self, memory: Any, observation: Any, reset: jax.Array | None = None):
        memory, features = torso(self.space, self.config)(memory, observation, reset)
        features, leading = merge_leading_axes(Box((features.shape[-1],)), features)
        unflat = lambda x: x.reshape(*leading, x.shape[-1])
        size, scales = head_size(self.action), num_scales(self.action)
        log_std = None
        if scales and self.config.scale == "network":
            both = unflat(head(size + scales)(features))
            return memory, (both[..., :size], jnp.clip(both[..., size:], -5.0, 2.0))
        if scales:
            log_std = self.param("log_std", nn.initializers.zeros, (scales,))
        return memory, (unflat(head(size)(features)), log_std)

    def policy(
        self, params: Any, memory: Any, observation: Any, mask: Any, reset: jax.Array | None = None
    ) -> tuple[Any, Any]:
        """Returns (memory, the Distribution that actions are drawn from)."""
        memory, (out, log_std) = apply(self, params, memory, observation, reset)
        return memory, distribution(self.action, out, mask, log_std, self.config.squash)


class Critic(nn.Module):
    """(memory, observation) -> (memory, values [..., num_values]); along time as a Torso."""

    space: Space
    config: Config
    num_values: int = 1

    @nn.compact
    def __call__(self, memory: Any, observation: Any, reset: jax.Array | None = None):
        memory, features = torso(self.space, self.config)(memory, observation, reset)
        features, leading = merge_leading_axes(Box((features.shape[-1],)), features)
        values = head(self.num_values, gain=1.0, name="head")(features)
        return memory, values.reshape(*leading, self.num_values)


def optimiser(
    rate: float | jax.Array, max_grad_norm: float | jax.Array
) -> optax.GradientTransformation:
    """Returns Adam behind a clipping of the whole gradient's norm."""
    return optax.chain(clip_by_norm(max_grad_norm), optax.adam(rate, eps=1e-5))
