"""Spaces of gymnax and JaxMARL as ours: both know Discrete, MultiDiscrete, Box and Dict."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Box, Composite, Discrete, Space


class Action(NamedTuple):
    """An action space, and how an action of it is said to the other library."""

    space: Space
    low: tuple[float, ...] | None = None  # flat, where entries have bounds of their own
    high: tuple[float, ...] | None = None

    def translated(self, action: jax.Array) -> jax.Array:
        """Returns the action [*shape] in the other library's units."""
        if self.low is None or self.high is None:
            return action
        assert isinstance(self.space, Box)  # only its entries have bounds
        low, high = (np.reshape(x, self.space.shape) for x in (self.low, self.high))
        return jnp.asarray(low + (action + 1) / 2 * (high - low))


def _kind(space: Any) -> str:
    return type(space).__name__


def _bounds(space: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.asarray(bound, np.float64) for bound in (space.low, space.high))
    return np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()


def action_space(space: Any, owner: str) -> Action:
    """Returns an action space of the other library as ours.

    A box whose entries have different finite bounds becomes [-1, 1], scaled to them.

    Raises:
      ValueError: a space that is neither Discrete nor Box, naming its owner.
    """
    kind = _kind(space)
    if kind == "Discrete":
        return Action(Discrete(int(space.n)))
    require(kind == "Box", owner, "Discrete or Box actions", kind)
    shape = _shape(space)
    low, high = _bounds(space, shape)
    if not len(low) or ((low == low[0]).all() and (high == high[0]).all()):
        bounds = (float(low[0]), float(high[0])) if len(low) else (-1.0, 1.0)
        return Action(Box(shape, *bounds))
    require(bool(np.isfinite([low, high]).all()), owner, "equal or finite bounds", (low, high))
    return Action(Box(shape, -1.0, 1.0), tuple(low.tolist()), tuple(high.tolist()))


def _shape(space: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in np.atleast_1d(np.asarray(space.shape, np.int64)))


def observation_space(space: Any, example: Any) -> Space:
    """Returns an observation space of the other library as ours.

    Shape and dtype are those of what the world really returns, and boxes have no bounds: what is
    declared does not always hold.

    Args:
      space: the other library's space, or a mapping of such.
      example: an observation, as arrays or shapes.

    Raises:
      ValueError: the declaration names parts that the world does not return (JaxMARL's "storm").
    """
    if isinstance(space, Mapping) or _kind(space) == "Dict":
        parts = space if isinstance(space, Mapping) else space.spaces
        declared, returned = sorted(parts), sorted(example)
        require(declared == returned, "name", f"a world that observes {declared}", returned)
        return Composite({name: observation_space(parts[name], example[name]) for name in parts})
    if _kind(space) == "Discrete":
        return Discrete(int(space.n))
    return Box(example.shape, dtype=np.dtype("float32" if example.dtype == bool else example.dtype))


def observed(space: Space, observation: Any) -> Any:
    """Returns the observation with exactly the dtypes of the space."""
    if isinstance(space, Composite):
        return {name: observed(part, observation[name]) for name, part in space.items}
    return jnp.asarray(observation).astype(space.dtype).reshape(space.shape)


def like(tree: Any, example: Any) -> Any:
    """Returns the leaves with the dtypes of the example, none of them weak.

    Worlds begin with Python numbers and go on with arrays; a state must never change its kind.
    """
    strong = jax.lax.convert_element_type
    kinds = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, example))
    return jax.tree.map(lambda x, kind: strong(jnp.asarray(x), kind.dtype), tree, kinds)
