"""A second look in double precision, at the few games that single precision may have lost.

Some games are ill-conditioned: their equilibria are few and all but a point, and the rounding of
their payoffs' sums alone moves the best one, or leaves none. What is cheap in single precision for
a million games is therefore done once more for those in doubt, from the payoffs as given.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.solvers.normal_form.lanes import SMALLEST, all_at_once

Solver = Callable[..., tuple[Any, jax.Array]]
SHARE = 1024  # of the games, one in so many is solved again at a time


def look_twice(solve: Solver, *args: Any, **options: Any) -> Any:
    """Returns what a solver of one game finds, in double precision if single is not enough.

    Compiled once for every shape and choice of options, outside of `jit`, too.

    Args:
      solve: as of `doubled_where_doubtful`, a function of a module: what is compiled is kept by it.
      args: the arrays of one game, the payoffs first.
      options: what else `solve` is to be told, static, hashable.
    """
    return _compiled(solve, tuple(sorted(options.items())), args)


@partial(jax.jit, static_argnums=(0, 1))
def _compiled(solve: Solver, options: tuple[tuple[str, Any], ...], args: tuple) -> Any:
    return doubled_where_doubtful(partial(solve, **dict(options)))(*args)


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
    again = all_at_once(partial(_again, jax.vmap(solve)), axis=0)

    def one(*args):
        if any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(args)):
            return solve(*args)[0]
        if jnp.issubdtype(args[0].dtype, jnp.integer):
            return _in_double(solve, args)
        # by itself, so that masks which all games share stay single, and cost nothing
        found, doubt = solve(*args)
        return again(found, doubt, *args)

    return one


def _again(solve: Solver, found: Any, doubt: jax.Array, *args: Any) -> Any:
    """Returns what was found, the doubtful ones solved in double precision; all lead with games."""
    games = len(doubt)
    few = min(games, max(SMALLEST, games // SHARE))

    def step(carry):
        found, doubt = carry
        marked, here = jax.lax.top_k(doubt.astype(jnp.float32), few)  # the first ones
        here = jnp.where(marked > 0, here, games)
        some = jax.tree.map(lambda x: jnp.take(x, here, axis=0, mode="clip"), args)
        put = lambda old, new: old.at[here].set(new, mode="drop")
        return jax.tree.map(put, found, _in_double(solve, some)), put(doubt, False)

    return jax.lax.while_loop(lambda carry: carry[1].any(), step, (found, doubt))[0]


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
