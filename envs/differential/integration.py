"""The classical Runge-Kutta method, and costs integrated along with the state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def runge_kutta(
    slope: Callable[[jax.Array], jax.Array], y: jax.Array, dt: float | jax.Array, num_steps: int
) -> jax.Array:
    """Returns y(dt) of dy/dt = slope(y), y(0) = y, in `num_steps` equal steps of fourth order."""
    h = dt / num_steps

    def step(_, y):
        k_1 = slope(y)
        k_2 = slope(y + h / 2 * k_1)
        k_3 = slope(y + h / 2 * k_2)
        k_4 = slope(y + h * k_3)
        return y + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)

    return jax.lax.fori_loop(0, num_steps, step, y, unroll=num_steps <= 4)


def integrate(
    game: Any,
    law: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    dt: float | jax.Array,
    num_steps: int,
) -> tuple[jax.Array, jax.Array]:
    """Returns (x [n] after dt, the integral [P] of the players' running costs on the way).

    Args:
      game: its `drift` and `running_cost` map (x [n], u [M]) to [n] and [P].
      law: maps x to u; constant where controls are held, a feedback where they follow the state.
      x: [n], the state at first.
      dt: [], time.
      num_steps: Runge-Kutta steps.
    """
    n = x.shape[0]
    start = jnp.concatenate([x, jnp.zeros_like(game.running_cost(x, law(x)))])

    def slope(y):
        u = law(y[:n])
        return jnp.concatenate([game.drift(y[:n], u), game.running_cost(y[:n], u)])

    y = runge_kutta(slope, start, dt, num_steps)
    return y[:n], y[n:]
