"""The 21 actions of the battle, and the mean action of a team.

0-12 jump to a cell within radius 2 (6 stays in place), 13-20 strike one of the eight neighbours.
Offsets are numbered row by row from the top, left to right, with y growing downwards.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs.mean_field.battle.grid import stride_of


def _disc(radius_squared: int) -> np.ndarray:
    reach = range(-2, 3)
    cells = [(x, y) for y in reach for x in reach if x * x + y * y <= radius_squared]
    return np.array(cells, np.int32)


MOVES = _disc(4)  # [13, 2] (dx, dy)
ATTACKS = np.array([cell for cell in _disc(2) if cell.any()])  # [8, 2]
NUM_MOVES, NUM_ATTACKS = len(MOVES), len(ATTACKS)
NUM_ACTIONS = NUM_MOVES + NUM_ATTACKS
STAY = 6


def steps(map_size: int) -> np.ndarray:
    """Returns what each action adds to the cell index: [21] int32."""
    offset = np.concatenate([MOVES, ATTACKS])
    return (offset[:, 1] * stride_of(map_size) + offset[:, 0]).astype(np.int32)


def pack(number: jax.Array, action: jax.Array) -> jax.Array:
    """Returns a number [...] int32 in 0..2^26 - 1 and an action in 0..31 as one int32 >= 0."""
    return number << 5 | action


def unpack(word: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the number and the action of a packed word; -1 and 31 for the word -1."""
    return word >> 5, word & 31


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
    one_hot = (action[:, None] == jnp.arange(NUM_ACTIONS)) & acted[:, None]
    mean = jnp.sum(one_hot, 0, dtype=jnp.float32) / jnp.maximum(jnp.sum(acted), 1)
    return jnp.broadcast_to(mean, (action.shape[0], NUM_ACTIONS))
