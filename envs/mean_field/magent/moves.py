"""Who moves, when moves are played one after another and a cell holds one agent.

All movers are resolved at once, exactly. Let o be the agent that stands on a mover's target when
moves begin. A mover whose turn comes before o's finds the cell taken. Of those whose turn comes
after, only the first can enter, whatever happens: it enters if o has left, and nobody does if o
stays. So a mover succeeds if it is that first one and o, if there is one, succeeded: a chain of
agents along which turns strictly decrease. Guess that all who are first succeed, correct, and
repeat until nothing changes; the fixed point is unique. On an accelerator the chains are followed
to their ends instead, see `chains`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.magent.chains import entries, led_to
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid, pack, unpack
from jaxmarl_core.functional.packing import packs


def resolve_moves(
    cell: jax.Array,
    alive: jax.Array,
    move: jax.Array,
    rank: jax.Array,
    occupant: jax.Array,
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
      occupant: [stride * stride] int32, who stands on a cell, -1 for nobody; the dead may be there.
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
    target = jnp.where(moving, cell + entries(reach, move), cell)
    turn = jnp.where(alive, pack(rank, move), -1)

    def turn_at(place):  # (who stands there, its turn), both -1 for nobody who is alive
        found = entries(occupant, place)
        word = jnp.where(found >= 0, entries(turn, jnp.maximum(found, 0)), -1)
        return jnp.where(word >= 0, found, -1), word

    blocker, word = turn_at(target)  # [N]
    blocker = jnp.where(moving, blocker, -1)
    blocker_rank, _ = unpack(jnp.where(moving, word, -1))

    _, word = turn_at(target - steps[directions])  # [K, N]: rivals for the same cell
    rival_rank, intent = unpack(word)
    beaten = (intent == directions) & (rival_rank < rank) & (rival_rank > blocker_rank)
    free = moving & ~entries(jnp.asarray(wall).reshape(-1), target) & (rank > blocker_rank)
    first = free & ~jnp.any(beaten, 0)
    moved = (_followed if packs() else _corrected)(first, blocker)
    return jnp.where(moved, target, cell)


def _corrected(first: jax.Array, blocker: jax.Array) -> jax.Array:
    """Returns who moves, [N] bool: who is `first` [N] and whose `blocker` [N], if any, does."""

    def correct(loop):
        moved, _ = loop
        corrected = first & ((blocker < 0) | entries(moved, jnp.maximum(blocker, 0)))
        return corrected, jnp.any(corrected != moved)

    return lax.while_loop(lambda loop: loop[1], correct, (first, jnp.bool_(True)))[0]


def _followed(first: jax.Array, blocker: jax.Array) -> jax.Array:
    """Returns what `_corrected` does, in rounds whose number no game decides."""
    index = jnp.arange(first.shape[0], dtype=jnp.int32)
    end = led_to(jnp.where(first & (blocker >= 0), blocker, index))
    return entries(first, end)
