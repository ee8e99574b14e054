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
    """Returns group -> [n, A] bool: the timestep's masks, and all actions of groups without one.

    The dead decide nothing: they are left one action, the first of theirs, so that what stands in
    their place of a joint action is always the same, and neither values nor maxima hang on it.
    """
    legal = {}
    for name, group in groups.items():
        every = jnp.ones((group.size, num_values(group.action)), bool)
        mask = timestep.action_mask.get(name, every)
        first = jax.nn.one_hot(jnp.argmax(mask, axis=-1), mask.shape[-1], dtype=bool)
        legal[name] = jnp.where(timestep.alive[name][:, None], mask, first)
    return legal
