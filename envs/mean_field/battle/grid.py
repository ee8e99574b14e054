"""The map of the battle: cells with a margin around them, walls, and where the armies start.

Every map is kept inside a margin of `MARGIN` cells, so that a cell that an agent may look at, aim
at or move to always has an index, and no rule needs a bounds check. A cell (x, y), x to the right
and y downwards, both from 0, has the index (y + MARGIN) * stride + x + MARGIN.
"""

import jax
import jax.numpy as jnp
import numpy as np

VIEW_RADIUS = 6
MARGIN = VIEW_RADIUS

Cells = tuple[tuple[int, int], ...]  # (x, y) of each


def stride_of(map_size: int) -> int:
    """Returns the number of cells in a row of the map with its margins."""
    return map_size + 2 * MARGIN


def cell_of(position: jax.Array, map_size: int) -> jax.Array:
    """Returns the cell index [...] int32 of positions [..., 2] int32 (x, y)."""
    return (position[..., 1] + MARGIN) * stride_of(map_size) + position[..., 0] + MARGIN


def position_of(cell: jax.Array, map_size: int) -> jax.Array:
    """Returns the positions [..., 2] int32 (x, y) of cell indices [...] int32."""
    row, column = jnp.divmod(cell, stride_of(map_size))
    return jnp.stack([column - MARGIN, row - MARGIN], -1)


def wall_map(map_size: int, walls: Cells, outside: bool) -> np.ndarray:
    """Returns [stride, stride] bool: true on the border ring, on `walls`, and outside if asked."""
    wall = np.full((stride_of(map_size),) * 2, outside)
    inside = wall[MARGIN:-MARGIN, MARGIN:-MARGIN]
    inside[...] = True
    inside[1:-1, 1:-1] = False
    for x, y in walls:
        inside[y, x] = True
    return wall


def starting_blocks(map_size: int, walls: Cells) -> tuple[tuple[list, list], ...]:
    """Returns (square, rest) of the left and of the right army: where they stand at the start.

    `square` is the formula of both published codes: a sparse square of side 2 floor(map_size / 5)
    with every second cell filled, three columns off the middle, column by column. `rest` is ours,
    for armies larger than their square: the other free cells of that half of the map.
    """
    free = ~wall_map(map_size, walls, True)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    middle, side = map_size // 2, 2 * (map_size // 5)
    top = (map_size - side) // 2
    armies = []
    for first, half in (
        (middle - 3 - side, range(1, middle)),
        (middle + 3, range(middle, map_size - 1)),
    ):
        rest = [(x, y) for x in half for y in range(1, map_size - 1) if free[y, x]]
        square = [(x, y) for x in range(first, first + side, 2) for y in range(top, top + side, 2)]
        square = [place for place in square if place in set(rest)]
        armies.append((square, [place for place in rest if place not in set(square)]))
    return tuple(armies)
