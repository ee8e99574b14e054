"""Choosing between pytrees."""

from typing import Any

import jax
import jax.numpy as jnp


def select(condition: jax.Array, on_true: Any, on_false: Any) -> Any:
    """Returns one of two equal-shaped pytrees, by a [] bool."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), on_true, on_false)
