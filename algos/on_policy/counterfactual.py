"""The counterfactual critic of COMA: what the team would earn, for each thing an agent might do.

    A_i(s, u) = Q(s, u) - sum over a of pi_i(a | o_i) Q(s, (u_-i, a))

One pass of the network gives Q for all own actions, the others' being among its inputs. It learns
lambda-returns of the team's mean reward, bootstrapped by a target network.

Foerster et al., 2018, arXiv:1705.08926.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.on_policy.critic_inputs import (
    CriticInput,
    number_of_each,
    of_all_agents,
    state_for_each,
    team_inputs,
)
from jaxmarl_core.algos.on_policy.critics import Critics, Played, on_arrival
from jaxmarl_core.algos.on_policy.learning import AGENT_AXES, Batch, action_distribution
from jaxmarl_core.algos.on_policy.networks import Actor, Critic, optimiser
from jaxmarl_core.algos.on_policy.options import Config, require_options
from jaxmarl_core.algos.on_policy.value_learning import fit, follow_units, predicted_returns
from jaxmarl_core.functional.losses import chosen
from jaxmarl_core.functional.returns import (
    counterfactual_advantage,
    lambda_returns,
    over_trajectories,
)
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.learners.observation_normalisation import (
    initial_statistics,
    normalised_observation,
    updated_statistics,
)
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    observe,
    stack_groups,
    state_space,
    values_of_teams_for_the_dead,
    where_alive,
)
from jaxmarl_core.learners.value_normalisation import Scale, initial_scale
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, discrete, num_values, zeros
from jaxmarl_core.types import Actions, Environment, Key, Metrics, TimeStep


@struct.dataclass
class CounterfactualState:
    params: dict[str, Any]  # stack -> parameters, shared by its agents
    target: dict[str, Any]
    optimiser: dict[str, Any]
    scale: dict[str, Scale]  # of returns
    observation: dict[str, Any]  # stack -> statistics of what its critic sees, or None


class CounterfactualBatch(NamedTuple):
    """What a critic learns from, leaves [T, B, n, ...]."""

    observation: Any
    action: jax.Array  # int32
    value: jax.Array  # f32, predicted before, in the scale's units
    target: jax.Array  # f32, in units of return
    counts: jax.Array  # bool
    memory: Any = ()


class CounterfactualCritics(NamedTuple):
    """What the critics are built of: one for each stack, whose agents it tells by their number."""

    stacks: list[AgentStack]
    state: Box  # the environment's
    team: CriticInput  # what the agents' teams are paid
    spaces: dict[str, Space]  # stack -> what its critic sees
    networks: dict[str, Critic]
    actors: dict[str, Actor]
    config: Config  # without memory


def counterfactual_critics(
    env: Environment, stacks: list[AgentStack], config: Config, actors: dict[str, Actor]
) -> Critics:
    """Returns the critics.

    Args:
      env: with a state, and Discrete actions.
      stacks: the agents.
      config: what shapes the program, with a target_period; the critic is feed-forward.
      actors: of the stacks.

    Raises:
      ValueError: a group's actions are not Discrete, or an option that nobody gave.
    """
    require_options(config, "target_period", "normalise_value")
    for stack in stacks:
        discrete(stack.action, "coma", stack.name)
    state, (team,) = state_space(env), team_inputs(env, stacks)
    num_actions = sum(stack.size * num_values(stack.action) for stack in stacks)
    feed_forward = dataclasses.replace(config, memory_size=0, chunk_length=0)
    spaces, networks = {}, {}
    for stack in stacks:
        spaces[stack.name] = Composite(
            {
                "state": state,
                "observation": stack.observation,
                "others": Box((num_actions,)),
                "number": Discrete(stack.size),
            }
        )
        networks[stack.name] = Critic(spaces[stack.name], feed_forward, num_values(stack.action))
    parts = CounterfactualCritics(stacks, state, team, spaces, networks, actors, feed_forward)
    return Critics(
        True,
        partial(init_critics, parts),
        partial(estimate_advantages, parts),
        partial(fit_critics, parts),
    )


def critic_observation(
    parts: CounterfactualCritics, stack: AgentStack, timestep: TimeStep, actions: Actions, axis: int
) -> dict[str, Any]:
    """Returns what the stack's critic sees, leaves [..., n, *space], of the state [..., 1, *state].

    "others" are the actions of all agents, one-hot, side by side; the agent's own are 0, and so are
    those of the dead, who do nothing.
    """
    return {
        "state": state_for_each(timestep, parts.state, 1, axis),
        "observation": observe(stack, timestep, axis),
        "others": actions_of_others(parts.stacks, stack, actions, timestep.alive, axis),
        "number": number_of_each(timestep, stack.size, axis),
    }


def actions_of_others(
    stacks: list[AgentStack],
    stack: AgentStack,
    actions: Actions,
    alive: dict[str, jax.Array],
    axis: int,
) -> jax.Array:
    """Returns the living's actions, one-hot, side by side, each one's own at 0, [..., n, sum A].

    Args:
      stacks: all of them.
      stack: whose n agents are told.
      actions: group -> [..., agents] int32.
      alive: group -> [..., agents] bool.
      axis: the agents'.
    """
    taken = [
        where_alive(
            stack_groups(other, alive, axis),
            jax.nn.one_hot(stack_groups(other, actions, axis), num_values(other.action)),
        )
        for other in stacks
    ]
    taken = jnp.concatenate([x.reshape(*x.shape[:axis], -1) for x in taken], -1)  # [..., sum A]
    sizes = [num_values(other.action) for other in stacks for _ in range(other.size)]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    others = owner[None] != stack.first + np.arange(stack.size)[:, None]  # [n, sum A]
    return jnp.where(others, taken[..., None, :], 0.0)


def action_values(network: Critic, params: Any, observation: Any) -> jax.Array:
    """Returns Q(s, (u_-i, .)) [..., n, A], in the scale's units."""
    return apply(network, params, (), observation)[1]


