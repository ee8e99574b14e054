"""What learners by value factorisation can be told: the program's shape, and the traced numbers."""

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
    "optimiser": ("adam", "rmsprop"),
    "source": ("uniform", "prioritised", "none"),
    "reward": ("own", "team"),
}


@dataclass(frozen=True)
class Config:
    """What shapes the program.

    rollout_length: steps of each environment an update, and rows of a stored sequence. Where
      episodes are of one length, that and one row for the final observation lets each sequence be
      an episode.
    num_gradient_steps: of an update.
    batch_size: sequences a gradient step learns from.
    capacity: sequences kept, a multiple of num_envs.
    source: of sequences; "uniform" or "prioritised" replay, or "none": those just played, cut into
      batches in a new order each time all have been used.
    channels: of the convolutions over an image-like observation.
    memory_size: cells of the GRU behind the dense layers; 0: feed-forward.
    layer_norm: of observations, and behind every dense layer.
    head_gain: of the layer that makes utilities, when learning starts; near 0, all actions start
      out alike, and none is preferred by chance.
    share: whose parameters; "group", agents of a group share a network; "none", each has its own;
      "all", one for everybody.
    agent_ids: whether agents see their number, one-hot, beside their observation.
    last_action: whether they see what they did before, one-hot; zeros where an episode begins.
    double_q: whether the learning net says which actions the target net values, or the target net.
    n_step: steps of reward in a target; 0: all that follow, weighted by `td_lambda`.
    """

    num_envs: int = 8
    rollout_length: int = 26
    num_gradient_steps: int = 1
    batch_size: int = 32
    capacity: int = 5000
    source: str = "uniform"
    hidden: tuple[int, ...] = (64,)
    channels: tuple[int, ...] = ()
    memory_size: int = 64
    activation: str = "relu"
    layer_norm: bool = False
    head_gain: float = 1.0
    share: str = "group"
    agent_ids: bool = True
    last_action: bool = True
    double_q: bool = True
    n_step: int = 0
    optimiser: str = "adam"

    def __post_init__(self):
        counts = ("num_envs", "rollout_length", "num_gradient_steps", "batch_size")
        for field in (*counts, "embed", "joint_embed", "num_heads"):
            if hasattr(self, field):
                require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        if self.source != "none":
            fits = self.capacity >= 2 and self.capacity % self.num_envs == 0
            expected = f"at least 2 and a multiple of num_envs ({self.num_envs})"
            require(fits, "capacity", expected, self.capacity)
        for field in ("memory_size", "n_step", "hypernet", "head_gain"):
            if hasattr(self, field):
                require(getattr(self, field) >= 0, field, "at least 0", getattr(self, field))
        for field in ("hidden", "channels"):
            require_sizes(field, getattr(self, field))
        for field in ("layer_norm", "agent_ids", "last_action", "double_q"):
            value = getattr(self, field)
            require(isinstance(value, bool), field, "True or False", value)
        for field, choices in CHOICES.items():
            if hasattr(self, field):
                lookup(dict.fromkeys(choices), getattr(self, field), field)
        if self.source == "none":
            divides = self.num_envs % self.batch_size == 0
            expected = f"a divisor of num_envs ({self.num_envs}), with source none"
            require(divides, "batch_size", expected, self.batch_size)


@dataclass(frozen=True)
class IndependentConfig(Config):
    """What shapes the program of agents who learn each for itself.

    reward: what an agent is paid, its "own" or the mean of its "team".
    """

    reward: str = "own"


@dataclass(frozen=True)
class MonotoneConfig(Config):
    """What shapes the program of those with a monotone mixer.

    embed: units of the mixer's one layer.
    hypernet: of the layer between the state and the mixer's weights; 0: none.
    """

    embed: int = 32
    hypernet: int = 64


@dataclass(frozen=True)
class JointConfig(Config):
    """What shapes the program of those who learn a joint value beside the agents'.

    embed: units of each layer of the joint networks.
    """

    embed: int = 64


@dataclass(frozen=True)
class WeightedConfig(MonotoneConfig):
    """What shapes the program of those who weigh a monotone mixer's errors.

    joint_embed: units of each layer of the unrestricted joint value.
    """

    joint_embed: int = 64


@dataclass(frozen=True)
class DuplexConfig(Config):
    """What shapes the program of those with a duplex dueling mixer.

    num_heads: of the weights of what agents miss.
    embed: units of the layers between the state and the weights.
    """

    num_heads: int = 4
    embed: int = 64


@struct.dataclass
class Hparams:
    """Traced numbers."""

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    anneal_updates: float = hparam(1e12, 1.0, 1e12, "log")  # in which the learning rate falls to 0
    optimiser_eps: float = hparam(1e-5, 1e-12, 1.0, "log")
    max_grad_norm: float = hparam(10.0, 1e-6, 1e6, "log")
    gamma: float = hparam(0.99, 0.0, 1.0)
    td_lambda: float = hparam(0.0, 0.0, 1.0)  # 0: targets of one step; used if n_step is 0
    tau: float = hparam(1.0, 0.0, 1.0, "log")  # share of the live net in the next target net
    target_period: float = hparam(100.0, 1.0, 1e9, "log")  # updates between the target net's moves
    epsilon: float = hparam(1.0, 0.0, 1.0)  # share of random actions at first
    final_epsilon: float = hparam(0.05, 0.0, 1.0)  # and after `explore_steps`
    explore_steps: float = hparam(50_000.0, 1.0, 1e12, "log")  # of the environments, taken together
    priority: float = hparam(0.6, 0.0, 10.0)  # exponent of the error; for prioritised replay
    importance: float = hparam(0.4, 0.0, 1.0)  # how far weights make up for the priorities


@struct.dataclass
class JointHparams(Hparams):
    """Those, and the weights of QTRAN's losses beside that of the joint value."""

    opt_weight: float = hparam(1.0, 0.0, 1e6, "log")  # at the agents' best joint action
    nopt_weight: float = hparam(1.0, 0.0, 1e6, "log")  # at other joint actions


@struct.dataclass
class WeightedHparams(Hparams):
    """Those, and the weight of joint actions that are not promising."""

    alpha: float = hparam(0.5, 0.0, 1.0)


def annealed(hp: Hparams, index: jax.Array) -> jax.Array:
    """Returns the learning rate [] after so many updates."""
    return hp.learning_rate * jnp.maximum(1 - index / hp.anneal_updates, 0.0)


def moved(hp: Hparams, index: jax.Array) -> jax.Array:
    """Returns the share [] of the live net in the target net after update number `index`: tau or 0.

    The target moves where a period of updates has passed; the period need not be a whole number.
    """
    due = jnp.floor((index + 1) / hp.target_period) > jnp.floor(index / hp.target_period)
    return jnp.where(due, hp.tau, 0.0)
