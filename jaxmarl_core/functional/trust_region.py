"""A step that is as long as a divergence allows: conjugate gradient and line search.

    maximise  g' x   such that   x' F x / 2 <= delta

has the solution sqrt(2 delta / g' F^-1 g) F^-1 g, the natural gradient's direction (Kakade, 2002).
F is the Fisher matrix, the second derivative of the mean divergence, and only its products with
vectors are needed. Schulman et al., 2015, arXiv:1502.05477, appendix C.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

Vector = jax.Array  # [P] f32


def fisher_vector_product(
    divergence: Callable[[Vector], jax.Array], at: Vector, damping: jax.Array | float = 0.0
) -> Callable[[Vector], Vector]:
    """Returns the product with the second derivative of a divergence, plus damping times identity.

    Args:
      divergence: maps parameters [P] to [], with its minimum 0 at `at`, such as a mean KL.
      at: [P] f32.
      damping: [] f32 >= 0.
    """
    # Reverse over reverse: a recurrent network's derivative has no forward mode (networks.py).
    slope = jax.grad(divergence)

    def product(vector):
        along = jax.grad(lambda x: jnp.vdot(slope(x), vector))
        return along(at) + damping * vector

    return product


def conjugate_gradient(
    product: Callable[[Vector], Vector],
    target: Vector,
    num_iterations: int = 10,
    tol: float = 1e-10,
) -> Vector:
    """Returns x with product(x) = target, nearly.

    Args:
      product: with a symmetric positive definite matrix.
      target: [P] f32.
      num_iterations: at most so many, static; P of them are exact but for rounding.
      tol: where the squared residual falls below this share of the squared target, x stays.
    """
    enough = tol * jnp.vdot(target, target)

    def iterate(_, carry):
        x, residual, direction, square = carry
        image = product(direction)
        step = square / jnp.maximum(jnp.vdot(direction, image), 1e-30)
        after = residual - step * image
        new_square = jnp.vdot(after, after)
        moved = (
            x + step * direction,
            after,
            after + new_square / jnp.maximum(square, 1e-30) * direction,
            new_square,
        )
        return jax.tree.map(lambda new, old: jnp.where(square < enough, old, new), moved, carry)

    start = (jnp.zeros_like(target), target, target, jnp.vdot(target, target))
    return jax.lax.fori_loop(0, num_iterations, iterate, start)[0]


class Accepted(NamedTuple):
    """What the line search found; where nothing was accepted all is as before."""

    params: Any
    accepted: jax.Array  # [] bool
    divergence: jax.Array  # [] f32
    gain: jax.Array  # [] f32, of the objective
    share: jax.Array  # [] f32, of the full step; 0 if none
    grad_norm: jax.Array  # [] f32, of the objective's slope at the start


def trust_region_step(
    objective: Callable[[Any], jax.Array],
    divergence: Callable[[Any], jax.Array],
    params: Any,
    delta: jax.Array | float,
    *,
    damping: jax.Array | float = 0.1,
    num_iterations: int = 10,
    num_tries: int = 10,
    shrink: float = 0.8,
    accept_ratio: float = 0.5,
) -> Accepted:
    """Returns the parameters after one natural-gradient step within a trust region.

    The full step is shortened until the divergence stays below delta, the objective grows, and
    grows by at least a share of what its slope promises. The step has a derivative, its length
    taken as it is; its gain and divergence have none in reverse mode, and JAX says so: the search
    has no fixed number of tries.

    Args:
      objective: maps parameters to [], to be maximised.
      divergence: maps parameters to [], 0 and minimal at `params`.
      params: any pytree of f32.
      delta: [] f32 > 0, the most that `divergence` may be.
      damping: [] f32, added to the Fisher matrix's diagonal.
      num_iterations: of the conjugate gradient.
      num_tries: lengths tried, static.
      shrink: from one length to the next.
      accept_ratio: that share.
    """
    flat, unravel = ravel_pytree(params)
    value, slope = jax.value_and_grad(lambda x: objective(unravel(x)))(flat)
    product = fisher_vector_product(lambda x: divergence(unravel(x)), flat, damping)
    direction = conjugate_gradient(product, slope, num_iterations)
    curvature = jnp.vdot(direction, product(direction))
    full = jnp.sqrt(2 * delta / jnp.maximum(curvature, 1e-30)) * direction
    promised = jnp.vdot(slope, full)

    def attempt(index):
        share = shrink ** index.astype(flat.dtype)
        there = unravel(flat + share * full)
        gain, kl = objective(there) - value, divergence(there).astype(value.dtype)
        good = (kl < delta) & (gain > 0) & (gain > accept_ratio * share * promised)
        return good, gain, kl, share

    def searching(carry):
        index, good, *_ = carry
        return ~good & (index < num_tries)

    def search(carry):
        index = carry[0]
        return (index + 1, *attempt(index))

    zero = jnp.zeros((), value.dtype)  # which may be of more precision than the parameters
    start = (jnp.int32(0), jnp.bool_(False), zero, zero, jnp.zeros((), flat.dtype))
    _, good, gain, kl, share = jax.lax.while_loop(searching, search, start)
    share = jnp.where(good, share, 0.0)
    chosen = jnp.where(good, flat + share * full, flat)  # where: no product with what is no number
    kl, gain = (jnp.where(good, x, 0.0) for x in (kl, gain))
    return Accepted(unravel(chosen), good, kl, gain, share, jnp.sqrt(jnp.vdot(slope, slope)))