def init_critics(parts: CounterfactualCritics, key: Key, hp: Any) -> CounterfactualState:
    """Returns the state before the first update."""
    params = {
        name: network.init(jax.random.fold_in(key, i), (), zeros(parts.spaces[name]))
        for i, (name, network) in enumerate(parts.networks.items())
    }
    opt_state = {name: optimiser(0.0, 1.0).init(p) for name, p in params.items()}
    scale = {name: initial_scale() for name in params}
    statistics = dict.fromkeys(params)
    if parts.config.normalise_observation:  # but for what the others do
        statistics = {
            name: initial_statistics(space) | {"others": None}
            for name, space in parts.spaces.items()
        }
    return CounterfactualState(params, params, opt_state, scale, statistics)


def estimate_advantages(
    parts: CounterfactualCritics, state: CounterfactualState, played: Played, hp: Any
) -> tuple[dict[str, jax.Array], dict[str, CounterfactualBatch], CounterfactualState]:
    """Returns (advantages [T, B, n] by stack, batches by stack, the state).

    The targets are lambda-returns of the team's pay, bootstrapped by the target network.
    """
    following = played.final_actions()
    timestep, final = played.steps.timestep, played.final
    reward = on_arrival(parts.team.reward, timestep, final)
    discount = hp.gamma * on_arrival(parts.team.discount, timestep, final)
    advantages, batches, observations, statistics, value, bootstrap = {}, {}, {}, {}, [], []
    for stack in parts.stacks:
        name, batch = stack.name, played.batches[stack.name]
        scaled = partial(normalised_observation, parts.spaces[name], state.observation[name])
        observation = critic_observation(parts, stack, timestep, played.steps.actions, 2)
        alive = stack_groups(stack, timestep.alive, 2)
        statistics[name] = updated_statistics(
            parts.spaces[name], state.observation[name], observation, alive
        )
        observations[name] = scaled(observation)
        last_observation = scaled(critic_observation(parts, stack, final, following, 1))
        q_target = partial(action_values, parts.networks[name], state.target[name])
        returns = partial(predicted_returns, parts.config, state.scale[name])
        values = lambda seen, q=q_target, returns=returns: returns(q(seen))
        value.append(chosen(values(observations[name]), batch.action))
        last_action = where_alive(
            stack_groups(stack, final.alive, 1), stack_groups(stack, following, 1)
        )
        bootstrap.append(chosen(values(last_observation), last_action))
    for_the_dead = lambda by_stack, timestep, axis: values_of_teams_for_the_dead(
        jnp.concatenate(by_stack, axis),
        of_all_agents(parts.stacks, timestep, "alive", axis),
        parts.stacks,
    )
    value, bootstrap = for_the_dead(value, timestep, 2), for_the_dead(bootstrap, final, 1)
    for stack in parts.stacks:
        name, batch, observation = stack.name, played.batches[stack.name], observations[stack.name]
        own = slice(stack.first, stack.first + stack.size)
        place = np.array(parts.team.place[name])
        valid = jnp.broadcast_to(~timestep.last[..., None], batch.counts.shape)
        target = over_trajectories(lambda_returns)(
            reward[..., place],
            discount[..., place],
            value[..., own],
            bootstrap[..., own],
            hp.gae_lambda,
            valid,
        )
        q = action_values(parts.networks[name], state.params[name], observation)
        pi = action_probabilities(stack, parts.actors[name], played.actors[name], batch)
        returns = predicted_returns(parts.config, state.scale[name], q)
        advantages[name] = counterfactual_advantage(returns, pi, batch.action)
        batches[name] = CounterfactualBatch(
            observation, batch.action, chosen(q, batch.action), target, batch.counts
        )
    return advantages, batches, dataclasses.replace(state, observation=statistics)


def action_probabilities(stack: AgentStack, actor: Actor, params: Any, batch: Batch) -> jax.Array:
    """Returns pi_i(. | o_i) at every step, [T, B, n, A]."""
    probabilities = lambda params, batch: action_distribution(actor, params, batch).probs
    if stack.separate:
        probabilities = jax.vmap(probabilities, (0, AGENT_AXES), 2)
    return probabilities(params, batch)


def fit_critics(
    parts: CounterfactualCritics,
    key: Key,
    state: CounterfactualState,
    batches: dict[str, CounterfactualBatch],
    hp: Any,
    update_index: jax.Array,
) -> tuple[CounterfactualState, Metrics]:
    """Returns (state, metrics) after all critics learnt; the target network is copied when due."""
    params, target, opt_state, scale, metrics = {}, {}, {}, {}, {}
    for i, stack in enumerate(parts.stacks):
        name = stack.name

        def values(params, some, network=parts.networks[name]):
            return chosen(action_values(network, params, some.observation), some.action)

        params[name], opt_state[name], scale[name], found = fit(
            values,
            parts.config,
            jax.random.fold_in(key, i),
            state.params[name],
            state.optimiser[name],
            state.scale[name],
            batches[name],
            hp,
            update_index,
        )
        units = state.scale[name], scale[name]
        target[name] = follow_units(parts.config, state.target[name], *units)
        suffix = f"_{name}" if len(parts.stacks) > 1 else ""
        metrics |= {f"{field}{suffix}": x for field, x in found.items()}
    due = (update_index + 1) % decided(parts.config.target_period) == 0
    target = jax.tree.map(lambda new, old: jnp.where(due, new, old), params, target)
    state = CounterfactualState(params, target, opt_state, scale, state.observation)
    return state, metrics
