"""Environments around another library's object, which does not pickle: pickled as how it is made.

Such objects hold lambdas and compiled functions. What is written instead is the call that built the
environment and its numbers; where that is read the call is made again.
"""

from collections.abc import Callable
from typing import Any

import jax


class Recipe:
    """The call that builds an environment again. Two are equal if they are one."""

    def __init__(self, build: Callable[..., Any], **options: Any):
        self.build = build
        self.options = options

    def __call__(self) -> Any:
        """Returns an environment like the one that was built."""
        return self.build(**self.options)


class Remade:
    """Base of environments with a static field `recipe`: a `Recipe`, or None to pickle as usual."""

    recipe: Recipe | None

    def __reduce_ex__(self, protocol):
        if self.recipe is None:
            return super().__reduce_ex__(protocol)
        return _remade, (self.recipe, jax.tree.leaves(self))


def _remade(recipe: Recipe, numbers: list[Any]) -> Any:
    return jax.tree.unflatten(jax.tree.structure(recipe()), numbers)
