"""Vectors in parts, of which some are the same for many: those are multiplied once for all of them.

A central critic that values n agents sees the state beside what each of them sees. Side by side the
state would be copied n times, and the first layer would multiply each copy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


class PartedVector(NamedTuple):
    """A vector [..., F] in parts, of which some are the same along an axis of the others.

    The state beside what each agent sees: [T, B, 1, F_0] beside [T, B, n, F_1].
    """

    leading: tuple[tuple[int, ...], ...]  # of each part; they broadcast
    rows: tuple[jax.Array, ...]  # [R_i, F_i] f32, leading axes merged; see merge_leading_axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the leading axes of the whole."""
        return jnp.broadcast_shapes(*self.leading)

    def joined(self) -> jax.Array:
        """Returns the whole, [R, F]."""
        repeat = lambda x, leading: jnp.broadcast_to(
            x.reshape(*leading, -1), (*self.shape, x.shape[-1])
        )
        whole = [repeat(x, leading) for x, leading in zip(self.rows, self.leading)]
        return jnp.concatenate(whole, -1).reshape(-1, sum(x.shape[-1] for x in self.rows))


def parted_vector(leading: Sequence[tuple[int, ...]], rows: Sequence[jax.Array]) -> PartedVector:
    """Returns vectors side by side; neighbours with the same leading axes are one part."""
    shapes, joined = [], []
    for shape, x in zip(leading, rows):
        if shapes and shapes[-1] == shape:
            joined[-1].append(x)
        else:
            shapes.append(shape)
            joined.append([x])
    whole = [x[0] if len(x) == 1 else jnp.concatenate(x, -1) for x in joined]
    return PartedVector(tuple(shapes), tuple(whole))


class PartedDense(nn.Module):
    """A dense layer of a vector in parts: [..., F] -> [R, size], leading axes merged.

        x W + b  =  sum over parts i of  x_i W_i + b

    A part that is the same along an axis is multiplied once for all of it.
    """

    size: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, parts: PartedVector) -> jax.Array:
        sizes = [x.shape[-1] for x in parts.rows]
        kernel = self.param("kernel", self.kernel_init, (sum(sizes), self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.size,))
        ends = np.cumsum(sizes)
        products = [
            (x @ kernel[end - size : end]).reshape(*leading, self.size)
            for x, leading, size, end in zip(parts.rows, parts.leading, sizes, ends)
        ]
        return (sum(products) + bias).reshape(-1, self.size)
