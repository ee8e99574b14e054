"""Who moves in the battle: the game of `magent.moves` with jumps of up to two cells."""

import jax
import numpy as np

from jaxmarl_core.envs.mean_field.battle.actions import MOVES
from jaxmarl_core.envs.mean_field.battle.grid import MARGIN
from jaxmarl_core.envs.mean_field.magent import moves
from jaxmarl_core.envs.mean_field.magent.grid import Grid


def resolve_moves(
    cell: jax.Array,
    alive: jax.Array,
    action: jax.Array,
    rank: jax.Array,
    wall: np.ndarray,
    map_size: int,
) -> jax.Array:
    """Returns the agents' cells [N] int32 after their moves, played one by one by `rank`.

    A move is a jump: nothing between the cell and its target is looked at. Who cannot enter its
    target stays. The dead keep their cell and are in nobody's way.

    Args:
      cell: [N] int32, cell indices, distinct among the living.
      alive: [N] bool.
      action: [N] int32 in 0..20.
      rank: [N] int32 in 0..2^26 - 1, distinct among the movers.
      wall: [stride, stride] bool, static, true where nobody may stand.
      map_size: static.
    """
    return moves.resolve_moves(cell, alive, action, rank, wall, MOVES, Grid(map_size, MARGIN))
