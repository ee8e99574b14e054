"""A pytree's leaves under names, as files and other programs know them: "actors.agents.kernel".

The structure itself is never read from a file: whoever reads arrays back says what they should be
put into, so that nothing loaded is executed.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require


def leaf_name(path: Any) -> str:
    """Returns a leaf's name: the keys, fields and places that lead to it, joined by dots."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns name -> leaf of a pytree, in its order; a lone leaf has the name "".

    The plain names are taken where they tell the leaves apart, as they do but for dots in them;
    else those of `exactly_named`.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    plain = {leaf_name(path): x for path, x in leaves}
    return plain if len(plain) == len(leaves) else exactly_named(tree)


def exactly_named(tree: Any) -> dict[str, Any]:
    """Returns name -> leaf, names as Python writes the way to a leaf: ".params['w']"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def filled(like: Any, arrays: Mapping[str, Any], owner: str) -> Any:
    """Returns a pytree of the structure of `like` with the arrays of those names as its leaves.

    Args:
      like: what is wanted: leaves with shape and dtype. Typed keys are read from their data.
      arrays: name -> array; more than is wanted does no harm.
      owner: what the arrays belong to, for messages.

    Raises:
      ValueError: an array is missing, or of another shape or dtype; the message names it.
    """

    def one(name: str, leaf: Any) -> jax.Array:
        if leaf.size == 0:  # nothing is stored of what has no entries
            return jnp.zeros(leaf.shape, leaf.dtype)
        require(name in arrays, owner, f"an array {name!r}", "none of that name")
        found = np.asarray(arrays[name])
        wanted = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        found = as_declared(found, wanted)
        same = found.shape == wanted.shape and found.dtype == wanted.dtype
        got = f"{found.dtype}{list(found.shape)}"
        require(same, owner, f"{name} as {wanted.dtype}{list(wanted.shape)}", got)
        return jax.random.wrap_key_data(jnp.asarray(found)) if is_key(leaf) else jnp.asarray(found)

    leaves = [one(name, leaf) for name, leaf in named_leaves(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def is_key(leaf: Any) -> bool:
    """Returns whether a leaf holds typed PRNG keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def as_declared(array: np.ndarray, like: Any) -> np.ndarray:
    """Returns an array that was read as what it was: NumPy's files know bfloat16 as bytes alone."""
    is_bytes = array.dtype.kind == "V" and array.dtype.itemsize == np.dtype(like.dtype).itemsize
    return array.view(like.dtype) if is_bytes else array
