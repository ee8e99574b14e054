"""A population's network: scores of all actions from what an agent sees and its mean action."""

import flax.linen as nn
import jax.numpy as jnp

from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.algos.mean_field.policy import centres
from jaxmarl_core.learners.networks import MLP, Torso, head
from jaxmarl_core.spaces import Space


class ActionNetwork(nn.Module):
    """Scores of all actions [..., A], Q-values or logits, from an observation.

    Where `mean_action_hidden` is not None, also from the neighbours' mean action [..., A].
    """

    space: Space
    num_actions: int
    config: Config
    mean_action_hidden: tuple[int, ...] | None
    gain: float = 1.0  # of the last layer

    @nn.compact
    def __call__(self, observation, mean_action):
        config = self.config
        image = {"channels": config.channels, "kernel": config.kernel, "stride": config.stride}
        torso = Torso(self.space, config.hidden, activation=nn.relu, **image)
        _, features = torso((), observation)
        if config.centre:
            near = centres(self.space, observation, config.centre)
            features = jnp.concatenate([features, near], axis=-1)
        if self.mean_action_hidden is not None:
            neighbours = MLP(self.mean_action_hidden, nn.relu)(mean_action)
            features = jnp.concatenate([features, neighbours], axis=-1)
        features = MLP(config.head_hidden, nn.relu)(features)
        return head(self.num_actions, gain=self.gain)(features)
