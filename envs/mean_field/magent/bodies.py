"""Who moves, when bodies of several cells move one after another.

A body enters its target if at its turn no other body is on it. Those whose turn came before stand
where their own move has brought them, the others where they were. Guess that all move, correct, and
repeat until nothing changes: a move depends on earlier ones only, so the fixed point is unique. Who
is in the way is read off two maps, of where bodies were and of where those that move want to be, so
that the work grows with their number; agents of one cell have `moves`.
"""

import jax
import jax.numpy as jnp
from jax import lax


def resolve_body_moves(
    position: jax.Array, target: jax.Array, free: jax.Array, side: int, size: int
) -> jax.Array:
    """Returns where bodies are after their moves, played one by one by index: [n, 2] int32 (x, y).

    Args:
      position: [n, 2] int32 (x, y), upper left cells of bodies that do not overlap.
      target: [n, 2] int32, where they want to be.
      free: [n] bool, whether nothing but bodies can be in the way; false where the target is off
        the map.
      side: of a body, in cells, static.
      size: of the map, in cells along a side, static.
    """
    n, reach = position.shape[0], range(1 - side, side)
    index, nobody = jnp.arange(n), jnp.full((size + 2 * side,) * 2, n)
    column, line = jnp.clip(target, 0, size - 1).T + side  # with a margin, as far as bodies reach
    around = [(line + dy, column + dx) for dy in reach for dx in reach]
    old_column, old_line = position.T + side
    before = nobody.at[old_line, old_column].set(index)
    standing = jnp.stack([before[cell] for cell in around])  # [K, n], n for nobody

    def correct(loop):
        moved, _ = loop
        # those that came before and moved are not where they were, but where they wanted to be
        gone = (standing < index) & jnp.append(moved, False)[standing]
        on_old = (standing < n) & (standing != index) & ~gone
        first = nobody.at[line, column].min(jnp.where(moved, index, n))
        on_new = jnp.stack([first[cell] for cell in around]) < index
        corrected = free & ~jnp.any(on_old | on_new, 0)
        return corrected, jnp.any(corrected != moved)

    moved, _ = lax.while_loop(lambda loop: loop[1], correct, (free, jnp.bool_(True)))
    return jnp.where(moved[:, None], target, position)
