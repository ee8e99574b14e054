"""Who moves, when bodies of several cells move one after another.

A body enters its target if at its turn no other body is on it. Those whose turn came before stand
where their own move has brought them, the others where they were. Guess that all move, correct, and
repeat until nothing changes: a move depends on earlier ones only, so the fixed point is unique. All
pairs are compared, which suits tens of bodies; agents of one cell have `moves`.
"""

import jax
import jax.numpy as jnp
from jax import lax


def resolve_body_moves(
    position: jax.Array, target: jax.Array, free: jax.Array, side: int
) -> jax.Array:
    """Returns where bodies are after their moves, played one by one by index: [n, 2] int32 (x, y).

    Args:
      position: [n, 2] int32 (x, y), upper left cells of bodies that do not overlap.
      target: [n, 2] int32, where they want to be.
      free: [n] bool, whether nothing but bodies can be in the way.
      side: of a body, in cells, static.
    """
    n = position.shape[0]
    earlier = jnp.arange(n)[:, None] > jnp.arange(n)  # [n, n], of the second
    other = ~jnp.eye(n, dtype=bool)
    on_old = other & (jnp.abs(target[:, None] - position).max(-1) < side)
    on_new = other & (jnp.abs(target[:, None] - target).max(-1) < side)

    def correct(loop):
        moved, _ = loop
        in_the_way = jnp.where(earlier & moved, on_new, on_old)
        corrected = free & ~jnp.any(in_the_way, 1)
        return corrected, jnp.any(corrected != moved)

    moved, _ = lax.while_loop(lambda loop: loop[1], correct, (free, jnp.bool_(True)))
    return jnp.where(moved[:, None], target, position)
