"""Who learns with whose parameters: stacks of agents that share one network, or have one each.

    share="none"     a stack for each group, its agents each with parameters of their own
    share="group"    a stack for each group, one set of parameters for all of it
    share="all"      one stack of all agents; their spaces must be the same

What belongs to a stack's agents is stacked on the axis that agents have in a group.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, discrete
from jaxmarl_core.types import Environment, TimeStep

SHARING = ("group", "none", "all")


class AgentStack(NamedTuple):
    name: str
    sizes: dict[str, int]  # its groups, and how many agents each has
    separate: bool  # whether each agent has its own parameters: leaves have a leading axis n
    first: int  # the number of its first agent among all
    teams: tuple[int, ...]  # of its agents
    observation: Space  # of one agent, its number included where asked for
    action: Space
    numbered: bool

    @property
    def size(self) -> int:
        """Returns n, how many agents."""
        return sum(self.sizes.values())


def agent_stacks(env: Environment, share: str, numbered: bool) -> list[AgentStack]:
    """Returns the environment's agents as stacks.

    Args:
      env: the environment.
      share: one of SHARING.
      numbered: whether agents see their number in the stack beside their observation.

    Raises:
      ValueError: unknown `share`, or "all" where spaces differ.
    """
    lookup(dict.fromkeys(SHARING), share, "share")
    groups = dict(env.groups)
    whole = [list(groups)] if share == "all" else [[name] for name in groups]
    found, first = [], 0
    for names in whole:
        one = groups[names[0]]
        for name in names[1:]:
            same = groups[name].observation == one.observation and groups[name].action == one.action
            expected = f'spaces of "{name}" as of "{names[0]}", to share "all"'
            require(same, "share", expected, f"{groups[name]} and {one}")
        sizes = {name: groups[name].size for name in names}
        size = sum(sizes.values())
        observation = one.observation
        if numbered:
            observation = Composite({"observation": observation, "agent": Discrete(size)})
        teams = tuple(groups[name].team for name in names for _ in range(sizes[name]))
        label = names[0] if len(names) == 1 else "all"
        separate = share == "none"
        found.append(
            AgentStack(label, sizes, separate, first, teams, observation, one.action, numbered)
        )
        first += size
    return found


def stack_groups(stack: AgentStack, by_group: Mapping[str, Any], axis: int) -> Any:
    """Returns what belongs to the stack's agents, stacked on `axis`."""
    parts = [by_group[name] for name in stack.sizes]
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *parts)


def split_groups(stack: AgentStack, stacked: Any, axis: int) -> dict[str, Any]:
    """Returns group -> what belongs to its agents."""
    found, at = {}, 0
    for name, size in stack.sizes.items():
        cut = lambda leaf, at=at, size=size: jax.lax.slice_in_dim(leaf, at, at + size, axis=axis)
        found[name] = jax.tree.map(cut, stacked)
        at += size
    return found


def observe(stack: AgentStack, timestep: TimeStep, axis: int) -> Any:
    """Returns what a stack's agents see, leaves [..., n, *space]; `axis` is the agents'.

    The dead see zeros: whatever the world shows them reaches no network.
    """
    alive = stack_groups(stack, timestep.alive, axis)
    observation = where_alive(alive, stack_groups(stack, timestep.observation, axis))
    if not stack.numbered:
        return observation
    leading = jax.tree.leaves(observation)[0].shape[:axis]
    number = jnp.broadcast_to(jnp.arange(stack.size, dtype=jnp.int32), (*leading, stack.size))
    return {"observation": observation, "agent": number}


def where_alive(alive: jax.Array, tree: Any) -> Any:
    """Returns the pytree with zeros for the dead.

    Args:
      alive: [...] bool.
      tree: leaves [..., *any].
    """

    def one(leaf):
        keep = alive.reshape(*alive.shape, *[1] * (leaf.ndim - alive.ndim))
        return jnp.where(keep, leaf, jnp.zeros((), leaf.dtype))

    return jax.tree.map(one, tree)


def pay_while_it_comes(reward: Any, discount: Any) -> Any:
    """Returns rewards [T, ...] by group, 0 for whom the step before said that no more can come.

    A world pays 0 there (types.TimeStep); what it writes instead, NaN included, is not read.

    Args:
      reward, discount: group -> [T, ...], of the same T time steps; that of the first is kept.
    """

    def one(reward, discount):
        paid = jnp.where(discount[:-1] > 0, reward[1:], 0.0)
        return jnp.concatenate([reward[:1], paid])

    return jax.tree.map(one, dict(reward), dict(discount))


def values_of_teams_for_the_dead(
    value: jax.Array, alive: jax.Array, stacks: list[AgentStack]
) -> jax.Array:
    """Returns agents' values [..., N], those of the dead replaced by their living mates' mean.

    Nobody learns what an action of the dead is worth, but a team's reward may still come to them:
    what it is worth their mates know. 0 where no mate is left.

    Args:
      value: [..., N] f32, agents in the order of their stacks.
      alive: [..., N] bool.
      stacks: of all N agents.
    """
    teams = np.array([team for stack in stacks for team in stack.teams])
    mates = (teams[:, None] == teams).astype(np.float32)
    living = jnp.where(alive, value, 0.0) @ mates
    count = alive.astype(value.dtype) @ mates
    return jnp.where(alive, value, living / jnp.maximum(count, 1.0))


def legal_actions(stack: AgentStack, timestep: TimeStep, axis: int) -> Any:
    """Returns the stack's action masks, leaves [..., n, A]; None if no group of it has one."""
    masks = timestep.action_mask
    if not any(name in masks for name in stack.sizes):
        return None
    if all(name in masks for name in stack.sizes):
        return stack_groups(stack, masks, axis)
    leading = timestep.reward[next(iter(stack.sizes))].shape[:axis]
    num_actions = discrete(stack.action, "action_mask", stack.name).num_values
    every = {
        name: jnp.ones((*leading, size, num_actions), bool) for name, size in stack.sizes.items()
    }
    return stack_groups(stack, every | masks, axis)


def state_space(env: Environment) -> Box:
    """Returns the space of the environment's state, as a central critic or a mixer may see it.

    Raises:
      ValueError: the environment has none.
    """
    shape = jax.eval_shape(env.reset, jax.random.key(0))[1].state.shape
    if 0 in shape:
        raise ValueError(f"env: expected a state for the critic to see, got shape {shape}")
    return Box(shape)
