"""Our spaces as Gymnasium's."""

from collections.abc import Mapping
from typing import Any

import gymnasium.spaces as gym
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Box, Composite, Discrete, Space


def gymnasium_space(space: Space, owner: str) -> gym.Space:
    """Returns the space as Gymnasium's Discrete, Box or Dict.

    A box of integers has no infinite bounds there, but those of its dtype.

    Args:
      space: ours.
      owner: whose space it is, for the message.

    Raises:
      ValueError: a space or dtype that Gymnasium has not, naming its owner.
    """
    if isinstance(space, Discrete):
        return gym.Discrete(space.num_values, dtype=np.dtype(space.dtype).type)
    if isinstance(space, Composite):
        parts = [(name, gymnasium_space(part, f"{owner}.{name}")) for name, part in space.items]
        return gym.Dict(parts)
    require(isinstance(space, Box), owner, "a Discrete, Box or Composite space", space)
    dtype = np.dtype(space.dtype)
    require(dtype.kind in "biuf", owner, "a dtype that NumPy has by itself", dtype)
    low, high = space.low, space.high
    if dtype.kind in "iu":
        low, high = max(low, np.iinfo(dtype).min), min(high, np.iinfo(dtype).max)
    # bounds in the dtype of the space: Gymnasium warns about any that it would have to round
    low, high = np.full(space.shape, low, dtype), np.full(space.shape, high, dtype)
    return gym.Box(low, high, dtype=dtype.type)


def with_mask(space: gym.Space, mask: Any) -> gym.Space:
    """Returns the space of {"observation": ..., "action_mask": [A] int8, or a dict of such}.

    Args:
      space: of the observation.
      mask: a group's masks [n, A], or a dict of such by part, as arrays or shapes.
    """
    return gym.Dict([("observation", space), ("action_mask", _mask_space(mask))])


def _mask_space(mask: Any) -> gym.Space:
    if isinstance(mask, Mapping):
        return gym.Dict([(name, _mask_space(part)) for name, part in mask.items()])
    return gym.Box(0, 1, mask.shape[1:], np.int8)


def seed(space: gym.Space, *numbers: int) -> None:
    """Seeds a space, independently for different numbers, each at least 0."""
    space.seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
