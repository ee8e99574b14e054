"""Who moves, when moves are played one after another and a cell holds one agent.

All movers are judged at once, exactly. Let o be the agent that stands on a mover's target when
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

from jaxmarl_core.envs.mean_field.battle.actions import NUM_MOVES, STAY, pack, steps, unpack
from jaxmarl_core.envs.mean_field.battle.grid import occupancy


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
    reach = jnp.asarray(steps(map_size))
    moving = alive & (action < NUM_MOVES) & (action != STAY)
    target = jnp.where(moving, cell + reach[action], cell)
    index = jnp.arange(cell.shape[0], dtype=jnp.int32)
    occupant = occupancy(cell, alive, index, map_size)
    turn = occupancy(cell, alive, pack(rank, action), map_size)

    blocker = jnp.where(moving, occupant[target], -1)  # [N], -1 for none
    blocker_rank, _ = unpack(jnp.where(moving, turn[target], -1))

    directions = np.delete(np.arange(NUM_MOVES), STAY)[:, None]
    rival_rank, intent = unpack(turn[target - reach[directions]])  # [12, N]: for the same cell
    beaten = (intent == directions) & (rival_rank < rank) & (rival_rank > blocker_rank)
    free = moving & ~jnp.asarray(wall).reshape(-1)[target] & (rank > blocker_rank)
    first = free & ~jnp.any(beaten, 0)

    def correct(loop):
        moved, _ = loop
        corrected = first & ((blocker < 0) | moved[blocker])
        return corrected, jnp.any(corrected != moved)

    moved, _ = lax.while_loop(lambda loop: loop[1], correct, (first, jnp.bool_(True)))
    return jnp.where(moved, target, cell)
