"""Which agents of a large population are stored: all, or some drawn anew for every episode.

What a soldier sees is 4.7 KB: of 32,768 on a field, 128 steps in four copies would be 80 GB. The
batch of a gradient step is a few hundred transitions of single agents, so a few hundred agents,
followed through their episodes, are as good a sample. They are drawn one from each of as many runs
of neighbouring indices: evenly over the armies, and no agent twice, without sorting any.
"""

from collections.abc import Sequence

import jax
import numpy as np

from jaxmarl_core.types import Key


def shares(num_drawn: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Returns how many of each group are drawn, in proportion to its size; they sum up.

    Args:
      num_drawn: from all groups, at most as many as there are.
      sizes: agents in each group.
    """
    ends = np.cumsum(sizes) * num_drawn // sum(sizes)
    return tuple(int(x) for x in np.diff(ends, prepend=0))


def draw_agents(key: Key, num_drawn: int, size: int) -> jax.Array:
    """Returns distinct agents of a group in ascending order, [num_drawn] int32, uniform each.

    The group is cut into `num_drawn` runs of neighbouring indices whose lengths differ by one at
    most; where they differ, an agent of a shorter run is drawn a little more often.

    Args:
      key: randomness.
      num_drawn: at most `size`.
      size: of the group.
    """
    ends = np.arange(num_drawn + 1) * size // max(num_drawn, 1)
    return jax.random.randint(key, (num_drawn,), ends[:-1], ends[1:])
