"""Probability vectors: the nearest one, and what a mixed joint strategy is worth."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def project(x: jax.Array) -> jax.Array:
    """Returns the probability vector nearest to `x` [A] in the Euclidean norm, [A].

        p(a) = max(x(a) - theta, 0),   theta such that they sum to 1

    Held, Wolfe & Crowder, 1974; Duchi et al., 2008, ICML, figure 1.
    """
    ordered = jnp.sort(x)[::-1]
    excess = (jnp.cumsum(ordered) - 1) / jnp.arange(1, len(x) + 1)
    # The mass above the threshold is 1 for the largest number of entries still above it.
    count = jnp.sum(ordered > excess)
    return jnp.maximum(x - excess[jnp.maximum(count - 1, 0)], 0.0)


def action_payoffs(payoffs: jax.Array, strategies: Sequence[jax.Array], player: int) -> jax.Array:
    """Returns what each action of a player is worth against the others' mixed strategies.

        u(a_i) = sum over a_-i of u_i(a) prod_j pi_j(a_j)

    Args:
      payoffs: [A_1, ..., A_N] f32, to this player.
      strategies: N times [A_j]; the player's own is not used.
      player: its number, static.

    Returns:
      [A_i] f32.
    """
    for other in reversed(range(len(strategies))):
        if other != player:
            payoffs = jnp.tensordot(payoffs, strategies[other], axes=(other, 0))
    return payoffs
