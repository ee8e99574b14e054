"""Actions as vectors that critics see and gradients pass through.

space           vector [..., E]
Discrete(n)     one-hot, or a relaxed draw, E = n
bounded Box     in half ranges from the middle, [-1, 1], E = prod(shape)
Composite       its parts' side by side, in its order
"""

from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, flat_size, is_bounded
from jaxmarl_core.types import Environment, Key


class Leaf(NamedTuple):
    """A part of an action that is no Composite."""

    space: Discrete | Box
    at: slice  # of its entries in the vector
    mask: jax.Array | None  # [..., A] bool, of a Discrete


def leaves(space: Space, mask: Any = None, first: int = 0) -> list[Leaf]:
    """Returns the parts of an action, in the order of its vector.

    Args:
      space: of one action.
      mask: [..., A] bool of a Discrete; of a Composite a dict by part, which may lack some.
      first: where in the vector the space begins.
    """
    if not isinstance(space, Composite):
        return [Leaf(space, slice(first, first + flat_size(space)), mask)]
    found = []
    for name, part in space.items:
        found += leaves(part, (mask or {}).get(name), first)
        first += flat_size(part)
    return found


def require_bounded(name: str, env: Environment) -> None:
    """Raises ValueError unless every action is discrete or within finite bounds."""
    for group_name, group in env.groups.items():
        for leaf in leaves(group.action):
            floats = isinstance(leaf.space, Box) and jnp.issubdtype(leaf.space.dtype, jnp.floating)
            fits = isinstance(leaf.space, Discrete) or (floats and is_bounded(leaf.space))
            expected = "discrete actions, or a Box of floats with finite bounds"
            require(fits, name, f'{expected}, in group "{group_name}"', leaf.space)


def vector_of(space: Space, action: Any) -> jax.Array:
    """Returns an action [..., *space] as a vector, [..., E] f32."""
    if isinstance(space, Composite):
        return jnp.concatenate([vector_of(part, action[name]) for name, part in space.items], -1)
    if isinstance(space, Discrete):
        return jax.nn.one_hot(action, space.num_values)
    leading = action.shape[: action.ndim - len(space.shape)]
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
    return (action.reshape(*leading, prod(space.shape)) - middle) / half


def action_of(space: Space, vector: jax.Array) -> Any:
    """Returns the action [..., *space] of a vector [..., E]: of a Discrete, its largest entry."""
    if isinstance(space, Composite):
        parts, first = {}, 0
        for name, part in space.items:
            size = flat_size(part)
            parts[name] = action_of(part, vector[..., first : first + size])
            first += size
        return parts
    if isinstance(space, Discrete):
        return vector.argmax(-1).astype(jnp.int32)
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
    action = jnp.clip(middle + half * vector, space.low, space.high)
    return action.reshape(*vector.shape[:-1], *space.shape).astype(space.dtype)


def standard_noise(key: Key, space: Space, batch: tuple[int, ...]) -> jax.Array:
    """Returns what actions are drawn with, [*batch, E]: Gumbel where discrete, else normal."""
    parts = leaves(space)
    drawn = [
        (jax.random.gumbel if isinstance(part.space, Discrete) else jax.random.normal)(
            part_key, (*batch, part.at.stop - part.at.start)
        )
        for part, part_key in zip(parts, jax.random.split(key, len(parts)))
    ]
    return jnp.concatenate(drawn, -1)
