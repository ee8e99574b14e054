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


def doubled_where_doubtful(solve: Solver) -> Callable[..., Any]:
    """Returns a solver of one game that solves it in double precision if single is not enough.

    Under `vmap` doubtful games are solved again a few at a time: one in a hundred costs little.
    Where arguments are of double precision, nothing is done twice. `jax_enable_x64` may be off.

    Args:
      solve: maps one game's arrays to (a pytree, [] bool whether it is in doubt), and follows the
        type of its floating arguments.
    """

    def many(*args):
        found, doubt = _each(solve, args)
        if any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(args)):
            return found
        games = doubt.shape[-1]
        few = min(games, max(SMALLEST, games // 32))

        def again(carry):
            found, doubt = carry
            (here,) = jnp.nonzero(doubt, size=few, fill_value=games)
            some = jax.tree.map(lambda x: jnp.take(x, here, axis=-1, mode="clip"), args)
            with jax.enable_x64(True):
                better, _ = _each(solve, jax.tree.map(_doubled, some))
                better = jax.tree.map(lambda new, old: new.astype(old.dtype), better, found)
            put = lambda old, new: old.at[..., here].set(new, mode="drop")
            return jax.tree.map(put, found, better), put(doubt, False)

        return jax.lax.while_loop(lambda carry: carry[1].any(), again, (found, doubt))[0]

    return all_at_once(many)


def _each(solve: Solver, args: tuple) -> tuple[Any, jax.Array]:
    return jax.vmap(solve, in_axes=-1, out_axes=-1)(*args)


def _doubled(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
