"""The 21 actions of the battle, and the mean action of a team.

0-12 jump to a cell within radius 2 (6 stays in place), 13-20 strike one of the eight neighbours.
Offsets are numbered row by row from the top, left to right, with y growing downwards.
"""

import jax

from jaxmarl_core.envs.mean_field.magent.grid import disc
from jaxmarl_core.envs.mean_field.magent.units import mean_one_hot

MOVES = disc(2)  # [13, 2] (dx, dy)
ATTACKS = disc(1.5, inner=1)  # [8, 2]
NUM_MOVES = len(MOVES)
NUM_ACTIONS = NUM_MOVES + len(ATTACKS)


def team_mean_action(action: jax.Array, acted: jax.Array) -> jax.Array:
    """Returns the average one-hot action of a team's members that acted, zero if none did.

    The neighbourhood of Yang et al., 2018, arXiv:1802.05438, in their battle experiment is the
    whole own team, the agent itself included; all members get the same vector.

    Args:
      action: [n] int32 in 0..20.
      acted: [n] bool.

    Returns:
      [n, 21] f32, equal rows.
    """
    return mean_one_hot(action, acted, NUM_ACTIONS)
