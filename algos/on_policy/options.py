"""What on-policy actor-critics can be told: what shapes the program, and the traced numbers."""

from dataclasses import dataclass
from typing import Any

import jax
from flax import struct

from jaxmarl_core.errors import lookup, require, require_sizes
from jaxmarl_core.functional.exploration import linear
from jaxmarl_core.hparams import hparam
from jaxmarl_core.learners.networks import ACTIVATIONS
from jaxmarl_core.learners.parameter_sharing import SHARING
from jaxmarl_core.recipes import require_kinds

CHOICES = {
    "share": SHARING,
    "activation": tuple(ACTIVATIONS),
    "scale": ("parameter", "network"),
    "normalise_advantage": ("joint", "agent", "none"),
    "normalise_value": ("none", "running", "popart"),
    "critic": ("environment", "agent"),
}
LEAST = {
    "num_envs": 1,
    "rollout_length": 1,
    "num_epochs": 1,
    "num_minibatches": 1,
    "num_critic_epochs": 0,
    "memory_size": 0,
    "chunk_length": 0,
    "target_period": 1,
}
MaybeNumber = Any  # [] f32; None where a recipe does not have it
NO_TARGET = "as its critics have no target network"


@dataclass(frozen=True)
class Config:
    """What shapes the program. None: as the recipe has it.

    num_minibatches: parts that an epoch is cut into: of steps, whichever environment they are of,
      where there is no memory; else of sequences.
    num_critic_epochs: 0: as many as the actors'.
    channels: of the convolutions over an image-like observation.
    memory_size: cells of the GRU behind the dense layers; 0: feed-forward.
    chunk_length: steps of the sequences that those with memory learn from, each from what was
      remembered before it; 0: whole rollouts.
    layer_norm: behind every dense layer.
    share: whose parameters; "group", agents of a group share an actor; "none", each has its own;
      "all", one for everybody.
    agent_ids: whether agents that share see their number, one-hot, beside their observation.
    scale: what a continuous action's deviation is: "parameter", one number for each of its
      entries; "network", an output beside the mean.
    squash: whether actions within finite bounds are drawn from a normal squashed into them; if
      not, they are drawn from a normal and clipped by the environment.
    normalise_advantage: "joint" over all agents of a team, "agent" over each one's own, or "none".
    normalise_observation: whether actors and critics see observations and states in units of the
      mean and deviation of all that were seen before the update, by agents that were alive.
    normalise_value: whether critics predict returns in units of their running mean and deviation;
      "popart" also rescales the last layer, so that predictions stay when the units move.
    critic: a central critic's: "environment", one for a team, of the environment's state, which
      predicts what its agents earn on average; "agent", one for each actor, of the state, the
      agent's observation and its number, which predicts what the agent earns.
    target_period: updates between two copies of a critic to its target network.
    """

    num_envs: int = 16
    rollout_length: int = 32
    num_epochs: int | None = None
    num_minibatches: int | None = None
    num_critic_epochs: int = 0
    hidden: tuple[int, ...] = (64, 64)
    channels: tuple[int, ...] = ()
    memory_size: int = 0
    chunk_length: int = 0
    activation: str = "tanh"
    layer_norm: bool = False
    share: str | None = None
    agent_ids: bool = False
    scale: str = "parameter"
    squash: bool = True
    normalise_observation: bool = False
    normalise_advantage: str = "joint"
    normalise_value: str | None = None
    critic: str | None = None
    target_period: int | None = None

    def __post_init__(self):
        require_kinds(self)
        given = {name: x for name, x in vars(self).items() if x is not None}
        for field, least in LEAST.items():
            if field in given:
                require(given[field] >= least, field, f"at least {least}", given[field])
        self._check_chunks()
        for field in ("hidden", "channels"):
            require_sizes(field, given[field])
        for field in ("layer_norm", "agent_ids", "squash", "normalise_observation"):
            require(isinstance(given[field], bool), field, "True or False", given[field])
        for field, choices in CHOICES.items():
            if field in given:
                lookup(dict.fromkeys(choices), given[field], field)

    def _check_chunks(self):
        length, chunk, cut = self.rollout_length, self.chunk_length, self.num_minibatches
        if chunk:
            require(self.memory_size > 0, "chunk_length", "0 without a memory to unroll", chunk)
            require(length % chunk == 0, "chunk_length", f"a divisor of {length} steps", chunk)
        if cut is not None:
            what = "sequences" if self.memory_size else "steps"
            expected = f"a divisor of {self.num_sequences}, the {what} of an update"
            require(self.num_sequences % cut == 0, "num_minibatches", expected, cut)

    @property
    def sequence_length(self) -> int:
        """Returns how many steps in a row are learnt from together."""
        if not self.memory_size:
            return 1
        return self.chunk_length or self.rollout_length

    @property
    def num_sequences(self) -> int:
        """Returns how many of them an update plays."""
        return self.rollout_length // self.sequence_length * self.num_envs


