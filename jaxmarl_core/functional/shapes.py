"""Checks of shapes, made while a program is traced, so that they cost nothing when it runs.

What would broadcast in silence, [T] with [T, 1] to [T, T], is an error that names the argument. A
number, [], goes with everything.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxmarl_core.errors import require


def as_float(x: Any) -> jax.Array:
    """Returns an array of floats: lists, numbers and integers are converted, floats stay."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def as_floats(*arrays: Any) -> tuple[jax.Array, ...]:
    """Returns arrays of floats of one type, the widest of theirs."""
    floats = [as_float(x) for x in arrays]
    dtype = jnp.result_type(*floats)
    return tuple(x.astype(dtype) for x in floats)


def require_equal_shapes(**arrays: ArrayLike) -> None:
    """Raises ValueError unless all arrays, and there may be numbers among them, have one shape."""
    shapes = {name: np.shape(x) for name, x in arrays.items()}
    fits = len({shape for shape in shapes.values() if shape}) <= 1
    require(fits, ", ".join(shapes), "equal shapes", ", ".join(map(str, shapes.values())))


def require_shape(name: str, x: ArrayLike, shape: Sequence[int | None]) -> None:
    """Raises ValueError unless `x` has the shape; None stands for any size."""
    got = np.shape(x)
    fits = len(got) == len(shape) and all(n is None or n == m for n, m in zip(shape, got))
    sizes = ", ".join("any" if n is None else str(n) for n in shape)
    require(fits, name, f"shape ({sizes}{',' if len(shape) == 1 else ''})", got)


def require_broadcastable(name: str, x: ArrayLike, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless `x` broadcasts to the shape, which stays as it is."""
    got = np.shape(x)
    fits = len(got) <= len(shape) and all(n in (1, m) for n, m in zip(got[::-1], shape[::-1]))
    require(fits, name, f"what broadcasts to {shape}", got)


def legal_mask(mask: Any, shape: tuple[int, ...], name: str = "mask") -> jax.Array:
    """Returns the mask [..., A] of a shape, bool, all true if it is None.

    Raises:
      ValueError: it does not broadcast to that shape.
    """
    if mask is None:
        return jnp.ones(shape, bool)
    mask = jnp.asarray(mask).astype(bool)
    require_broadcastable(name, mask, shape)
    return jnp.broadcast_to(mask, shape)
