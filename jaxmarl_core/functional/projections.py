"""Probability vectors: the nearest one, and what a mixed joint strategy is worth."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import as_float, require_shape


def project(x: jax.Array) -> jax.Array:
    """Returns the probability vector nearest to `x` [A] in the Euclidean norm, [A].

        p(a) = max(x(a) - theta, 0),   theta such that they sum to 1

    Held, Wolfe & Crowder, 1974; Duchi et al., 2008, ICML, figure 1.
    """
    x = as_float(x)
    require_shape("x", x, (None,))
    # the same number taken from all changes nothing, and leaves 1 to be told from what remains
    x = x - jax.lax.stop_gradient(jnp.max(x))
    ordered = jnp.sort(x)[::-1]
    excess = (jnp.cumsum(ordered) - 1) / jnp.arange(1, len(x) + 1)
    # The mass above the threshold is 1 for the largest number of entries still above it.
    count = jnp.sum(ordered > excess)
    return jnp.maximum(x - excess[jnp.maximum(count - 1, 0)], 0.0)


def expectation(pi: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the mean of what is infinite only where it cannot happen, [...].

        sum_a pi(a) x(a),   0 times infinity being 0

    Args:
      pi: [..., A] f32, probabilities.
      x: [..., A] f32.
    """
    return jnp.sum(pi * jnp.where((pi == 0) & jnp.isinf(x), 0, x), axis=-1)


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
    payoffs, num_players = as_float(payoffs), len(strategies)
    require(payoffs.ndim == num_players, "payoffs", f"{num_players} axes", payoffs.shape)
    require(0 <= player < num_players, "player", f"a player below {num_players}", player)
    sizes = payoffs.shape
    for other in reversed(range(num_players)):
        if other != player:
            pi = as_float(strategies[other])
            require_shape(f"strategies[{other}]", pi, (sizes[other],))
            payoffs = jnp.tensordot(payoffs, pi, axes=(other, 0))
    return payoffs