@struct.dataclass
class Hparams:
    """The traced numbers. What only some recipes have is None where a recipe does not give it."""

    learning_rate: MaybeNumber = hparam(1e-3, 0.0, 1.0, "log")  # of actors
    entropy: MaybeNumber = hparam(0.01, 0.0, 1e3, "log")  # weight of the entropy bonus at first
    final_entropy: MaybeNumber = hparam(0.01, 0.0, 1e3, "log")  # and after `entropy_updates`
    entropy_updates: MaybeNumber = hparam(1e12, 1.0, 1e12, "log")
    critic_learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    anneal_updates: float = hparam(1e12, 1.0, 1e12, "log")  # in which learning rates fall to 0
    gamma: float = hparam(0.99, 0.0, 1.0)
    gae_lambda: float = hparam(0.95, 0.0, 1.0)
    # of a prediction's step, and of the error beyond which its loss is straight; both, where values
    # are normalised, in units of the returns' deviation
    value_clip: MaybeNumber = hparam(0.2, 0.0, 1e6, "log")
    huber: float = hparam(10.0, 1e-6, 1e6, "log")
    scale_rate: MaybeNumber = hparam(0.5, 1e-6, 1.0, "log")  # of the returns' moments, an update
    max_grad_norm: float = hparam(10.0, 1e-6, 1e6, "log")
    clip: MaybeNumber = hparam(None, 0.0, 1e6, "log")  # of the ratio of probabilities
    target_kl: MaybeNumber = hparam(
        None, 0.0, 1e6, "log"
    )  # beyond it an update's other steps are left
    max_kl: MaybeNumber = hparam(None, 1e-9, 1e3, "log")  # of a trust-region step, in nats
    damping: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # added to the Fisher matrix's diagonal


def trust_region_hparams() -> Hparams:
    """Returns the defaults of learners by trust-region steps: no learning rate, no bonus."""
    return Hparams(
        learning_rate=None,
        entropy=None,
        final_entropy=None,
        entropy_updates=None,
        max_kl=0.01,
        damping=0.1,
    )


def require_options(config: Config, *names: str) -> None:
    """Raises ValueError unless the recipe, or who called it, decided these options."""
    for name in names:
        value = getattr(config, name)
        require(value is not None, name, "a value from the recipe", value)


def required_hparam(hp: Any, name: str) -> Any:
    """Returns a number that only some recipes have; raises ValueError where there is none."""
    value = getattr(hp, name, None)
    require(value is not None, name, "a number among the hparams, as what reads it needs it", value)
    return value


def annealed(rate: float | jax.Array, hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns a learning rate [] after so many updates."""
    return linear(rate, 0.0, update_index / hp.anneal_updates)


def entropy_weight(hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns the weight [] of the entropy bonus after so many updates."""
    return linear(hp.entropy, hp.final_entropy, update_index / hp.entropy_updates)
