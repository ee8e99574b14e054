"""Critics that predict returns, and how they learn; what they see is in critic_inputs.py."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.on_policy.critic_inputs import CENTRAL_INPUTS, CriticInput, own_inputs
from jaxmarl_core.algos.on_policy.critics import Critics, Played, on_arrival, resets
from jaxmarl_core.algos.on_policy.minibatches import memory_before
from jaxmarl_core.algos.on_policy.networks import Critic, optimiser
from jaxmarl_core.algos.on_policy.options import Config, require_options
from jaxmarl_core.algos.on_policy.value_learning import fit, predicted_returns
from jaxmarl_core.functional.returns import gae, over_trajectories
from jaxmarl_core.learners import value_normalisation
from jaxmarl_core.learners.networks import apply, initial_memory
from jaxmarl_core.learners.observation_normalisation import (
    initial_statistics,
    normalised_observation,
    updated_statistics,
)
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.learners.value_normalisation import Scale
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import zeros
from jaxmarl_core.types import Environment, Key, Metrics


@struct.dataclass
class CriticState:
    """Of value critics; the scale is that of returns."""

    params: dict[str, Any]  # critic -> parameters
    optimiser: dict[str, Any]
    scale: dict[str, Scale]
    memory: dict[str, Any]  # critic -> [B, k, h] or ()
    observation: dict[str, Any]  # critic -> statistics of what it sees, or None


class CriticBatch(NamedTuple):
    """What a critic learns from, leaves [T, B, k, ...]; a separate critic sees no axis k."""

    observation: Any
    value: jax.Array  # f32, predicted before, in the scale's units
    target: jax.Array  # f32, in units of return
    counts: jax.Array  # bool
    reset: jax.Array  # [T, B] bool
    memory: Any  # [C, B, k, h], before each of C chunks; or ()


CRITIC_AXES: Any = CriticBatch._make((2, 2, 2, 2, None, 2))  # where each field has the axis k


class ValueCritics(NamedTuple):
    """What value critics are built of."""

    inputs: list[CriticInput]
    networks: dict[str, Critic]
    config: Config


def value_critics(inputs: list[CriticInput], config: Config, uses_state: bool = True) -> Critics:
    """Returns critics that predict lambda-returns, and generalised advantages from them.

    Raises:
      ValueError: no `normalise_value` in the config.
    """
    require_options(config, "normalise_value")
    networks = {each.name: Critic(each.space, config) for each in inputs}
    parts = ValueCritics(inputs, networks, config)
    return Critics(
        uses_state,
        partial(init_critics, parts),
        partial(estimate_advantages, parts),
        partial(fit_critics, parts),
    )


def own_critics(env: Environment, stacks: list[AgentStack], config: Config, actors: Any) -> Critics:
    """Returns critics that see what their agents see."""
    return value_critics(own_inputs(env, stacks), config, uses_state=False)


def central_critics(
    env: Environment, stacks: list[AgentStack], config: Config, actors: Any
) -> Critics:
    """Returns critics that see the state, as `config.critic` asks; ValueError if it does not."""
    require_options(config, "critic")
    return value_critics(CENTRAL_INPUTS[decided(config.critic)](env, stacks), config)


def per_critic(critic: CriticInput, function: Callable, in_axes: Any, out_axes: Any = 0):
    """Maps a function of one critic over the k that do not share parameters, at the given axes."""
    return jax.vmap(function, in_axes, out_axes) if critic.separate else function


def critic_keys(critic: CriticInput, key: Key, i: int) -> Key:
    """Returns the keys [k] of the critics with parameters of their own; else one key."""
    key = jax.random.fold_in(key, i)
    return jax.random.split(key, critic.size) if critic.separate else key


def init_critics(parts: ValueCritics, key: Key, hp: Any) -> CriticState:
    """Returns the state before the first update."""
    config = parts.config
    params, opt_state, scale, memory, statistics = {}, {}, {}, {}, {}
    for i, critic in enumerate(parts.inputs):
        name = critic.name
        example = initial_memory(config.memory_size), zeros(critic.space)
        init = lambda key, name=name, example=example: parts.networks[name].init(key, *example)
        params[name] = per_critic(critic, init, 0)(critic_keys(critic, key, i))
        opt_state[name] = per_critic(critic, optimiser(0.0, 1.0).init, 0)(params[name])
        scale[name] = value_normalisation.initial_scale()
        if critic.separate:
            repeat = lambda x, size=critic.size: jnp.repeat(x, size)
            scale[name] = jax.tree.map(repeat, scale[name])
        memory[name] = initial_memory(config.memory_size, (config.num_envs, critic.size))
        statistics[name] = None
        if config.normalise_observation:
            statistics[name] = initial_statistics(critic.space)
    return CriticState(params, opt_state, scale, memory, statistics)


def predict(
    network: Critic, params: Any, memory: Any, observation: Any, reset: jax.Array
) -> tuple[Any, jax.Array]:
    """Returns (memory, V(s_t) [T, B, ...]) of one critic, or of all that share parameters."""
    memory, value = apply(network, params, memory, observation, reset)
    return memory, value[..., 0]


def unroll(
    values: Callable, params: Any, memory: Any, observation: Any, reset: jax.Array, length: int
) -> tuple[Any, jax.Array, Any]:
    """Returns (memory, V(s_t) [T, B, k], memory before each of C chunks [C, B, k, h] or ()).

    Args:
      values: as `predict`, of all k.
      params: theirs.
      memory: before step 0, [B, k, h] or ().
      observation: leaves [T, B, ...].
      reset: [T, B] bool.
      length: of a chunk, that is T / C.
    """
    if not jax.tree.leaves(memory):
        return *values(params, memory, observation, reset), memory

    def chunk(memory, steps):
        after, value = values(params, memory, *steps)
        return after, (value, memory)

    chunks = jax.tree.map(lambda x: x.reshape(-1, length, *x.shape[1:]), (observation, reset))
    after, (value, before) = jax.lax.scan(chunk, memory, chunks)
    return after, value.reshape(-1, *value.shape[2:]), before


def estimate_advantages(
    parts: ValueCritics, state: CriticState, played: Played, hp: Any
) -> tuple[dict[str, jax.Array], dict[str, CriticBatch], CriticState]:
    """Returns (advantages [T, B, n] by stack, batches by critic, state)."""
    advantages, batches, memories, statistics = {}, {}, {}, {}
    timestep = played.steps.timestep
    for critic in parts.inputs:
        name, seen = critic.name, state.observation[critic.name]
        alive, observation = critic.alive(timestep, 2), critic.observation(timestep, 2)
        statistics[name] = updated_statistics(critic.space, seen, observation, alive)
        advantage, batches[name], memories[name] = estimate_advantage(
            scaled(critic, seen),
            parts.networks[name],
            state.params[name],
            state.scale[name],
            state.memory[name],
            played,
            hp,
            parts.config,
        )
        for stack, place in critic.place.items():
            same = place == list(range(critic.size))
            advantages[stack] = advantage if same else advantage[..., np.array(place)]
    state = dataclasses.replace(state, memory=memories, observation=statistics)
    return advantages, batches, state


def scaled(critic: CriticInput, statistics: Any) -> CriticInput:
    """Returns the critic's input with what it sees in units of these statistics."""

    def observation(timestep, axis):
        return normalised_observation(critic.space, statistics, critic.observation(timestep, axis))

    return critic._replace(observation=observation)


