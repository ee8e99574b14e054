"""Agents that learn one after another: in which order, and one of them out of a stack."""

from functools import partial
from typing import Any

import jax

_ORDER = 2109  # the seed of the order in which agents learn


def drawn_order(
    update_index: jax.Array, num_agents: int, step: jax.Array | None = None
) -> jax.Array:
    """Returns the order [N] int32 in which agents learn in an update.

    It hangs on the number of the update alone, which is the same in all runs of a sweep: picking
    an agent is then no gather, and a branch stays a branch.

    Args:
      update_index: [] int32.
      num_agents: N.
      step: [] int32, the gradient step, where every one of an update has an order of its own.
    """
    key = jax.random.fold_in(jax.random.key(_ORDER), update_index)
    key = key if step is None else jax.random.fold_in(key, step)
    return jax.random.permutation(key, num_agents)


def pick(i: jax.Array, tree: Any, axis: int = 0) -> Any:
    """Returns entry i of every leaf, without the axis."""
    one = partial(jax.lax.dynamic_index_in_dim, index=i, axis=axis, keepdims=False)
    return jax.tree.map(lambda leaf: one(leaf), tree)


def put(i: jax.Array, tree: Any, new: Any, axis: int = 0) -> Any:
    """Returns the tree with entry i of every leaf's axis replaced."""
    replace = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=axis)
    return jax.tree.map(lambda leaf, x: replace(leaf, x), tree, new)
