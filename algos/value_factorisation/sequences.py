"""Sequences of steps, and what the agents' networks say along them.

A sequence is T steps of one environment, whatever episodes they belong to: it begins with a step
that is played, perhaps inside of an episode, and where one ends in it the next one follows. There
memories are emptied, returns bootstrap, and the step after the end is in no loss: no episode has an
influence on another.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.factorisation import (
    AgentValues,
    CentralInput,
    JointAction,
)
from jaxmarl_core.algos.value_factorisation.networks import AgentNetwork
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.learners.networks import initial_memory
from jaxmarl_core.learners.parameter_sharing import AgentStack, legal_actions, observe, stack_groups
from jaxmarl_core.types import TimeStep


class AgentMemory(NamedTuple):
    """What the agents of a stack remember, leaves [..., n, ...]."""

    hidden: Any  # [..., n, h] of the network; () without memory
    last_action: Any  # [..., n] int32, -1 at first; () if they do not see it


class Sequences(NamedTuple):
    """T steps, as they are stored with leaves [B, T + 1, ...], and learnt from with time first."""

    timestep: TimeStep  # [T + 1, B, ...], of which only what is needed
    actions: dict[str, jax.Array]  # group -> [T, B, n] int32
    memory: dict[str, AgentMemory]  # stack -> [B, n, ...], before time step 0
    is_first: jax.Array  # [B] bool, whether an episode begins with time step 0


def per_agent(stack: AgentStack, function: Any, in_axes: Any, out_axes: Any = 0) -> Any:
    """Maps a function of one agent over agents that do not share, at the given axes."""
    return jax.vmap(function, in_axes, out_axes) if stack.separate else function


def time_first(sequences: Sequences) -> Sequences:
    """Returns stored sequences with the axis of time before that of sequences."""
    swapped = lambda tree: jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)
    return sequences._replace(
        timestep=swapped(sequences.timestep), actions=swapped(sequences.actions)
    )


def time_slice(tree: Any, part: slice) -> Any:
    """Returns some steps of sequences, leaves [T, B, ...], of AgentValues or a CentralInput."""
    return jax.tree.map(lambda leaf: leaf[part], tree)


def resets(last: jax.Array) -> jax.Array:
    """Returns where episodes begin, [T + 1, B]: behind an end; not known of time step 0."""
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def memory_is_exact(sequences: Sequences) -> jax.Array:
    """Returns [T + 1, B] bool, whether an episode began in the sequence, at this step or before.

    Memories are then what these very networks make of the episode. Before that they go back to what
    was stored, which older networks made.
    """
    begins = resets(sequences.timestep.last).at[0].set(sequences.is_first)
    return jnp.cumsum(begins, axis=0) > 0


def warmed_up(sequences: Sequences, burn_in: int) -> jax.Array:
    """Returns [T, B] bool, which steps may enter a loss: all but those that warm up the memory.

    Kapturowski et al., 2019 (R2D2), ICLR, section 3: the first steps of a sequence are only there
    to make a memory of. There sequences overlap by half, so that each step is a later one of some
    sequence; ours do not, and steps whose memory is exact are learnt from wherever they stand.
    """
    after = jnp.arange(len(sequences.timestep.last) - 1) >= burn_in
    return after[:, None] | memory_is_exact(sequences)[:-1]


def last_actions(first: jax.Array, actions: jax.Array, reset: jax.Array) -> jax.Array:
    """Returns what was done before each time step, [T + 1, B, n] int32; -1 where episodes begin.

    Args:
      first: [B, n] int32, before time step 0.
      actions: [T, B, n] int32.
      reset: [T + 1, B] bool.
    """
    return jnp.where(reset[..., None], -1, jnp.concatenate([first[None], actions]))


def initial_memories(stacks: list[AgentStack], config: Config) -> dict[str, AgentMemory]:
    """Returns what an episode begins with, by stack."""
    return {
        stack.name: AgentMemory(
            initial_memory(config.memory_size, (stack.size,)),
            jnp.full(stack.size, -1, jnp.int32) if config.last_action else (),
        )
        for stack in stacks
    }


def observe_with_last_action(
    stack: AgentStack, timestep: TimeStep, last_action: Any, axis: int
) -> Any:
    """Returns what the stack's agents see, leaves [..., n, *space]; `axis` is that of the agents.

    Args:
      last_action: [..., n] int32, what they did before, or () if they do not see it.
    """
    observation = observe(stack, timestep, axis)
    if isinstance(last_action, tuple):
        return observation
    return {"observation": observation, "last_action": last_action}


def unroll_after_burn_in(
    unroll: Callable, hidden: jax.Array, inputs: tuple, is_exact: jax.Array, burn_in: int
) -> Any:
    """Returns what an unrolled network says of all T + 1 time steps, leaves [T + 1, B, ...].

    Where the memory is not exact after the burn-in, no gradient flows back into that.

    Args:
      unroll: (memory, *inputs [t, ...]) -> (memory, outputs [t, ...]).
      hidden: [B, n, h] f32, the memory before time step 0.
      inputs: leaves [T + 1, B, ...].
      is_exact: [T + 1, B] bool, see `memory_is_exact`.
      burn_in: steps; more than T of them warm up nothing.
    """
    if not 0 < burn_in < len(is_exact):
        return unroll(hidden, *inputs)[1]
    part = lambda steps: jax.tree.map(lambda leaf: leaf[steps], inputs)
    hidden, early = unroll(hidden, *part(slice(None, burn_in)))
    through = is_exact[burn_in - 1][:, None, None]
    hidden = jnp.where(through, hidden, jax.lax.stop_gradient(hidden))
    _, late = unroll(hidden, *part(slice(burn_in, None)))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), early, late)


def agent_values(
    stacks: list[AgentStack],
    networks: dict[str, AgentNetwork],
    params: dict[str, Any],
    sequences: Sequences,
) -> AgentValues:
    """Returns what the agents' networks with these parameters say of all T + 1 time steps."""
    timestep, actions, memory, _ = sequences
    reset, is_exact = resets(timestep.last), memory_is_exact(sequences)
    q, features = [], []
    for stack in stacks:
        network = networks[stack.name]
        hidden, before = memory[stack.name]
        if network.config.last_action:
            before = last_actions(before, stack_groups(stack, actions, 2), reset)
        apply = per_agent(stack, network.apply, (0, 1, 2, None), (1, 2))
        inputs = observe_with_last_action(stack, timestep, before, 2), reset
        utilities, of_stack = unroll_after_burn_in(
            partial(apply, params[stack.name]), hidden, inputs, is_exact, network.config.burn_in
        )
        q.append(utilities)
        features.append(of_stack)
    return AgentValues(tuple(q), tuple(features))


def central_input(stacks: list[AgentStack], timestep: TimeStep) -> CentralInput:
    """Returns what a centralised learner is given of T + 1 time steps beside agents' values."""
    alive = jnp.concatenate([stack_groups(stack, timestep.alive, 2) for stack in stacks], 2)
    return CentralInput(
        timestep.state, alive, tuple(legal_actions(stack, timestep, 2) for stack in stacks)
    )


def one_hot_actions(stacks: list[AgentStack], actions: dict[str, jax.Array]) -> JointAction:
    """Returns actions by group, [T, B, n] int32, as a joint action."""
    one_hot = lambda stack: jax.nn.one_hot(stack_groups(stack, actions, 2), stack.action.num_values)
    return tuple(map(one_hot, stacks))