def estimate_advantage(
    critic: CriticInput,
    network: Critic,
    params: Any,
    scale: Scale,
    memory: Any,
    played: Played,
    hp: Any,
    config: Config,
) -> tuple[jax.Array, CriticBatch, Any]:
    """Returns (advantages [T, B, k], what the critic learns from, its memory at the end)."""
    timestep, final = played.steps.timestep, played.final
    reset, observation = resets(timestep.last), critic.observation(timestep, 2)
    values = per_critic(critic, partial(predict, network), (0, 1, 2, None), (1, 2))
    length = config.sequence_length
    after, value, before = unroll(values, params, memory, observation, reset, length)
    ended = timestep.last[-1][:, None, None]
    after = jax.tree.map(lambda m: jnp.where(ended, 0, m), after)
    now = jax.tree.map(lambda x: x[None], critic.observation(final, 1))
    bootstrap = values(params, after, now, jnp.zeros_like(reset[:1]))[1][0]
    predicted = predicted_returns(config, scale, value)
    valid = jnp.broadcast_to(~timestep.last[..., None], value.shape)
    advantage = over_trajectories(gae)(
        on_arrival(critic.reward, timestep, final),
        hp.gamma * on_arrival(critic.discount, timestep, final),
        predicted,
        predicted_returns(config, scale, bootstrap),
        hp.gae_lambda,
        valid,
    )
    # what may still be earned is learnt for the fallen, too: it is no decision
    counts = (critic.discount(timestep, 2) > 0) & valid
    batch = CriticBatch(observation, value, advantage + predicted, counts, reset, before)
    return advantage, batch, after


def fit_critics(
    parts: ValueCritics,
    key: Key,
    state: CriticState,
    batches: dict[str, CriticBatch],
    hp: Any,
    update_index: jax.Array,
) -> tuple[CriticState, Metrics]:
    """Returns (state, metrics) after all critics learnt their targets."""
    params, opt_state, scale, metrics = {}, {}, {}, {}
    for i, critic in enumerate(parts.inputs):
        name = critic.name
        learn = partial(
            fit_critic, parts.networks[name], parts.config, hp=hp, update_index=update_index
        )
        learn = per_critic(critic, learn, (0, 0, 0, 0, CRITIC_AXES))
        params[name], opt_state[name], scale[name], found = learn(
            critic_keys(critic, key, i),
            state.params[name],
            state.optimiser[name],
            state.scale[name],
            batches[name],
        )
        suffix = f"_{name}" if len(parts.inputs) > 1 else ""
        metrics |= {f"{field}{suffix}": x.mean() for field, x in found.items()}
    return dataclasses.replace(state, params=params, optimiser=opt_state, scale=scale), metrics


def fit_critic(
    network: Critic,
    config: Config,
    key: Key,
    params: Any,
    opt_state: Any,
    scale: Scale,
    batch: CriticBatch,
    hp: Any,
    update_index: jax.Array,
) -> tuple[Any, Any, Scale, Metrics]:
    """Returns (params, optimiser state, scale, metrics) after all epochs of one critic."""

    def values(params, some):
        return predict(network, params, memory_before(some), some.observation, some.reset)[1]

    return fit(values, config, key, params, opt_state, scale, batch, hp, update_index)
