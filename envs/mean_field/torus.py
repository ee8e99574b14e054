"""A square lattice whose borders meet: who is whose neighbour, and what neighbours do."""

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require


def neighbour_sum(x: jax.Array) -> jax.Array:
    """Returns the sum of x over the four neighbours of every site.

    Args:
      x: [L, L, ...]; for L below 3 a neighbour would be counted twice.

    Returns:
      [L, L, ...], of the same dtype.
    """
    return jnp.roll(x, 1, 0) + jnp.roll(x, -1, 0) + jnp.roll(x, 1, 1) + jnp.roll(x, -1, 1)


def neighbour_mean_action(action: jax.Array, size: int, num_actions: int) -> jax.Array:
    """Returns the mean one-hot action of every agent's four neighbours.

    Yang et al., 2018, arXiv:1802.05438, sec. 3.1; the agent itself is not among them.

    Args:
      action: [L * L] int32, row by row; a negative one counts as none.
      size: L.
      num_actions: A.

    Returns:
      [L * L, A] f32.
    """
    one_hot = jax.nn.one_hot(action.reshape(size, size), num_actions)
    return neighbour_sum(one_hot).reshape(size * size, num_actions) / 4


def require_torus(size: int) -> None:
    """Raises ValueError unless the four neighbours of a site are four sites."""
    require(size >= 3, "size", "at least 3, below which neighbours coincide", size)
