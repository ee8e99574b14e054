"""JaxMARL's agents, each by its name, as groups of agents who share their spaces and their team."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.envs.interop.foreign_spaces import (
    Action,
    action_space,
    observation_space,
    observed,
)
from jaxmarl_core.errors import require, unknown
from jaxmarl_core.types import Actions, Group

Agent = Any  # a name; an integer in some worlds

# Kinds of agents that play against the others where nothing else is said.
ADVERSARIES = ("adversary", "leadadversary", "eve", "enemy")


class AgentGroups(NamedTuple):
    """A world's groups, and the names of each group's agents in their order."""

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    agents: tuple[tuple[Agent, ...], ...]  # [groups][n]
    actions: tuple[Action, ...]

    def actions_by_agent(self, actions: Actions) -> dict[Agent, jax.Array]:
        """Returns actions by group as actions by agent."""
        return {
            agent: action.translated(actions[name][i])
            for name, agents, action in zip(self.names, self.agents, self.actions)
            for i, agent in enumerate(agents)
        }

    def observations_by_group(self, observations: Any) -> dict[str, Any]:
        """Returns observations by agent as observations by group."""
        stacked = {}
        for name, group, agents in zip(self.names, self.groups, self.agents):
            rows = [observed(group.observation, observations[agent]) for agent in agents]
            stacked[name] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
        return stacked

    def by_group(self, numbers: Mapping[Agent, Any], dtype: Any) -> dict[str, jax.Array]:
        """Returns numbers by agent, each [] or of one shape, by group: {group: [n, ...]}."""
        return {
            name: jnp.stack([jnp.asarray(numbers[agent]).astype(dtype) for agent in agents])
            for name, agents in zip(self.names, self.agents)
        }


def by_agent(tree: Any, agents: Sequence[Agent]) -> dict[Agent, Any]:
    """Returns what belongs to each agent: a mapping by agent as it is, rows [N, ...] split up."""
    if isinstance(tree, Mapping) and set(agents) <= set(tree):
        return {agent: tree[agent] for agent in agents}
    if isinstance(tree, tuple | list):
        return dict(zip(agents, tree))
    return {agent: jax.tree.map(lambda x, i=i: x[i], tree) for i, agent in enumerate(agents)}


def kind_of(agent: Agent) -> str:
    """Returns the name without its number: "ally" of "ally_2", "agent" of "1"."""
    return re.sub(r"_?\d+$", "", str(agent)) or "agent"


def agent_groups(world: Any, observations: Any, teams: Sequence[str], alone: bool) -> AgentGroups:
    """Returns the groups of a JaxMARL world.

    Args:
      world: a jaxmarl MultiAgentEnv.
      observations: by agent, as arrays or shapes.
      teams: the teams, each as agents or kinds of agents joined by "+"; () to guess: adversaries
        against the rest.
      alone: what is guessed is instead that every agent plays for itself.

    Raises:
      ValueError: teams that leave an agent out, have one twice, or name what is not there.
    """
    team_of = _teams(world.agents, tuple(teams), alone)
    found: dict[tuple, list[Agent]] = {}
    for agent in world.agents:
        action = action_space(world.action_space(agent), str(agent))
        space = observation_space(world.observation_space(agent), observations[agent])
        found.setdefault((kind_of(agent), team_of[agent], space, action), []).append(agent)
    kinds = [kind for kind, *_ in found]
    first = {key: str(agents[0]) for key, agents in found.items()}
    names = [
        key[0] if kinds.count(key[0]) == 1 else f"{key[0]}_{re.findall(r'[0-9]*$', first[key])[0]}"
        for key in found
    ]
    return AgentGroups(
        names=tuple(names),
        groups=tuple(
            Group(len(agents), space, action.space, team)
            for (_, team, space, action), agents in found.items()
        ),
        agents=tuple(tuple(agents) for agents in found.values()),
        actions=tuple(action for *_, action in found),
    )


def _teams(agents: Sequence[Agent], teams: tuple[str, ...], alone: bool) -> dict[Agent, int]:
    """Returns the team of each agent; teams are numbered in the order of their first agents."""
    if not teams:
        against = [kind_of(agent) in ADVERSARIES for agent in agents]
        side = range(len(agents)) if alone else against
    else:
        side = []
        known = {*map(str, agents), *map(kind_of, agents)}
        for name in "+".join(teams).split("+"):
            if name not in known:
                raise ValueError(unknown("teams", name, known))
        for agent in agents:
            called = {str(agent), kind_of(agent)}
            found = [i for i, team in enumerate(teams) if called & set(team.split("+"))]
            require(len(found) == 1, "teams", f"{agent} on one team", f"{len(found)} of {teams}")
            side += found
        return dict(zip(agents, side))
    order = list(dict.fromkeys(side))
    return {agent: order.index(each) for agent, each in zip(agents, side)}
