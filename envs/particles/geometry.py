"""Distances and directions between sets of points, in shapes that need no gather."""

import jax
import jax.numpy as jnp


def length(vector: jax.Array) -> jax.Array:
    """Returns the length [...] of vectors [..., 2]; its gradient at 0 is 0."""
    square = jnp.sum(vector**2, axis=-1)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def relative(origin: jax.Array, point: jax.Array) -> jax.Array:
    """Returns where points [M, 2] lie as seen from origins [n, 2], [n, M, 2]."""
    return point - origin[:, None]


def distances(origin: jax.Array, point: jax.Array) -> jax.Array:
    """Returns the distances [n, M] of points [M, 2] from origins [n, 2]."""
    return length(relative(origin, point))


def without_self(pairs: jax.Array) -> jax.Array:
    """Returns a table of pairs [N, N, ...] without its diagonal, [N, N - 1, ...].

    Without the first entry, rows of N + 1 end on the diagonal: two slices, no gather.
    """
    num, rest = len(pairs), pairs.shape[2:]
    rows = pairs.reshape(num * num, *rest)[1:].reshape(num - 1, num + 1, *rest)
    return rows[:, :-1].reshape(num, num - 1, *rest)


def features(*parts: jax.Array) -> jax.Array:
    """Returns parts [n, ...] laid side by side, flat, [n, F]."""
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=-1)


def everyone(shared: jax.Array, num: int) -> jax.Array:
    """Returns what all of `num` agents see alike, [num, ...]."""
    return jnp.broadcast_to(shared, (num, *shared.shape))


def one_hot(index: jax.Array, num: int) -> jax.Array:
    """Returns [..., num], 1 at the index; all 0 where it is -1."""
    return jax.nn.one_hot(index, num, dtype=float)


def goal_place(landmark: jax.Array, goal: jax.Array) -> jax.Array:
    """Returns the places [..., 2] of the landmarks numbered `goal` [...], without a gather."""
    chosen = goal[..., None] == jnp.arange(len(landmark))
    return jnp.sum(jnp.where(chosen[..., None], landmark, 0.0), axis=-2)


def beyond(position: jax.Array) -> jax.Array:
    """Returns how far agents [n, 2] have left the square, as tag punishes it, [n].

    Per coordinate: nothing below 0.9, then rising to 1 at the edge, exponential outside, at most
    10.
    """
    x = jnp.abs(position)
    outside = jnp.minimum(jnp.exp(2 * jnp.minimum(x, 4.0) - 2), 10)  # 10 from 2.2 on: no overflow
    return jnp.sum(jnp.where(x < 0.9, 0, jnp.where(x < 1, (x - 0.9) * 10, outside)), axis=-1)
