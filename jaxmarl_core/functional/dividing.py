"""A batch that several devices learn from: each from its share, where a run is on several.

Whoever draws a batch says along which axis it may be divided. Where a run has one device, which is
the rule, that says nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA = "data"  # the axis of a mesh along which the devices of one run lie
_MESH: ContextVar[Mesh | None] = ContextVar("mesh of the devices of a run", default=None)


@contextmanager
def dividing(mesh: Mesh) -> Iterator[None]:
    """While it lasts, what is traced is to be divided over the axis "data" of a mesh, if any."""
    token = _MESH.set(mesh if DATA in mesh.axis_names else None)
    try:
        yield
    finally:
        _MESH.reset(token)


def divided(tree: Any, axis: int) -> Any:
    """Returns a pytree whose leaves lie along an axis on the devices of a run, if it has several.

    Args:
      tree: leaves [...]; one that cannot be cut into equal shares stays as it is.
      axis: of the batch, not below 0.
    """
    mesh = _MESH.get()
    if mesh is None:
        return tree
    free = PartitionSpec.UNCONSTRAINED

    def one(leaf):
        if leaf.ndim <= axis or leaf.shape[axis] % mesh.shape[DATA]:
            return leaf
        axes = [DATA if i == axis else free for i in range(leaf.ndim)]
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, PartitionSpec(*axes)))

    return jax.tree.map(one, tree)
