"""Spaces: what an observation or action may be. Static, hashable, and free of arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Discrete:
    """The integers 0 ... num_values - 1, as [] int32; `names` say what they mean, to people."""

    num_values: int
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)
    shape = ()
    dtype = jnp.int32

    def __post_init__(self):
        if self.num_values < 1:
            raise ValueError(f"num_values: expected at least 1, got {self.num_values}")
        if len(self.names) not in (0, self.num_values):
            raise ValueError(f"names: expected {self.num_values} or none, got {self.names}")

    def sample(self, key: jax.Array) -> jax.Array:
        """Returns a uniform draw, [] int32."""
        return jax.random.randint(key, (), 0, self.num_values)

    def contains(self, x: Any) -> bool:
        """Returns whether every entry of `x` [...] is an integer of the space. On the host."""
        x = np.asarray(x)
        return bool(np.issubdtype(x.dtype, np.integer) and np.all((x >= 0) & (x < self.num_values)))


@dataclass(frozen=True)
class Box:
    """Arrays of `shape` with entries in [low, high]; either bound may be infinite."""

    shape: tuple[int, ...]
    low: float = -np.inf
    high: float = np.inf
    dtype: Any = jnp.float32

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(self.shape))  # a list would not hash
        if not self.low < self.high:
            raise ValueError(f"low: expected below high ({self.high}), got {self.low}")

    def sample(self, key: jax.Array) -> jax.Array:
        """Returns a draw of `shape`: uniform if bounded, standard normal within bounds if not."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            if jnp.issubdtype(self.dtype, jnp.integer):
                return jax.random.randint(
                    key, self.shape, int(self.low), int(self.high) + 1
                ).astype(self.dtype)
            return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)
        return jnp.clip(jax.random.normal(key, self.shape, self.dtype), self.low, self.high)

    def contains(self, x: Any) -> bool:
        """Returns whether `x` [..., *shape] has the shape and stays within bounds. On the host."""
        x = np.asarray(x)
        fits = x.shape[x.ndim - len(self.shape) :] == self.shape
        return bool(fits and np.all((x >= self.low) & (x <= self.high)))


@dataclass(frozen=True)
class Composite:
    """Named spaces side by side: a dict of draws. Built from a mapping; keeps its order."""

    items: tuple[tuple[str, "Space"], ...]

    def __init__(self, spaces: Mapping[str, "Space"] | tuple):
        pairs = spaces.items() if isinstance(spaces, Mapping) else spaces
        object.__setattr__(self, "items", tuple((name, space) for name, space in pairs))
        if not self.items:
            raise ValueError("spaces: expected at least one, got none")
        if len(dict(self.items)) < len(self.items):
            raise ValueError(f"spaces: expected distinct names, got {[n for n, _ in self.items]}")

    def __getitem__(self, name: str) -> "Space":
        return dict(self.items)[name]

    @property
    def shape(self) -> dict[str, Any]:
        return {name: space.shape for name, space in self.items}

    @property
    def dtype(self) -> dict[str, Any]:
        return {name: space.dtype for name, space in self.items}

    def sample(self, key: jax.Array) -> dict[str, Any]:
        """Returns a dict of independent draws."""
        keys = jax.random.split(key, len(self.items))
        return {name: space.sample(key) for (name, space), key in zip(self.items, keys)}

    def contains(self, x: Any) -> bool:
        """Returns whether `x` is a dict with these names, each within its space. On the host."""
        spaces = dict(self.items)
        named = isinstance(x, Mapping) and x.keys() == spaces.keys()
        return named and all(spaces[name].contains(x[name]) for name in spaces)


Space = Discrete | Box | Composite


def discrete(space: "Space", name: str, owner: str, kind: str = "actions") -> Discrete:
    """Returns the space, known to be Discrete.

    Args:
      space: any.
      name: of the algorithm or function that needs it so.
      owner: the group whose space it is.
      kind: "actions" or "observations".

    Raises:
      ValueError: it is of another kind.
    """
    if not isinstance(space, Discrete):
        raise ValueError(f'{name}: needs discrete {kind}, group "{owner}" has {space}')
    return space


def num_values(space: "Space") -> int:
    """Returns how many values a Discrete has; raises ValueError if it is of another kind."""
    if not isinstance(space, Discrete):
        raise ValueError(f"space: expected Discrete, got {space}")
    return space.num_values


def is_bounded(space: Space) -> bool:
    """Returns whether `space` is a Box with two finite bounds."""
    return isinstance(space, Box) and bool(np.isfinite(space.low) and np.isfinite(space.high))


def zeros(space: "Space", batch: tuple[int, ...] = ()) -> Any:
    """Returns a zero of the space with leading axes `batch`: an example to build networks with."""
    if isinstance(space, Composite):
        return {name: zeros(part, batch) for name, part in space.items}
    return jnp.zeros((*batch, *space.shape), space.dtype)


def flat_size(space: "Space") -> int:
    """Returns the length of the space laid out as one float vector; discrete values as one-hot."""
    if isinstance(space, Discrete):
        return space.num_values
    if isinstance(space, Box):
        return prod(space.shape)
    return sum(flat_size(part) for _, part in space.items)


def flat_box(space: "Space") -> Box:
    """Returns the Box of what `flatten` makes of a space, in the widest bounds of its parts."""

    def bounds(space: Space) -> list[tuple[float, float]]:
        if isinstance(space, Composite):
            return [pair for _, part in space.items for pair in bounds(part)]
        return [(space.low, space.high) if isinstance(space, Box) else (0.0, 1.0)]

    low, high = zip(*bounds(space))
    return Box((flat_size(space),), min(low), max(high))


def flatten(space: Space, observation: Any) -> jax.Array:
    """Returns an observation [..., *shape] of `space` as one vector, [..., flat_size(space)] f32.

    Discrete values become one-hot; the parts of a Composite follow one another in its order.
    """
    if isinstance(space, Composite):
        return jnp.concatenate([flatten(part, observation[name]) for name, part in space.items], -1)
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.num_values)
    leading = observation.shape[: observation.ndim - len(space.shape)]
    return observation.reshape(*leading, flat_size(space)).astype(jnp.float32)
