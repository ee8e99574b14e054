"""What checks say, and what they compare by."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.spaces import Composite, Space

Complaints = Iterator[str]  # sentences; none where all is well


def first_of_each(checks: Iterable[Callable[[Any], Complaints]], subject: Any) -> list[str]:
    """Returns the first complaint of every check that has one."""
    found = (next(iter(check(subject)), None) for check in checks)
    return [sentence for sentence in found if sentence]


def kind(x: Any) -> str:
    """Returns an array's dtype and shape, as messages have them: float32[3, 2]."""
    return f"{x.dtype}{list(x.shape)}"


def kinds(tree: Any) -> dict[str, str]:
    """Returns leaf -> dtype and shape of a pytree, weakly typed leaves marked."""
    named = jax.tree_util.tree_leaves_with_path(tree)
    weak = lambda x: ", weakly typed" if getattr(x, "weak_type", False) else ""
    return {jax.tree_util.keystr(path): kind(x) + weak(x) for path, x in named}


def changed(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """Yields what differs between two results of `kinds`, in words."""
    for name in before | after:
        a, b = before.get(name, "nothing"), after.get(name, "nothing")
        if a != b:
            yield f"{name} was {a} and became {b}"


def outside(space: Space, x: Any, size: int, what: str) -> Complaints:
    """Yields how `x`, called so, is not `size` elements of a space."""
    if isinstance(space, Composite):
        for name, part in space.items:
            if not isinstance(x, dict) or name not in x:
                yield f'{what} has no part "{name}".'
                return
            yield from outside(part, x[name], size, f'part "{name}" of {what}')
    elif (x.shape, x.dtype) != ((size, *space.shape), space.dtype):
        expected = f"{np.dtype(space.dtype)}{[size, *space.shape]}"
        yield f"{what} should be {expected}, and is {kind(x)}."
    elif not space.contains(x):
        yield f"{what} is outside of {space}."


def unequal(a: Any, b: Any, tolerance: float = 0.0) -> list[str]:
    """Returns the leaves in which two pytrees of one structure differ by more than that."""
    named = jax.tree_util.tree_leaves_with_path(a)
    close = lambda x, y: np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True)
    pairs = zip(named, jax.tree.leaves(b))
    return [jax.tree_util.keystr(path) for (path, x), y in pairs if not close(plain(x), plain(y))]


def plain(x: Any) -> np.ndarray:
    """Returns an array as NumPy's, typed keys as their data."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)
