"""What is stored, and the batches of transitions that are learnt from.

An entry of the replay is a time step of all environments and what was done in it; a transition is
an entry and a later one, which is the episode's last where that comes first. So no observation is
stored twice, and a time limit is bootstrapped from the final observation.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.algos.off_policy.action_vectors import vector_of
from jaxmarl_core.functional.returns import n_step_transition
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.observation_normalisation import SMALLEST, normalised_observation
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    legal_actions,
    observe,
    pay_while_it_comes,
    stack_groups,
    where_alive,
)
from jaxmarl_core.types import Actions, Key, TimeStep

Vectors = dict[str, jax.Array]  # stack -> [b, n, E], what its agents do; 0 for the dead


class Stored(NamedTuple):
    """An entry: a time step, and what was done in it. Where it is last that was ignored."""

    timestep: TimeStep  # leaves [B, ...], without what nobody reads
    actions: Actions
    policy: dict[str, Any]  # stack -> [B, n] int32, which of its policies an agent played by, or ()


class Observed(NamedTuple):
    """A time step as networks see it, b of them. By stack, agents on the second axis."""

    observation: dict[str, Any]  # leaves [b, n, *space], 0 for the dead
    mask: dict[str, Any]  # legal actions, or None
    alive: dict[str, jax.Array]  # [b, n] bool
    state: Any  # [b, S] f32, or () if no critic sees it
    policy: dict[str, Any]  # [b, n] int32, which of its policies an agent plays by; or ()

    def for_actors(self, name: str) -> Any:
        """Returns what the actors of a stack see, leaves [b, n, ...]."""
        observation, policy = self.observation[name], self.policy[name]
        if isinstance(policy, tuple):
            return observation
        return {"observation": observation, "policy": policy}


class Batch(NamedTuple):
    """Transitions of n steps, or fewer where the episode ended; b of them."""

    observed: Observed
    vectors: Vectors
    next_observed: Observed
    reward: jax.Array  # [b, N] f32, discounted sums
    discount: jax.Array  # [b, N] f32, of what follows
    counts: jax.Array  # [b] bool: it begins with no episode's last time step


def stored_timestep(timestep: TimeStep, with_state: bool) -> TimeStep:
    """Returns the time step without what no loss reads."""
    state = timestep.state if with_state else ()
    return dataclasses.replace(timestep, state=state, mean_action={}, extras={})


def observe_all(
    stacks: list[AgentStack],
    statistics: dict[str, Any],
    timestep: TimeStep,
    policy: dict[str, Any],
    axis: int = 1,
) -> Observed:
    """Returns a time step as networks see it; `axis` is the agents'.

    Args:
      stacks: of all agents.
      statistics: stack -> of what its agents see, or None.
      timestep: leaves [b, ...]; or, with axis 0, of one environment.
      policy: stack -> [b, n] int32, or ().
      axis: of the agents.
    """
    by_stack = lambda function: {stack.name: function(stack) for stack in stacks}
    normalised = lambda stack: normalised_observation(
        stack.observation, statistics[stack.name], observe(stack, timestep, axis)
    )
    return Observed(
        by_stack(normalised),
        by_stack(lambda stack: legal_actions(stack, timestep, axis)),
        by_stack(lambda stack: stack_groups(stack, timestep.alive, axis)),
        timestep.state,
        policy,
    )


def of_all_agents(stacks: list[AgentStack], by_group: Any, axis: int) -> jax.Array:
    """Returns what belongs to all agents, in the order of their stacks, [..., N]."""
    return jnp.concatenate([stack_groups(stack, by_group, axis) for stack in stacks], axis)


def vectors_of(stacks: list[AgentStack], observed: Observed, actions: Actions) -> Vectors:
    """Returns what all agents did as vectors, leaves [b, n, E]."""
    of = lambda stack: vector_of(stack.action, stack_groups(stack, actions, 1))
    return {stack.name: where_alive(observed.alive[stack.name], of(stack)) for stack in stacks}


def positions(
    key: Key, buffer: Stored, block_length: int, block_index: jax.Array, size: int, n_step: int
) -> tuple[jax.Array, jax.Array]:
    """Returns (where transitions begin, in which environment), [size] int32 each, uniformly.

    What it costs does not depend on how much is stored: time steps that ended an episode, from
    which no transition begins, are drawn too, and do not count (`Batch.counts`).
    """
    key_start, key_env = jax.random.split(key)
    start = replay.sample_sequences(
        key_start, buffer, block_length, block_index, size, length=n_step + 1
    )
    num_envs = buffer.timestep.last.shape[1]
    return start, jax.random.randint(key_env, (size,), 0, num_envs)


def transitions(
    stacks: list[AgentStack],
    buffer: Stored,
    start: jax.Array,
    env_index: jax.Array,
    n_step: int,
    gamma: float | jax.Array,
    statistics: dict[str, Any],
    reward_statistics: Any,
) -> Batch:
    """Returns the transitions at these positions, [b] each.

    Args:
      stacks: of all agents.
      buffer: leaves [capacity, B, ...].
      start, env_index: from `positions`.
      n_step: how many steps of reward.
      gamma: [] f32.
      statistics: stack -> of what its agents see, or None.
      reward_statistics: of all agents' rewards [N], or None.
    """
    stored = buffer.timestep
    pay = (stored.reward, stored.discount, stored.last)
    pay = replay.gather_sequences(pay, start, n_step + 1, env_index)
    reward, discount, last = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), pay)  # [n + 1, b, ...]
    reward = of_all_agents(stacks, pay_while_it_comes(reward, discount), 2)
    reward = in_units(stacks, reward, reward_statistics)
    discount = gamma * of_all_agents(stacks, discount, 2)
    of_agents = jax.vmap(n_step_transition, (1, 1, None), (0, 0, None))
    reward, discount, length = jax.vmap(of_agents, (1, 1, 1))(reward, discount, last)
    first = replay.gather(buffer, start, env_index)
    following = replay.gather(stored, start + length, env_index)
    observed = observe_all(stacks, statistics, first.timestep, first.policy)
    return Batch(
        observed,
        vectors_of(stacks, observed, first.actions),
        observe_all(stacks, statistics, following, first.policy),
        reward,
        discount,
        length > 0,
    )


def in_units(stacks: list[AgentStack], reward: jax.Array, statistics: Any) -> jax.Array:
    """Returns rewards [..., N] by their team's deviation; as they are if they never varied.

    One unit a team, as other weights among its members would be another mean to climb. Their mean
    is not taken off: it would change what a long episode is worth.

    Args:
      stacks: of all agents.
      reward: of all agents.
      statistics: of their rewards [N], or None: rewards stay as they are.
    """
    if statistics is None:
        return reward
    team = np.array([team for stack in stacks for team in stack.teams])
    mates = team == team[:, None]
    variance = (mates / mates.sum(1, keepdims=True)).astype(np.float32) @ statistics.variance
    varied = variance > SMALLEST
    return reward / jnp.sqrt(jnp.where(varied, variance, 1.0))
