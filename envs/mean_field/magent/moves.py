"""Who moves, when moves are played one after another and a cell holds one agent.

All movers are resolved at once, exactly. Let o be the agent that stands on a mover's target when
moves begin. A mover whose turn comes before o's finds the cell taken. Of those whose turn comes
after, only the first can enter, whatever happens: it enters if o has left, and nobody does if o
stays. So a mover succeeds if it is that first one and o, if there is one, succeeded: a chain of
agents along which turns strictly decrease. Guess that all who are first succeed, correct, and
repeat until nothing changes; the fixed point is unique.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid, pack, unpack


def resolve_moves(
    cell: jax.Array,
    alive: jax.Array,
    move: jax.Array,
    rank: jax.Array,
    wall: np.ndarray | jax.Array,
    offsets: np.ndarray,
    grid: Grid,
) -> jax.Array:
    """Returns the agents' cells [N] int32 after their moves, played one by one by `rank`.

    A move is a jump: nothing between the cell and its target matters. Who cannot enter its
    target stays. The dead keep their cell and are in nobody's way.

    Args:
      cell: [N] int32, cell indices, distinct among the living.
      alive: [N] bool.
      move: [N] int32, which of `offsets` is jumped to; 31 for no move.
      rank: [N] int32 in 0..2^26 - 1, distinct among the movers.
      wall: [stride, stride] bool, true where nobody may stand.
      offsets: [K, 2] int32 (dx, dy), static, K up to 31; (0, 0) is no move.
      grid: static.
    """
    steps = grid.steps(offsets)
    directions = np.flatnonzero(steps)[:, None]
    reach = jnp.asarray(np.pad(steps, (0, NONE + 1 - len(steps))))
    moving = alive & (move < len(offsets))
    for stay in np.flatnonzero(steps == 0):
        moving &= move != stay
    target = jnp.where(moving, cell + reach[move], cell)
    index = jnp.arange(cell.shape[0], dtype=jnp.int32)
    occupant = grid.occupancy(cell, alive, index)
    turn = grid.occupancy(cell, alive, pack(rank, move))

    blocker = jnp.where(moving, occupant[target], -1)  # [N], -1 for none
    blocker_rank, _ = unpack(jnp.where(moving, turn[target], -1))

    rival_rank, intent = unpack(turn[target - steps[directions]])  # [K, N]: for the same cell
    beaten = (intent == directions) & (rival_rank < rank) & (rival_rank > blocker_rank)
    free = moving & ~jnp.asarray(wall).reshape(-1)[target] & (rank > blocker_rank)
    first = free & ~jnp.any(beaten, 0)

    def correct(loop):
        moved, _ = loop
        corrected = first & ((blocker < 0) | moved[blocker])
        return corrected, jnp.any(corrected != moved)

    moved, _ = lax.while_loop(lambda loop: loop[1], correct, (first, jnp.bool_(True)))
    return jnp.where(moved, target, cell)
