"""Nonlinear zero-sum differential games: policy iteration on the Hamilton-Jacobi-Isaacs equation.

dx/dt = f(x) + g(x) u + k(x) d; the controller pays the integral of q(x) + u' R u - gamma^2 d' d,
the disturbance is paid as much. The game's value V solves

    0 = min_u max_d  q + u' R u - gamma^2 d' d + V_x' (f + g u + k d)
    u = -R^-1 g' V_x / 2,   d = k' V_x / (2 gamma^2)

For fixed feedbacks the equation is linear in V. So V is a sum of basis functions, fitted to many
states by least squares, and both feedbacks are renewed from it: Newton's method. Beard & McLain,
1998, Int. J. Control 71; Wu & Luo, 2012, IEEE TNNLS 23; the setting of Vamvoudakis & Lewis, 2012,
IJRNC 22, with the model known.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require

Basis = Callable[[jax.Array], jax.Array]  # x [n] -> [M], all 0 at the origin


class Game(NamedTuple):
    """What is known of the game. Numbers inside may be traced, so a sweep is a `vmap`."""

    drift: Callable[[jax.Array], jax.Array]  # f: x [n] -> [n]
    control_gain: Callable[[jax.Array], jax.Array]  # g: x [n] -> [n, m]
    disturbance_gain: Callable[[jax.Array], jax.Array]  # k: x [n] -> [n, l]; l may be 0
    cost: Callable[[jax.Array], jax.Array]  # q: x [n] -> []
    R: jax.Array  # [m, m], symmetric and positive definite
    gamma: float | jax.Array = jnp.inf  # [], the price of disturbing


class Result(NamedTuple):
    """What `policy_iteration` returns."""

    weights: jax.Array  # [M], V(x) = weights . basis(x)
    residual: jax.Array  # [], root mean square of the equation over the points; 0 if solved there
    changes: jax.Array  # [num_iterations], how far the largest weight moved in each


def policy_iteration(
    game: Game,
    basis: Basis,
    points: jax.Array,
    initial: jax.Array,
    *,
    num_iterations: int = 20,
) -> Result:
    """Returns V's weights after so many evaluations of feedbacks.

    Newton's method converges from feedbacks that keep the system stable; from others it may find
    another solution of the equation, or none: look at the residual and the last change.

    Args:
      game: its functions are of one state.
      basis: of one state; `monomials` makes one.
      points: [P, n], states to fit at, more than M of them; they mark out where V is trusted.
      initial: [M], weights whose feedbacks stabilise; 0 where the system does so by itself.
      num_iterations: at least 1.

    Raises:
      ValueError: naming the argument.
    """
    require(num_iterations >= 1, "num_iterations", "at least 1", num_iterations)
    initial = jnp.asarray(initial, jnp.result_type(float))
    require(initial.ndim == 1, "initial", "a vector of weights", list(initial.shape))
    expected = f"[P, n] with P at least {len(initial)}, as many as weights"
    enough = points.ndim == 2 and len(points) >= len(initial)
    require(enough, "points", expected, list(points.shape))
    size = jax.eval_shape(basis, points[0]).shape
    require(size == initial.shape, "initial", f"shape {list(size)}", list(initial.shape))

    def evaluate(weights, _):
        slopes, costs = jax.vmap(lambda x: _along(game, basis, weights, x))(points)
        renewed = jnp.linalg.lstsq(slopes, -costs)[0]
        return renewed, jnp.max(jnp.abs(renewed - weights))

    weights, changes = jax.lax.scan(evaluate, initial, None, num_iterations)
    errors = jax.vmap(lambda x: residual(game, basis, weights, x))(points)
    return Result(weights, jnp.sqrt(jnp.mean(jnp.square(errors))), changes)


def feedbacks(
    game: Game, basis: Basis, weights: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns u [m] and d [l] in a state x [n]: the saddle point if V is the value."""
    slope = weights @ jax.jacfwd(basis)(x)  # V_x
    control = -jnp.linalg.solve(game.R, game.control_gain(x).T @ slope) / 2
    return control, game.disturbance_gain(x).T @ slope * jnp.square(1 / game.gamma) / 2


def residual(game: Game, basis: Basis, weights: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the left of the Hamilton-Jacobi-Isaacs equation in a state x [n], []."""
    slopes, cost = _along(game, basis, weights, x)
    return slopes @ weights + cost


def _along(game, basis, weights, x):
    """Returns how fast each basis function changes under the feedbacks, [M], and the cost, []."""
    u, d = feedbacks(game, basis, weights, x)
    velocity = game.drift(x) + game.control_gain(x) @ u + game.disturbance_gain(x) @ d
    # no price on nobody: gamma may be infinite, and has a slope there, too
    finite = jnp.isfinite(game.gamma)
    price = jnp.where(finite, jnp.square(jnp.where(finite, game.gamma, 0.0)), 0.0)
    cost = game.cost(x) + u @ game.R @ u - price * (d @ d)
    return jax.jvp(basis, (x,), (velocity,))[1], cost


def monomials(state_size: int, degrees: tuple[int, ...]) -> Basis:
    """Returns the basis of all products of powers of x with these total degrees, in this order.

    Within a degree x1 comes first: degree 2 of two states is (x1^2, x1 x2, x2^2). Even degrees suit
    a value that is the same for x and -x.

    Args:
      state_size: n, at least 1.
      degrees: each at least 1.

    Raises:
      ValueError: naming the argument.
    """
    require(state_size >= 1, "state_size", "at least 1", state_size)
    fits = len(degrees) > 0 and all(degree >= 1 for degree in degrees)
    require(fits, "degrees", "degrees of at least 1", degrees)
    factors = [
        each
        for degree in degrees
        for each in itertools.combinations_with_replacement(range(state_size), degree)
    ]
    powers = [np.bincount(each, minlength=state_size).tolist() for each in factors]

    def basis(x: jax.Array) -> jax.Array:
        each = [[x[i] ** power for i, power in enumerate(row) if power] for row in powers]
        return jnp.stack([jnp.prod(jnp.stack(product)) for product in each])

    return basis


def grid(low: float, high: float, num: int, state_size: int) -> jax.Array:
    """Returns the num^n points [num^n, n] of an even grid over [low, high]^n, borders included."""
    axis = jnp.linspace(low, high, num)
    return jnp.stack(jnp.meshgrid(*[axis] * state_size, indexing="ij"), -1).reshape(-1, state_size)
