"""Our spaces as Gymnasium's."""

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


def with_mask(space: gym.Space, num_actions: int) -> gym.Space:
    """Returns the space of {"observation": ..., "action_mask": [num_actions] int8}."""
    mask = gym.Box(0, 1, (num_actions,), np.int8)
    return gym.Dict([("observation", space), ("action_mask", mask)])


def seed(space: gym.Space, *numbers: int) -> None:
    """Seeds a space, independently for different numbers, each at least 0."""
    space.seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
