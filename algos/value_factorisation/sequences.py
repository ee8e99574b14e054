"""Sequences of steps, and what the agents' networks say along them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.factorisation import Choice, Outlook, Sight
from jaxmarl_core.algos.value_factorisation.networks import Agent
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.learners.networks import initial_memory
from jaxmarl_core.learners.parameter_sharing import AgentStack, legal_actions, observe, stack_groups
from jaxmarl_core.types import TimeStep


class Recall(NamedTuple):
    """What the agents of a stack remember, leaves [..., n, ...]."""

    hidden: Any  # [..., n, h] of the network; () without memory
    action: Any  # [..., n] int32, what they did before, -1 at first; () if they do not see it


class Sequences(NamedTuple):
    """T steps, as they are stored with leaves [B, T + 1, ...], and learnt from with time first."""

    timestep: TimeStep  # [T + 1, B, ...], of which only what is needed
    actions: dict[str, jax.Array]  # group -> [T, B, n] int32
    memory: dict[str, Recall]  # stack -> [B, n, ...], before row 0


def each(stack: AgentStack, function: Any, in_axes: Any, out_axes: Any = 0) -> Any:
    """Maps a function of one agent over agents that do not share, at the given axes."""
    return jax.vmap(function, in_axes, out_axes) if stack.separate else function


def resets(last: jax.Array) -> jax.Array:
    """Returns where rows begin an episode, [T + 1, B], as far as it was seen to end before them."""
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def done_before(first: jax.Array, actions: jax.Array, reset: jax.Array) -> jax.Array:
    """Returns what was done before each row, [T + 1, B, n] int32; -1 where an episode begins.

    Args:
      first: [B, n] int32, before row 0.
      actions: [T, B, n] int32.
      reset: [T + 1, B] bool.
    """
    return jnp.where(reset[..., None], -1, jnp.concatenate([first[None], actions]))


def memory_of(stacks: list[AgentStack], config: Config) -> dict[str, Recall]:
    """Returns what an episode begins with."""
    return {
        stack.name: Recall(
            initial_memory(config.memory_size, (stack.size,)),
            jnp.full(stack.size, -1, jnp.int32) if config.last_action else (),
        )
        for stack in stacks
    }


def looked(stack: AgentStack, timestep: TimeStep, before: Any, axis: int) -> Any:
    """Returns what the stack's agents see, leaves [..., n, *space]; `axis` is that of the agents.

    Args:
      before: [..., n] int32, what they did before, or () if they do not see it.
    """
    observation = observe(stack, timestep, axis)
    if isinstance(before, tuple):
        return observation
    return {"observation": observation, "last_action": before}


def outlook(
    stacks: list[AgentStack], nets: dict[str, Agent], params: dict[str, Any], sequences: Sequences
) -> Outlook:
    """Returns what the agents' networks with these parameters say of all T + 1 rows."""
    timestep, actions, memory = sequences
    reset = resets(timestep.last)
    q, features = [], []
    for stack in stacks:
        hidden, before = memory[stack.name]
        if nets[stack.name].config.last_action:
            before = done_before(before, stack_groups(stack, actions, 2), reset)
        along = each(stack, nets[stack.name].apply, (0, 1, 2, None), (1, 2))
        observation = looked(stack, timestep, before, 2)
        _, said = along(params[stack.name], hidden, observation, reset)
        q.append(said[0])
        features.append(said[1])
    return Outlook(tuple(q), tuple(features))


def sight(stacks: list[AgentStack], timestep: TimeStep) -> Sight:
    """Returns what a central learner sees of T + 1 rows beside the agents' networks."""
    alive = jnp.concatenate([stack_groups(stack, timestep.alive, 2) for stack in stacks], 2)
    return Sight(
        timestep.state, alive, tuple(legal_actions(stack, timestep, 2) for stack in stacks)
    )


def done(stacks: list[AgentStack], actions: dict[str, jax.Array]) -> Choice:
    """Returns actions by group, [T, B, n] int32, as a choice."""
    one_hot = lambda stack: jax.nn.one_hot(stack_groups(stack, actions, 2), stack.action.num_values)
    return tuple(map(one_hot, stacks))
