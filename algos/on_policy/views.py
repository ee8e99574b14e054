"""What critics see and are paid: the agent's own part, the state beside it, or the team's whole.

A view's rows are agents, or teams; they are stacked on an axis k where a stack has its agents. An
actor takes the advantage of its own row, or its team's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.learners.parameter_sharing import AgentStack, observe, stack_groups, state_space
from jaxmarl_core.spaces import Composite, Discrete, Space
from jaxmarl_core.types import Environment, TimeStep


class View(NamedTuple):
    """What a critic sees and is paid. Functions map (time step, axis of the agents)."""

    name: str
    space: Space  # of one row
    size: int  # k rows
    own: bool  # whether each row has its own parameters
    inputs: Callable[[TimeStep, int], Any]  # -> leaves [..., k, *space]
    reward: Callable[[TimeStep, int], jax.Array]  # -> [..., k]
    discount: Callable[[TimeStep, int], jax.Array]  # -> [..., k]
    alive: Callable[[TimeStep, int], jax.Array]  # -> [..., k] bool
    row_of: dict[str, list[int]]  # stack -> each agent's row; stacks that are not served are absent


def own_views(env: Environment, stacks: list[AgentStack]) -> list[View]:
    """Returns a view for each stack: an agent's critic sees what the agent sees."""
    return [
        _of_stack(
            stack,
            stack.observation,
            lambda timestep, axis, stack=stack: observe(stack, timestep, axis),
        )
        for stack in stacks
    ]


def agent_views(env: Environment, stacks: list[AgentStack]) -> list[View]:
    """Returns a view for each stack: the state, what the agent sees, and its number."""
    state = state_space(env)

    def inputs(timestep, axis, stack):
        leading = timestep.state.shape[:axis]
        number = jnp.broadcast_to(jnp.arange(stack.size, dtype=jnp.int32), (*leading, stack.size))
        rows = jnp.expand_dims(timestep.state, axis)
        rows = jnp.broadcast_to(rows, (*leading, stack.size, *state.shape))
        return {"state": rows, "observation": observe(stack, timestep, axis), "number": number}

    return [
        _of_stack(
            stack,
            Composite(
                {"state": state, "observation": stack.observation, "number": Discrete(stack.size)}
            ),
            partial(inputs, stack=stack),
        )
        for stack in stacks
    ]


def _of_stack(stack: AgentStack, space: Space, inputs: Callable) -> View:
    field = lambda name: lambda timestep, axis: stack_groups(stack, getattr(timestep, name), axis)
    rows = {stack.name: list(range(stack.size))}
    fields = (field("reward"), field("discount"), field("alive"))
    return View(stack.name, space, stack.size, stack.separate, inputs, *fields, rows)


def team_views(env: Environment, stacks: list[AgentStack]) -> list[View]:
    """Returns one view: a row for each team, which sees the state and is paid its agents' mean.

    A team's episode goes on while that of one of its living agents does.
    """
    teams = sorted({team for stack in stacks for team in stack.teams})
    teams_of = [team for stack in stacks for team in stack.teams]
    members = np.array([[team == other for other in teams_of] for team in teams])  # [k, N]
    state = state_space(env)

    def everybody(timestep, field, axis):
        return jnp.concatenate(
            [stack_groups(u, getattr(timestep, field), axis) for u in stacks], axis
        )

    def inputs(timestep, axis):
        rows = jnp.expand_dims(timestep.state, axis)
        rows = jnp.broadcast_to(rows, (*rows.shape[:axis], len(teams), *state.shape))
        number = jnp.arange(len(teams), dtype=jnp.int32)
        return {"state": rows, "team": jnp.broadcast_to(number, rows.shape[: axis + 1])}

    # Agents are the last axis of these fields.
    def reward(timestep, axis):
        share = members / members.sum(1, keepdims=True)
        return everybody(timestep, "reward", axis) @ share.T.astype(np.float32)

    def some(timestep, field, axis):
        return (everybody(timestep, field, axis)[..., None, :] & members).any(-1)

    def discount(timestep, axis):
        going = everybody(timestep, "discount", axis) * everybody(timestep, "alive", axis)
        return jnp.where(members, going[..., None, :], 0.0).max(-1)

    alive = lambda timestep, axis: some(timestep, "alive", axis)
    rows = {stack.name: [teams.index(team) for team in stack.teams] for stack in stacks}
    space = Composite({"state": state, "team": Discrete(len(teams))})
    return [View("team", space, len(teams), False, inputs, reward, discount, alive, rows)]


CENTRAL_VIEWS = {"environment": team_views, "agent": agent_views}
