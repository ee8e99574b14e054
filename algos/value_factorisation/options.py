"""What learners by value factorisation can be told: the program's shape, and the traced numbers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
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
    "optimiser": ("adam", "rmsprop"),
    "replay": ("uniform", "prioritised", "none"),
    "reward": ("own", "team"),
}


@dataclass(frozen=True)
class Config:
    """What shapes the program. The last five are None where an algorithm has no such option.

    rollout_length: steps of each environment an update, and of a stored sequence. Where all
      episodes are of this length, each sequence is an episode.
    num_gradient_steps: of an update.
    batch_size: sequences a gradient step learns from.
    capacity: sequences kept, a multiple of num_envs.
    replay: "uniform" or "prioritised", or "none": the sequences just played are learnt from, cut
      into batches in a new order each time all have been used.
    channels: of the convolutions over an image-like observation.
    memory_size: cells of the GRU behind the dense layers; 0: feed-forward.
    burn_in: first steps of a sequence that only warm up the memory it was stored with, and are in
      no loss; those of an episode that begins within the sequence have nothing to warm up.
    layer_norm: behind every dense layer.
    head_gain: of the layer that makes utilities, when learning starts; near 0, all actions start
      out alike, and none is preferred by chance.
    share: whose parameters; "group", agents of a group share a network; "none", each has its own;
      "all", one for everybody.
    agent_ids: whether agents see their number, one-hot, beside their observation.
    last_action: whether they see what they did before, one-hot; zeros where an episode begins.
    double_q: whether the learning net says which actions the target net values, or the target net.
    n_step: steps of reward in a target; 0: all that follow, weighted by `td_lambda`.
    reward: what an independent learner is paid, its "own" or the mean of its "team".
    embed: size of the mixer's layer, or of each layer of the joint networks.
    hypernet: size of the layer between the state and the mixer's weights; 0: none.
    joint_embed: size of each layer of the unrestricted joint value.
    num_heads: of the weights of the agents' advantages in the duplex dueling mixer.
    """

    num_envs: int = 8
    rollout_length: int = 26
    num_gradient_steps: int = 1
    batch_size: int = 32
    capacity: int = 5000
    replay: str = "uniform"
    hidden: tuple[int, ...] = (64,)
    channels: tuple[int, ...] = ()
    memory_size: int = 64
    burn_in: int = 0
    activation: str = "relu"
    layer_norm: bool = False
    head_gain: float = 1.0
    share: str = "group"
    agent_ids: bool = True
    last_action: bool = True
    double_q: bool = True
    n_step: int = 0
    optimiser: str = "adam"
    reward: str | None = None
    embed: int | None = None
    hypernet: int | None = None
    joint_embed: int | None = None
    num_heads: int | None = None

    def __post_init__(self):
        require_kinds(self)
        for field in ("layer_norm", "agent_ids", "last_action", "double_q"):
            value = getattr(self, field)
            require(isinstance(value, bool), field, "True or False", value)
        for field in ("hidden", "channels"):
            require_sizes(field, getattr(self, field))
        given = {name: x for name, x in vars(self).items() if x is not None}
        for field, choices in CHOICES.items():
            if field in given:
                lookup(dict.fromkeys(choices), given[field], field)
        counts = ("num_envs", "rollout_length", "num_gradient_steps", "batch_size")
        for field in (*counts, "embed", "joint_embed", "num_heads"):
            if field in given:
                require(given[field] >= 1, field, "at least 1", given[field])
        for field in ("memory_size", "n_step", "hypernet", "head_gain", "burn_in"):
            if field in given:
                require(given[field] >= 0, field, "at least 0", given[field])
        longest = self.rollout_length - 1 if self.memory_size else 0
        expected = f"at most {longest}, to leave a step to learn from"
        expected = expected if self.memory_size else "0 without a memory (memory_size 0)"
        require(self.burn_in <= longest, "burn_in", expected, self.burn_in)
        if self.replay == "none":
            divides = self.num_envs % self.batch_size == 0
            expected = f"a divisor of num_envs ({self.num_envs}), with replay none"
            require(divides, "batch_size", expected, self.batch_size)
        else:
            fits = self.capacity >= 2 and self.capacity % self.num_envs == 0
            expected = f"at least 2 and a multiple of num_envs ({self.num_envs})"
            require(fits, "capacity", expected, self.capacity)


@struct.dataclass
class Hparams:
    """Traced numbers; the last three are None where an algorithm has no such number.

    Numbers of env steps are of `Algorithm.env_steps` an update, those after an end included: what
    is computed from the update's number is the same for all runs of a sweep.
    """

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    anneal_updates: float = hparam(1e12, 1.0, 1e12, "log")  # in which the learning rate falls to 0
    optimiser_eps: float = hparam(1e-5, 1e-12, 1.0, "log")
    max_grad_norm: float = hparam(10.0, 1e-6, 1e6, "log")
    gamma: float = hparam(0.99, 0.0, 1.0)
    td_lambda: float = hparam(0.0, 0.0, 1.0)  # 0: targets of one step; used if n_step is 0
    tau: float = hparam(1.0, 0.0, 1.0, "log")  # weight of the online network in the next target
    target_period: float = hparam(100.0, 1.0, 1e9, "log")  # updates between moves of the target
    learning_starts: float = hparam(0.0, 0.0, 1e12)  # env steps before the first gradient step
    epsilon: float = hparam(1.0, 0.0, 1.0)  # probability of a random action at first
    final_epsilon: float = hparam(0.05, 0.0, 1.0)  # and after `explore_steps`
    explore_steps: float = hparam(50_000.0, 1.0, 1e12, "log")  # of all environments in sum
    priority: float = hparam(0.6, 0.0, 10.0)  # exponent of the error; for prioritised replay
    importance: float = hparam(0.4, 0.0, 1.0)  # exponent of the importance weights at first
    importance_updates: float = hparam(5000.0, 1.0, 1e12, "log")  # in which it rises to 1
    opt_weight: float = hparam(None, 0.0, 1e6, "log")  # of QTRAN's loss at the best joint action
    nopt_weight: float = hparam(None, 0.0, 1e6, "log")  # of its loss at other joint actions
    alpha: float = hparam(None, 0.0, 1.0)  # weight of joint actions that are not promising


def annealed_learning_rate(hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns the learning rate [] of update number `update_index`."""
    return hp.learning_rate * jnp.maximum(1 - update_index / hp.anneal_updates, 0.0)


