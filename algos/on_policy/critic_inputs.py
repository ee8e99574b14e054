"""What critics see and are paid: the agent's own part, the state beside it, or the team's whole.

A critic values k agents, or k teams; they are stacked on an axis k where a stack has its agents. An
actor takes the advantage of its agent, or of its agent's team.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.learners.parameter_sharing import AgentStack, observe, stack_groups, state_space
from jaxmarl_core.spaces import Box, Composite, Discrete, Space
from jaxmarl_core.types import Environment, TimeStep


class CriticInput(NamedTuple):
    """What a critic sees and is paid. Functions map (time step, axis of the agents)."""

    name: str
    space: Space  # of the observation of one agent, or team
    size: int  # k
    separate: bool  # whether each of the k has its own parameters
    observation: Callable[[TimeStep, int], Any]  # -> leaves [..., k, *space], or [..., 1, *space]
    # where they are the same for all of the k, who share their parameters
    reward: Callable[[TimeStep, int], jax.Array]  # -> [..., k]
    discount: Callable[[TimeStep, int], jax.Array]  # -> [..., k]
    alive: Callable[[TimeStep, int], jax.Array]  # -> [..., k], the agent, or one of the team
    place: dict[str, list[int]]  # stack -> each agent's, or its team's, on the axis k; a stack
    # whose agents are not valued here is absent


def state_for_each(timestep: TimeStep, state: Box, size: int, axis: int) -> jax.Array:
    """Returns the state, the same for each of `size` on a new axis, [..., size, *state].

    For a network that many share a size of 1 does: it multiplies the state once for all of them.
    """
    state_of_one = jnp.expand_dims(timestep.state, axis)
    return jnp.broadcast_to(state_of_one, (*timestep.state.shape[:axis], size, *state.shape))


def number_of_each(timestep: TimeStep, size: int, axis: int) -> jax.Array:
    """Returns 0 ... size - 1 on a new axis, [..., size] int32."""
    leading = timestep.state.shape[:axis]
    return jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (*leading, size))


def own_inputs(env: Environment, stacks: list[AgentStack]) -> list[CriticInput]:
    """Returns an input for each stack: an agent's critic sees what the agent sees."""
    return [of_stack(stack, stack.observation, partial(observe, stack)) for stack in stacks]


def agent_inputs(env: Environment, stacks: list[AgentStack]) -> list[CriticInput]:
    """Returns an input for each stack: the state, what the agent sees, and its number."""
    state = state_space(env)

    def observation(stack, timestep, axis):
        return {
            "state": state_for_each(timestep, state, stack.size if stack.separate else 1, axis),
            "observation": observe(stack, timestep, axis),
            "number": number_of_each(timestep, stack.size, axis),
        }

    def space(stack):
        return Composite(
            {"state": state, "observation": stack.observation, "number": Discrete(stack.size)}
        )

    return [of_stack(stack, space(stack), partial(observation, stack)) for stack in stacks]


def of_stack(stack: AgentStack, space: Space, observation: Callable) -> CriticInput:
    """Returns the input of a critic that values the agents of a stack, each by itself."""
    field = lambda name: lambda timestep, axis: stack_groups(stack, getattr(timestep, name), axis)
    place = {stack.name: list(range(stack.size))}
    fields = (field("reward"), field("discount"), field("alive"))
    return CriticInput(stack.name, space, stack.size, stack.separate, observation, *fields, place)


def of_all_agents(stacks: list[AgentStack], timestep: TimeStep, field: str, axis: int) -> jax.Array:
    """Returns a field of the time step, the agents of all stacks side by side, [..., N]."""
    fields = [stack_groups(stack, getattr(timestep, field), axis) for stack in stacks]
    return jnp.concatenate(fields, axis)


def team_inputs(env: Environment, stacks: list[AgentStack]) -> list[CriticInput]:
    """Returns one input: each team sees the state and is paid its agents' mean.

    A team's episode goes on while pay can come to one of its agents.
    """
    team_of = [team for stack in stacks for team in stack.teams]
    teams = sorted(set(team_of))
    members = np.array([[team == other for other in team_of] for team in teams])  # [k, N]
    state = state_space(env)

    def observation(timestep, axis):
        return {
            "state": state_for_each(timestep, state, 1, axis),
            "team": number_of_each(timestep, len(teams), axis),
        }

    # Agents are the last axis of these fields.
    def reward(timestep, axis):
        share = members / members.sum(1, keepdims=True)
        return of_all_agents(stacks, timestep, "reward", axis) @ share.T.astype(np.float32)

    def discount(timestep, axis):
        going = of_all_agents(stacks, timestep, "discount", axis)
        return jnp.where(members, going[..., None, :], 0.0).max(-1)

    def alive(timestep, axis):
        living = of_all_agents(stacks, timestep, "alive", axis)
        return jnp.where(members, living[..., None, :], False).any(-1)

    place = {stack.name: [teams.index(team) for team in stack.teams] for stack in stacks}
    space = Composite({"state": state, "team": Discrete(len(teams))})
    fields = (reward, discount, alive)
    return [CriticInput("team", space, len(teams), False, observation, *fields, place)]


CENTRAL_INPUTS = {"environment": team_inputs, "agent": agent_inputs}
