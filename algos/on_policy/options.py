"""What on-policy actor-critics can be told: what shapes the program, and the traced numbers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import lookup, require, require_sizes
from jaxmarl_core.hparams import hparam
from jaxmarl_core.learners.networks import ACTIVATIONS
from jaxmarl_core.learners.parameter_sharing import SHARING

CHOICES = {
    "share": SHARING,
    "activation": tuple(ACTIVATIONS),
    "scale": ("parameter", "network"),
    "normalise_advantage": ("joint", "agent", "none"),
    "normalise_value": ("none", "running", "popart"),
    "critic": ("environment", "agent"),
}


@dataclass(frozen=True)
class Config:
    """What shapes the program.

    num_minibatches: parts of whole environments that an epoch is cut into, so that a policy with
      memory is unrolled from where it stood.
    num_critic_epochs: 0: as many as the actors'.
    channels: of the convolutions over an image-like observation.
    memory_size: cells of the GRU behind the dense layers; 0: feed-forward.
    layer_norm: of observations, and behind every dense layer.
    share: whose parameters; "group", agents of a group share an actor; "none", each has its own;
      "all", one for everybody.
    agent_ids: whether agents that share see their number, one-hot, beside their observation.
    scale: what a continuous action's deviation is: "parameter", one number for each of its
      entries; "network", an output beside the mean.
    squash: whether actions within finite bounds are drawn from a normal squashed into them; if
      not, they are drawn from a normal and clipped by the environment.
    normalise_advantage: "joint" over all agents of a team, "agent" over each one's own, or "none".
    normalise_value: whether critics predict returns in units of their running mean and deviation;
      "popart" also rescales the last layer, so that predictions stay when the units move.
    """

    num_envs: int = 16
    rollout_length: int = 32
    num_epochs: int = 4
    num_minibatches: int = 4
    num_critic_epochs: int = 0
    hidden: tuple[int, ...] = (64, 64)
    channels: tuple[int, ...] = ()
    memory_size: int = 0
    activation: str = "tanh"
    layer_norm: bool = False
    share: str = "group"
    agent_ids: bool = False
    scale: str = "parameter"
    squash: bool = True
    normalise_advantage: str = "joint"
    normalise_value: str = "none"

    def __post_init__(self):
        for field in ("num_envs", "rollout_length", "num_epochs", "num_minibatches"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        divides = self.num_envs % self.num_minibatches == 0
        expected = f"a divisor of num_envs ({self.num_envs})"
        require(divides, "num_minibatches", expected, self.num_minibatches)
        for field in ("hidden", "channels"):
            require_sizes(field, getattr(self, field))
        for field in ("num_critic_epochs", "memory_size"):
            require(getattr(self, field) >= 0, field, "at least 0", getattr(self, field))
        for field in ("layer_norm", "agent_ids", "squash"):
            value = getattr(self, field)
            require(isinstance(value, bool), field, "True or False", value)
        for field, choices in CHOICES.items():
            if hasattr(self, field):
                lookup(dict.fromkeys(choices), getattr(self, field), field)


@dataclass(frozen=True)
class CentralConfig(Config):
    """What shapes the program of learners whose critics see more than their actors.

    critic: "environment", one critic for a team, of the environment's state, which predicts what
      its agents earn on average; "agent", one for each actor, of the state, the agent's
      observation and its number, which predicts what the agent earns.
    """

    critic: str = "environment"


@dataclass(frozen=True)
class SequentialConfig(CentralConfig):
    """What shapes the program of learners who learn in turn; each has its own parameters."""

    share: str = "none"


@dataclass(frozen=True)
class OnePassConfig(Config):
    """What shapes the program of learners who look at a batch once, whole."""

    num_epochs: int = 1
    num_minibatches: int = 1


@dataclass(frozen=True)
class CentralOnePassConfig(CentralConfig):
    """What shapes the program of those with a central critic."""

    num_epochs: int = 1
    num_minibatches: int = 1


@dataclass(frozen=True)
class SequentialOnePassConfig(SequentialConfig):
    """What shapes the program of those who learn in turn."""

    num_epochs: int = 1
    num_minibatches: int = 1


@struct.dataclass
class Ascent:
    """Traced numbers of gradient ascent."""

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    entropy: float = hparam(0.01, 0.0, 1e3, "log")  # weight of the entropy bonus at first
    final_entropy: float = hparam(0.01, 0.0, 1e3, "log")  # and after `entropy_updates`
    entropy_updates: float = hparam(1e12, 1.0, 1e12, "log")


@struct.dataclass
class Judging:
    """Traced numbers of critics."""

    critic_learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    anneal_updates: float = hparam(1e12, 1.0, 1e12, "log")  # in which learning rates fall to 0
    gamma: float = hparam(0.99, 0.0, 1.0)
    gae_lambda: float = hparam(0.95, 0.0, 1.0)
    value_clip: float = hparam(0.2, 0.0, 1e6, "log")  # of a prediction's step, in its own units
    huber: float = hparam(1e6, 1e-6, 1e6, "log")  # error beyond which the value loss is straight
    max_grad_norm: float = hparam(0.5, 1e-6, 1e6, "log")


@struct.dataclass
class Hparams(Judging, Ascent):
    """Those of gradient ascent and of critics."""


@struct.dataclass
class PPOHparams(Hparams):
    """Those, and how far a policy may go from the one that played."""

    clip: float = hparam(0.2, 0.0, 1e6, "log")  # of the ratio of probabilities
    target_kl: float = hparam(1e6, 0.0, 1e6, "log")  # beyond it the update's other steps are left


@struct.dataclass
class TrustHparams(Judging):
    """Those of critics, and the trust region's."""

    max_kl: float = hparam(0.01, 1e-9, 1e3, "log")  # of a step, in nats
    damping: float = hparam(0.1, 0.0, 1e3, "log")  # added to the Fisher matrix's diagonal


def annealed(rate: jax.Array, hp: Hparams, index: jax.Array) -> jax.Array:
    """Returns a learning rate [] after so many updates."""
    return rate * jnp.maximum(1 - index / hp.anneal_updates, 0.0)


def entropy_weight(hp: Hparams, index: jax.Array) -> jax.Array:
    """Returns the weight [] of the entropy bonus after so many updates."""
    share = jnp.minimum(index / hp.entropy_updates, 1.0)
    return hp.entropy + share * (hp.final_entropy - hp.entropy)
