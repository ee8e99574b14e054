"""Random places on a map, one after another, each uniform over where there is room.

Drawing places until one fits, for body after body, is the same as going through one long list of
drawn places and keeping each that fits beside those kept. The list is resolved at once: guess that
all that fit the map are kept, drop those that overlap an earlier one that is kept, and repeat until
nothing changes. Who overlaps whom is read off a map on which each cell has the number of the first
who is kept there: with bodies in their thousands, pairs would be too many. Another list is drawn in
the rare case that one was too short.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxmarl_core.types import Key


def random_places(key: Key, number: int, free: jax.Array, side: int) -> tuple[jax.Array, jax.Array]:
    """Returns the upper left cells [number, 2] int32 (x, y) of bodies, and what then is free.

    Draws for ever if there is no room for so many.

    Args:
      key: a PRNG key.
      number: how many bodies, static.
      free: [size, size] bool, [y, x]: where they may stand; nowhere on the last row and column.
      side: of a body, in cells, static.
    """
    size, length = free.shape[0], number + number // 2 + 16
    order, reach = jnp.arange(length), range(1 - side, side)

    def draw(loop):
        key, free, places, count = loop
        key, key_now = jax.random.split(key)
        drawn = jax.random.randint(key_now, (length, 2), 0, size - side, jnp.int32)
        fits = jnp.ones(length, bool)
        for x, y in _body(drawn, side):
            fits &= free[y, x]
        column, line = drawn.T + side  # with a margin, as far as bodies overlap

        def correct(loop):
            kept, _ = loop
            first = jnp.full((size + 2 * side,) * 2, length)
            first = first.at[line, column].min(jnp.where(kept, order, length))
            near = jnp.stack([first[line + dy, column + dx] for dy in reach for dx in reach])
            corrected = fits & (near.min(0) >= order)
            return corrected, jnp.any(corrected != kept)

        kept, _ = lax.while_loop(lambda loop: loop[1], correct, (fits, jnp.bool_(True)))
        row = count + jnp.cumsum(kept, dtype=jnp.int32) - 1
        row = jnp.where(kept & (row < number), row, number)
        for x, y in _body(drawn, side):
            free = free.at[jnp.where(row < number, y, size), x].set(False, mode="drop")
        places = places.at[row].set(drawn, mode="drop")
        return key, free, places, jnp.minimum(count + jnp.sum(kept, dtype=jnp.int32), number)

    start = (key, free, jnp.zeros((number, 2), jnp.int32), jnp.int32(0))
    _, free, places, _ = lax.while_loop(lambda loop: loop[-1] < number, draw, start)
    return places, free


def _body(corner: jax.Array, side: int) -> list[tuple[jax.Array, jax.Array]]:
    return [(corner[:, 0] + x, corner[:, 1] + y) for y in range(side) for x in range(side)]
