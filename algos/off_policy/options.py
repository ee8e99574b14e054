"""What off-policy actor-critics can be told: what shapes the program, and the traced numbers."""

from dataclasses import dataclass
from typing import Any

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
    "gumbel": ("straight_through", "relaxed"),
    "exploration": ("gaussian", "ornstein_uhlenbeck"),
    "critic": ("environment", "agent"),
    "central": ("state", "observations"),
}
LEAST = {
    "num_envs": 1,
    "rollout_length": 1,
    "num_gradient_steps": 1,
    "batch_size": 1,
    "n_step": 1,
    "actor_period": 1,
    "num_policies": 1,
    "num_heads": 1,
}
MaybeNumber = Any  # [] f32; None where a recipe does not have it


@dataclass(frozen=True)
class Config:
    """What shapes the program. The last eight are None until a recipe that has them fills them in.

    rollout_length: steps of each environment an update.
    num_gradient_steps: of an update; by the steps it plays, the ratio of updates to data.
    batch_size: transitions a gradient step learns from.
    buffer_length: steps kept of each environment, a multiple of rollout_length.
    n_step: steps of reward in a target, fewer where an episode ends before.
    channels: of the convolutions over an image-like observation.
    layer_norm: behind every dense layer.
    share: whose actors; "none", each agent has its own; "group", agents of a group share one;
      "all", one for everybody. Critics of agents that see only their own part are shared alike.
    agent_ids: whether agents see their number, one-hot, beside their observation.
    normalise_observation: whether agents see observations in units of the mean and deviation of
      all that were seen before the update, by agents that were alive.
    normalise_reward: whether rewards are learnt from in units of their deviation, a team's, over
      all that was played. MAAC's are, all others' are not.
    gumbel: what a discrete action is to the critics of an actor that climbs them:
      "straight_through", one-hot, with the gradient of the relaxed draw; "relaxed", that draw
      itself. Played and stored is its largest entry, either way (MADDPG's program plays and stores
      the soft vector).
    exploration: what is added to a deterministic policy's actions: "gaussian" noise, or that of
      "ornstein_uhlenbeck", which an episode begins without.
    critic: a central critic's: "environment", one for a team, which predicts what its agents earn
      on average; "agent", one for each agent, which predicts what the agent earns.
    central: what central critics see beside all agents' actions: the environment's "state", or all
      agents' "observations".
    actor_period: gradient steps of the critics to one of the actors and of all targets.
    num_policies: that every agent has; one is drawn for each episode.
    num_heads: of the attention that an agent's critic pays to others; a divisor of the last of
      hidden.
    """

    num_envs: int = 8
    rollout_length: int = 25
    num_gradient_steps: int = 4
    batch_size: int = 256
    buffer_length: int = 10_000
    n_step: int = 1
    hidden: tuple[int, ...] = (64, 64)
    channels: tuple[int, ...] = ()
    activation: str = "relu"
    layer_norm: bool = False
    share: str = "none"
    agent_ids: bool = False
    normalise_observation: bool = False
    normalise_reward: bool | None = None
    gumbel: str | None = None
    exploration: str | None = None
    critic: str | None = None
    central: str | None = None
    actor_period: int | None = None
    num_policies: int | None = None
    num_heads: int | None = None

    def __post_init__(self):
        require_kinds(self)
        given = {name: x for name, x in vars(self).items() if x is not None}
        for field, least in LEAST.items():
            if field in given:
                require(given[field] >= least, field, f"at least {least}", given[field])
        for field in ("hidden", "channels"):
            require_sizes(field, given[field])
        for field in ("layer_norm", "agent_ids", "normalise_observation", "normalise_reward"):
            if field in given:
                require(isinstance(given[field], bool), field, "True or False", given[field])
        for field, choices in CHOICES.items():
            if field in given:
                lookup(dict.fromkeys(choices), given[field], field)
        length, kept = self.rollout_length, self.buffer_length
        fits = kept > max(self.n_step, length - 1) and kept % length == 0
        expected = f"a multiple of rollout_length ({length}) above n_step ({self.n_step})"
        require(fits, "buffer_length", expected, kept)