def epsilon_at(hp: Hparams, update_index: jax.Array, env_steps: int) -> jax.Array:
    """Returns the probability [] f32 of a random action in an update of so many env steps."""
    # a quotient of floats: the number of all steps so far may pass 2^31
    fraction = update_index / (hp.explore_steps / env_steps)
    return linear(hp.epsilon, hp.final_epsilon, fraction).astype(jnp.float32)


def importance_exponent(hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns the exponent [] of the importance weights in an update: it rises linearly to 1.

    Only in the end, where the policy settles, need the weights make up for the priorities in full:
    Schaul et al., 2016, arXiv:1511.05952, section 3.4.
    """
    return linear(hp.importance, 1.0, update_index / hp.importance_updates)


def target_step_size(hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns the weight [] of the online network in the target after an update: tau or 0.

    The target moves where a period of updates has passed; the period need not be a whole number.
    """
    # In two parts: an index beyond 2^24 is no float32, but multiples of 4096 are, up to 2^31. What
    # the first leaves of a period is then exact, and small.
    rest = jnp.asarray(update_index) % 4096
    since = jnp.fmod(jnp.float32(update_index - rest), hp.target_period)
    periods = lambda rest: jnp.floor((since + rest) / hp.target_period)
    return jnp.where(periods(rest + 1) > periods(rest), hp.tau, 0.0)
