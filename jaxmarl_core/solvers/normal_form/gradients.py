"""What is differentiated through a solver: the value of a zero-sum game, and nothing else.

A silent zero would be wrong, and so an error says that there is no derivative, as soon as one is
asked for: when the program that takes it is traced.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def without_gradient(solver: str, payoffs: jax.Array, found: Any) -> Any:
    """Returns what a solver found, which must not be differentiated.

    Args:
      solver: its name, for the error.
      payoffs: what it was given.
      found: a pytree.

    Raises:
      TypeError: where a derivative of `found` by `payoffs` is asked for.
    """
    return _barrier(solver, payoffs, found)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _barrier(solver, payoffs, found):
    return found


def _forward(solver, payoffs, found):
    return found, None


def _backward(solver, _, cotangents):
    raise TypeError(
        f"{solver}: what it returns has no derivative by the payoffs; apply jax.lax.stop_gradient "
        "to them, or differentiate the value of zero_sum"
    )


_barrier.defvjp(_forward, _backward)


@jax.custom_jvp
def envelope(payoff: jax.Array, value: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Returns the value of a zero-sum game, its derivative by the payoffs being `row column'`.

    To first order strategies that change with the payoffs change nothing: none is worth more.
    Where several equilibria are possible it is the subgradient of the one that was found.

    Args:
      payoff: [A, B] f32; value: [] f32; row: [A] f32; column: [B] f32.
    """
    return value


@envelope.defjvp
def _envelope_jvp(primals, tangents):
    _, value, row, column = primals
    chance = row[:, None] * column
    change = jnp.where(chance > 0, chance * tangents[0], 0)  # a forbidden action's may be no number
    return value, jnp.sum(change).astype(value.dtype)
