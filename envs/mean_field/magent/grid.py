"""A square map of cells with a margin around it, so that no rule needs a bounds check.

A cell (x, y), x to the right and y downwards, both from 0, has the index
(y + margin) * stride + x + margin. The margin is as wide as an agent can look, aim or jump.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NONE = 31  # in place of an action packed with a number: nothing done
Cells = tuple[tuple[int, int], ...]  # (x, y) of each


class Grid(NamedTuple):
    """The size of a map: static, hashable."""

    size: int  # cells along a side, with the ring of wall
    margin: int

    @property
    def stride(self) -> int:
        """The number of cells in a row of the map with its margins."""
        return self.size + 2 * self.margin

    def cell_of(self, position: jax.Array) -> jax.Array:
        """Returns the cell index [...] int32 of positions [..., 2] int32 (x, y)."""
        return (position[..., 1] + self.margin) * self.stride + position[..., 0] + self.margin

    def position_of(self, cell: jax.Array) -> jax.Array:
        """Returns the positions [..., 2] int32 (x, y) of cell indices [...] int32."""
        row, column = jnp.divmod(cell, self.stride)
        return jnp.stack([column - self.margin, row - self.margin], -1)

    def steps(self, offsets: np.ndarray) -> np.ndarray:
        """Returns what offsets [K, 2] (dx, dy) add to a cell index: [K] int32."""
        return (offsets[:, 1] * self.stride + offsets[:, 0]).astype(np.int32)

    def border(self, outside: bool) -> np.ndarray:
        """Returns [stride, stride] bool: true on the ring of wall, and around it if asked."""
        wall = np.full((self.stride,) * 2, outside)
        inside = wall[self.inner]
        inside[...] = True
        inside[1:-1, 1:-1] = False
        return wall

    @property
    def inner(self) -> tuple[slice, slice]:
        """The map without its margins, as an index of an array [stride, stride]."""
        inner = slice(self.margin, self.margin + self.size)
        return inner, inner

    def with_walls(self, wall: np.ndarray, cells: jax.Array) -> jax.Array:
        """Returns `wall` [stride, stride] bool with more cells [W, 2] int32 (x, y) of wall."""
        return jnp.asarray(wall).reshape(-1).at[self.cell_of(cells)].set(True).reshape(wall.shape)

    def occupancy(self, cell: jax.Array, present: jax.Array, value: jax.Array) -> jax.Array:
        """Returns a map [stride * stride] int32 of `value` at the cells of those present, else -1.

        Args:
          cell: [N] int32, cell indices, distinct among those present.
          present: [N] bool.
          value: [N] int32.
        """
        where = jnp.where(present, cell, self.stride**2)
        return jnp.full(self.stride**2, -1, jnp.int32).at[where].set(value, mode="drop")


def disc(radius: float, inner: float = 0.0, even: bool = False) -> np.ndarray:
    """Returns the offsets (dx, dy) at a distance in [inner, radius], row by row: [K, 2] int32.

    Distances are from the middle of a cell, or from the corner of four cells if `even`: around a
    body of 2 x 2, whose lower right cell then is the origin.
    """
    reach, half = range(-int(radius) - 1, int(radius) + 2), 0.5 * even
    cells = [(x, y) for y in reach for x in reach]
    near = [inner <= np.hypot(x + half, y + half) <= radius for x, y in cells]
    return np.array([cell for cell, fits in zip(cells, near) if fits], np.int32).reshape(-1, 2)


def disc_mask(radius: int, even: bool = False) -> np.ndarray:
    """Returns which cells of a window of width 2 radius + 1 are seen, 2 radius if even: [V, V]."""
    size = 2 * radius + (not even)
    mask = np.zeros((size, size), bool)
    x, y = disc(radius, even=even).T + radius
    mask[y, x] = True
    return mask


def pack(number: jax.Array, action: jax.Array) -> jax.Array:
    """Returns a number [...] int32 in 0..2^26 - 1 and an action in 0..31 as one int32 >= 0."""
    return number << 5 | action


def unpack(word: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the number and the action of a packed word; -1 and 31 for the word -1."""
    return word >> 5, word & 31
