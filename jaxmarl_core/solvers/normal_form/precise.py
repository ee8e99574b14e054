"""A second look in double precision, at the few games that single precision may have lost.

Some games are ill-conditioned: their equilibria are few and all but a point, and the rounding of
their payoffs' sums alone moves the best one, or leaves none. What is cheap in single precision for
a million games is therefore done once more for those in doubt, from the payoffs as given.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.solvers.normal_form.lanes import SMALLEST, all_at_once

Solver = Callable[..., tuple[Any, jax.Array]]
SHARE = 256  # of the games, one in so many is solved again at a time


def doubled_where_doubtful(solve: Solver) -> Callable[..., Any]:
    """Returns a solver of one game that solves it in double precision if single is not enough.

    Under `vmap` doubtful games are solved again a few at a time: one in a hundred costs little.
    Where arguments are of double precision, nothing is done twice, and integers of more than 16
    bits, which single precision may not hold, are solved in double precision from the start.
    `jax_enable_x64` may be off.

    Args:
      solve: maps one game's arrays, the payoffs first, to (a pytree, [] bool whether it is in
        doubt), and follows the type of its floating arguments.
    """
    return all_at_once(_twice(jax.vmap(solve), axis=0), axis=0)


def doubled_lanes(solve: Solver) -> Callable[..., Any]:
    """Returns the same, from a solver of many games on the last axis."""
    return all_at_once(_twice(solve, axis=-1))


def _twice(solve: Solver, axis: int) -> Callable[..., Any]:
    """Returns a solver of many games on an axis that looks twice where one look is not enough."""

    def put(old, here, new):
        return (old.at[here] if axis == 0 else old.at[..., here]).set(new, mode="drop")

    def many(*args):
        if any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(args)):
            return solve(*args)[0]
        if jnp.issubdtype(args[0].dtype, jnp.integer):
            return _in_double(solve, args)
        found, doubt = solve(*args)
        games = len(doubt)
        few = min(games, max(SMALLEST, games // SHARE))

        def again(carry):
            found, doubt = carry
            (here,) = jnp.nonzero(doubt, size=few, fill_value=games)
            some = jax.tree.map(lambda x: jnp.take(x, here, axis=axis, mode="clip"), args)
            better = _in_double(solve, some)
            found = jax.tree.map(lambda old, new: put(old, here, new), found, better)
            return found, doubt.at[here].set(False, mode="drop")

        return jax.lax.while_loop(lambda carry: carry[1].any(), again, (found, doubt))[0]

    return many


def _in_double(solve: Solver, args: tuple) -> Any:
    """Returns what is found in double precision, in single."""
    with jax.enable_x64(True):
        payoffs, *others = args
        double = [payoffs.astype(jnp.float64), *jax.tree.map(_doubled, others)]
        found, _ = solve(*double)
        return jax.tree.map(_single, found)


def first_index(flags: jax.Array) -> jax.Array:
    """Returns the index of the first true one of [n], [] int32; 0 if there is none.

    `jnp.argmax`, traced in double precision, would be lowered with 64-bit indices, outside where
    there are none.
    """
    return jax.lax.argmax(flags.astype(jnp.int32), 0, jnp.int32)


def _doubled(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _single(leaf: jax.Array) -> jax.Array:
    narrow = {jnp.dtype("float64"): jnp.float32, jnp.dtype("int64"): jnp.int32}
    return leaf.astype(narrow.get(leaf.dtype, leaf.dtype))
