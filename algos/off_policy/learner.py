"""What an off-policy learner is made of, and what it carries from update to update."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.off_policy.action_vectors import require_bounded
from jaxmarl_core.algos.off_policy.batches import Stored
from jaxmarl_core.algos.off_policy.beliefs import Beliefs, believed, first_beliefs
from jaxmarl_core.algos.off_policy.critics import BuildCritics, Critics
from jaxmarl_core.algos.off_policy.networks import (
    actor_network,
    init_network,
    optimiser,
    over_axes,
)
from jaxmarl_core.algos.off_policy.options import Config, Hparams, noise_scale
from jaxmarl_core.algos.off_policy.order import Actors, Order
from jaxmarl_core.algos.off_policy.policies import PolicyKind
from jaxmarl_core.learners.observation_normalisation import initial_statistics
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.play.rollout import Play
from jaxmarl_core.play.wrappers import episodic
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Environment, Key


@struct.dataclass
class Params:
    """What is learnt; the policy reads the actors, what they explore with, and statistics."""

    actors: dict[str, Any]  # stack -> parameters, with a leading axis n if not shared
    critics: dict[str, Any]  # critic -> parameters, leaves [M, ...]
    log_weight: Any  # [N] f32, the logarithm of what an agent's entropy weighs; or ()
    exploration: dict[str, jax.Array]  # numbers [] f32
    observation: dict[str, Any]  # stack -> statistics of what its agents see, or None
    beliefs: Any  # models of others' policies, by stack; or () where these are known


@struct.dataclass
class Optimisers:
    actors: dict[str, Any]
    critics: dict[str, Any]
    log_weight: Any
    beliefs: Any


@struct.dataclass
class State:
    params: Params
    target: Any  # (actors, critics, beliefs) that follow; no actors, {}, where none do
    optimiser: Optimisers
    buffer: Stored  # leaves [buffer_length, B, ...]
    reward: Any  # statistics of all agents' rewards [N], or None
    play: Play  # leaves [B, ...]


class Learner(NamedTuple):
    """What the phases of an update are made of."""

    config: Config
    env: Environment  # resets itself, and keeps count of its episodes
    actors: Actors
    critics: Critics
    order: Order
    beliefs: Beliefs | None  # None: the others' policies are known

    @property
    def num_agents(self) -> int:
        """Returns N."""
        return sum(stack.size for stack in self.actors.stacks)


def make_learner(
    name: str,
    env: Environment,
    config: Config,
    kind: Callable[[Config], PolicyKind],
    critics: BuildCritics,
    order: Order,
    with_beliefs: bool,
) -> Learner:
    """Returns what the phases of an update are made of; raises as `off_policy` does."""
    require_own(name, config, Config)
    require_bounded(name, env)
    stacks = agent_stacks(env, config.share, config.agent_ids)
    acting = kind(config)
    networks = {
        stack.name: actor_network(stack, acting.output_size(stack.action), config)
        for stack in stacks
    }
    actors = Actors(stacks, networks, acting)
    beliefs = believed(config, actors) if with_beliefs else None
    return Learner(config, episodic(env), actors, critics(env, stacks, config), order, beliefs)


def env_steps(config: Config) -> int:
    """Returns the steps of an update over all environments, those after an end included."""
    return config.rollout_length * config.num_envs


def exploration_at(hp: Hparams, update_index: jax.Array, env_steps: int) -> dict[str, jax.Array]:
    """Returns the numbers that policies explore with in an update."""
    if hp.noise is None:
        return {}
    found = {"scale": noise_scale(hp, update_index, env_steps)}
    if hp.noise_rate is not None:
        found["rate"] = jnp.asarray(hp.noise_rate, jnp.float32)
    return found


def init_params(learner: Learner, key: Key, hp: Hparams) -> Params:
    """Returns parameters drawn afresh."""
    key_actors, key_critics, key_beliefs = jax.random.split(key, 3)
    stacks, networks, kind = learner.actors
    actors = {}
    for i, stack in enumerate(stacks):
        stack_key = jax.random.fold_in(key_actors, i)
        keys = jax.random.split(stack_key, stack.size) if stack.separate else stack_key
        fresh = partial(init_network, networks[stack.name])
        actors[stack.name] = over_axes(fresh, int(stack.separate))(keys)
    weight = ()
    if kind.is_soft:
        first = jnp.log(jnp.asarray(hp.entropy, jnp.float32))
        weight = jnp.broadcast_to(first, (learner.num_agents,))
    normalised = learner.config.normalise_observation
    first = lambda stack: initial_statistics(stack.observation) if normalised else None
    return Params(
        actors,
        learner.critics.init(key_critics),
        weight,
        exploration_at(hp, jnp.int32(0), env_steps(learner.config)),
        {stack.name: first(stack) for stack in stacks},
        () if learner.beliefs is None else first_beliefs(learner.beliefs, key_beliefs),
    )


def init_optimisers(learner: Learner, params: Params) -> Optimisers:
    """Returns the state of all optimisers before the first step."""
    begin_at = lambda axes: over_axes(optimiser(0.0, 1.0).init, axes)
    separate = {stack.name: int(stack.separate) for stack in learner.actors.stacks}
    actors = {name: begin_at(separate[name])(own) for name, own in params.actors.items()}
    axes = learner.critics.axes
    critics = {name: begin_at(axes[name])(own) for name, own in params.critics.items()}
    weight = optax.adam(0.0).init(params.log_weight) if learner.actors.kind.is_soft else ()
    beliefs = ()
    if learner.beliefs is not None:
        beliefs = {name: begin_at(2)(own) for name, own in params.beliefs.items()}
    return Optimisers(actors, critics, weight, beliefs)