@struct.dataclass
class Hparams:
    """The traced numbers. What only some recipes have is None where a recipe does not give it.

    Numbers of env steps are of `Algorithm.env_steps` an update, those after an end included: what
    is computed from the update's number is the same for all runs of a sweep. Numbers of an action
    in a Box are in half ranges.

    Published programs play before they learn: HARL's 10,000 steps of uniform actions, MADDPG's
    25,600 and MAAC's 1,024 by the policy. Here `learning_starts` is 0, so that a short run learns;
    say 10,000 for one of 100,000 steps and more.
    """

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")  # of actors
    critic_learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    anneal_updates: float = hparam(1e12, 1.0, 1e12, "log")  # in which all rates fall to 0
    max_grad_norm: float = hparam(10.0, 1e-6, 1e6, "log")  # of an agent's actor, and of a critic
    gamma: float = hparam(0.99, 0.0, 1.0)
    tau: float = hparam(0.005, 0.0, 1.0, "log")  # weight of the online network in the next target
    learning_starts: float = hparam(0.0, 0.0, 1e12)  # env steps before it, of uniform actions
    gumbel_temperature: float = hparam(1.0, 1e-3, 1e3, "log")  # of relaxed draws
    output_penalty: float = hparam(0.0, 0.0, 1e3, "log")  # of an actor's last layer, squared
    noise: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # scale of the exploration at first
    final_noise: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # and after `noise_steps`
    noise_steps: MaybeNumber = hparam(None, 1.0, 1e12, "log")  # of all environments in sum
    noise_rate: MaybeNumber = hparam(None, 0.0, 1.0)  # at which correlated noise is forgotten
    target_noise: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # that smooths target actions
    target_clip: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # how far it moves them at most
    entropy: MaybeNumber = hparam(None, 1e-12, 1e3, "log")  # its weight at first
    entropy_learning_rate: MaybeNumber = hparam(None, 0.0, 1.0, "log")  # 0: the weight stays
    belief_learning_rate: MaybeNumber = hparam(None, 0.0, 1.0, "log")  # of models of others
    belief_entropy: MaybeNumber = hparam(None, 0.0, 1e3, "log")  # weight of their bonus
    box_entropy: MaybeNumber = hparam(None, -1e3, 0.7)  # wanted, in nats for every dimension
    discrete_entropy: MaybeNumber = hparam(None, 0.0, 1.0)  # as a share of the uniform policy's


def explorers(config: Config, **numbers: float) -> Hparams:
    """Returns the defaults of learners whose policies are deterministic, with these numbers."""
    correlated = {"noise_rate": 0.15} if config.exploration == "ornstein_uhlenbeck" else {}
    exploring = {"noise": 0.1, "final_noise": 0.1, "noise_steps": 1e12}
    return Hparams(**exploring | correlated | numbers)


def soft_hparams(**numbers: float) -> Hparams:
    """Returns the defaults of soft learners, with these numbers.

    A policy is wanted to be as uncertain as Haarnoja et al., 2018, arXiv:1812.05905, have it, and
    where it is discrete as Christodoulou, 2019, arXiv:1910.07207.
    """
    soft = {"entropy": 0.2, "entropy_learning_rate": 1e-3, "box_entropy": -1.0}
    return Hparams(**soft | {"discrete_entropy": 0.98} | numbers)


def annealed(rate: float | jax.Array, hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns a learning rate [] after so many updates."""
    return linear(rate, 0.0, update_index / hp.anneal_updates)


def noise_scale(hp: Hparams, update_index: jax.Array, env_steps: int) -> jax.Array:
    """Returns the scale [] f32 of the exploration in an update of so many env steps."""
    # a quotient of floats: the number of all steps so far may pass 2^31
    fraction = update_index / (hp.noise_steps / env_steps)
    return jnp.asarray(linear(hp.noise, hp.final_noise, fraction), jnp.float32)
