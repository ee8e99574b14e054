"""From groups to players and back: players are groups in their order, then agents by index."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.spaces import num_values
from jaxmarl_core.types import Group, TimeStep


def by_player(groups: Mapping[str, Group], by_group: Mapping[str, Any]) -> tuple[jax.Array, ...]:
    """Returns what belongs to each player: group -> [n, ...], to N times [...]."""
    return tuple(by_group[name][i] for name, group in groups.items() for i in range(group.size))


def by_group(groups: Mapping[str, Group], players: Sequence[jax.Array]) -> dict[str, jax.Array]:
    """Returns group -> [n, ...] of what is told player by player, N times [...]."""
    remaining = iter(players)
    return {
        name: jnp.stack([next(remaining) for _ in range(group.size)])
        for name, group in groups.items()
    }


def legal_actions(groups: Mapping[str, Group], timestep: TimeStep) -> dict[str, jax.Array]:
    """Returns group -> [n, A] bool: the timestep's masks, and all actions of groups without one."""
    every = {n: jnp.ones((g.size, num_values(g.action)), bool) for n, g in groups.items()}
    return {name: timestep.action_mask.get(name, mask) for name, mask in every.items()}
