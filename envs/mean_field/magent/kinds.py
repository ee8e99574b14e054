"""What kinds of agents can do and see, and how groups of them stand side by side in arrays.

A kind numbers its actions as MAgent does: the cells it can jump to, row by row from the top and
from the left, then those it can strike. Where kinds differ, each action is translated to a move
and an attack of tables that hold those of all kinds.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs.mean_field.magent.grid import NONE, disc, disc_mask
from jaxmarl_core.types import Key


class Kind(NamedTuple):
    """The actions of a kind of agent, first the moves and then the attacks; and its window."""

    moves: np.ndarray  # [M, 2] int32 (dx, dy)
    attacks: np.ndarray  # [K, 2] int32
    window: np.ndarray  # [V, V] bool, the cells around it that it observes

    @property
    def num_actions(self) -> int:
        return len(self.moves) + len(self.attacks)

    @property
    def reach(self) -> int:
        """How many cells left of and above its position the window begins."""
        return (len(self.window) - 1) // 2


def kind(speed: float, attack_radius: float, view_radius: int) -> Kind:
    """Returns a kind of one cell that jumps, strikes and observes so many cells far."""
    return Kind(disc(speed), disc(attack_radius, inner=0.5), disc_mask(view_radius))


def moves_of(kind: Kind, action: jax.Array, moves: np.ndarray) -> jax.Array:
    """Returns for actions [n] their rows in the table `moves` [M, 2]: [n] int32, 31 for attacks."""
    if np.array_equal(kind.moves, moves):
        return jnp.where(action < len(moves), action, NONE)
    rows = [_row(offset, moves) for offset in kind.moves] + [NONE] * len(kind.attacks)
    return jnp.asarray(rows, jnp.int32)[action]


def attacks_of(kind: Kind, action: jax.Array, attacks: np.ndarray) -> jax.Array:
    """Returns for actions [n] their rows in the table `attacks` [K, 2]: [n] int32, 31 for moves."""
    first = len(kind.moves)
    if np.array_equal(kind.attacks, attacks):
        return jnp.where(action >= first, action - first, NONE)
    rows = [NONE] * first + [_row(offset, attacks) for offset in kind.attacks]
    return jnp.asarray(rows, jnp.int32)[action]


def _row(offset: np.ndarray, table: np.ndarray) -> int:
    return int(np.flatnonzero((table == offset).all(1))[0])


def group_index(sizes: Mapping[str, int]) -> np.ndarray:
    """Returns which group each agent is of, groups one after another: [N] int32."""
    return np.repeat(np.arange(len(sizes), dtype=np.int32), list(sizes.values()))


def split(rows: jax.Array, sizes: Mapping[str, int]) -> dict[str, jax.Array]:
    """Returns the rows of each group, {name: [n, ...]}, of rows [N, ...] of all, or more."""
    ends = np.cumsum(list(sizes.values()))
    return {name: rows[end - size : end] for (name, size), end in zip(sizes.items(), ends)}


def enemies(num_first: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns whether two agents, given by index arrays, are one of the first and one not."""
    return lambda one, other: (one < num_first) != (other < num_first)


def mean_one_hot(action: jax.Array, acted: jax.Array, num_actions: int) -> jax.Array:
    """Returns the average one-hot action of a group's members that acted, zero if none did.

    The neighbourhood of Yang et al., 2018, arXiv:1802.05438, in their battle experiment is the
    whole own group, the agent itself included; all members get the same vector.

    Args:
      action: [n] int32 in 0..num_actions - 1.
      acted: [n] bool.
      num_actions: static.

    Returns:
      [n, num_actions] f32, equal rows.
    """
    one_hot = (action[:, None] == jnp.arange(num_actions)) & acted[:, None]
    mean = jnp.sum(one_hot, 0, dtype=jnp.float32) / jnp.maximum(jnp.sum(acted), 1)
    return jnp.broadcast_to(mean, (action.shape[0], num_actions))


def queue_order(column: jax.Array, map_size: int) -> jax.Array:
    """Returns the order in which MAgent plays moves: distinct ranks [N] int32.

    Agents move by index. On maps of more than 99 x 99 cells the columns are cut into bands: those
    well inside a band move first, band by band from the left; those near an edge of one follow.

    Args:
      column: [N] int32, everyone's x.
      map_size: static.
    """
    n = column.shape[0]
    index = jnp.arange(n, dtype=jnp.int32)
    if map_size**2 <= 99**2:
        return index
    num_bands = 8 if map_size**2 <= 1000**2 else 16
    width = -(-map_size // num_bands)
    near_edge = (column % width < 4) | (column % width > width - 4)
    return jnp.where(near_edge, num_bands, column // width) * n + index


def random_orders(key: Key, num_orders: int, n: int) -> jax.Array:
    """Returns random orders of n agents: distinct ranks [num_orders, n] int32 in 0..2^26 - 1.

    Random bits above the index as low bits: distinct without a sort. Two agents that draw the
    same random bits keep the order of their indices, which happens to one pair in 2^26 / n.
    """
    low = (n - 1).bit_length()
    bits = jax.random.bits(key, (num_orders, n), jnp.uint32) >> (6 + low) << low
    return bits.astype(jnp.int32) | jnp.arange(n, dtype=jnp.int32)
