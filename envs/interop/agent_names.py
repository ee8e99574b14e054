"""Our agents, who are rows of groups, by names of their own, as other libraries call them."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxmarl_core.types import Group


class Place(NamedTuple):
    """Where an agent stands: row `index` of a group."""

    group: str
    index: int


def agent_names(groups: Mapping[str, Group]) -> dict[str, Place]:
    """Returns the place of every agent, by its name, group after group.

    Row i of a group "red" is "red_i"; the only one of a group "aimer" is "aimer".

    Raises:
      ValueError: two agents of different groups would have the same name.
    """
    places: dict[str, Place] = {}
    for group, (size, *_) in groups.items():
        for i in range(size):
            name = group if size == 1 else f"{group}_{i}"
            if name in places:
                both = f"{name!r} in {places[name].group!r} and in {group!r}"
                raise ValueError(f"groups: expected a name for each agent, got {both}")
            places[name] = Place(group, i)
    return places
