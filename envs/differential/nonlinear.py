"""Nonlinear differential games with known solutions: one zero-sum, one of a lone controller.

Both were built backwards, from a value function to a cost, to measure learners that approximate
the Hamilton-Jacobi equation's solution. The input reaches the second state by g(x1) = cos 2 x1 + 2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.differential.environment import DifferentialGame, differential_game
from jaxmarl_core.errors import require


@struct.dataclass
class NonlinearZeroSum:
    """A controller u against a disturbance d; Vamvoudakis and Lewis, 2012, IJRNC 22.

        dx1/dt = -x1 + x2
        dx2/dt = -x1^3 - x2^3 + x2 g^2 / 4 - x2 k^2 / (4 gamma^2) + g u + k d
        g = cos 2 x1 + 2,   k = sin 4 x1 + 2

    The controller pays x1^4 + x2^4 + u^2 - gamma^2 d^2 per time, the disturbance is paid as much.
    Then V = x1^4 / 4 + x2^2 / 2 solves the Hamilton-Jacobi-Isaacs equation for every gamma, which
    it would not with a state cost of x'x.
    """

    gamma: float | jax.Array  # [], above 0: the price of disturbing

    state_size = 2
    players = {"controller": 1, "disturbance": 1}  # noqa: RUF012 - a constant, never written to

    def drift(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns dx/dt, [2], for u = (control, disturbance)."""
        x1, x2 = x
        g, k = _control_gain(x1), _disturbance_gain(x1)
        own = -(x1**3) - x2**3 + x2 * (g**2 - k**2 / self.gamma**2) / 4
        return jnp.stack([-x1 + x2, own + g * u[0] + k * u[1]])

    def running_cost(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns what controller and disturbance pay per time, [2]."""
        cost = x[0] ** 4 + x[1] ** 4 + u[0] ** 2 - self.gamma**2 * u[1] ** 2
        return jnp.stack([cost, -cost])

    def equilibrium(self, x: jax.Array) -> jax.Array:
        """Returns u = -g x2 / 2 and d = k x2 / (2 gamma^2), [2]."""
        control = -_control_gain(x[0]) * x[1] / 2
        return jnp.stack([control, _disturbance_gain(x[0]) * x[1] / (2 * self.gamma**2)])

    def value(self, x: jax.Array) -> jax.Array:
        """Returns (V, -V), [2], V = x1^4 / 4 + x2^2 / 2."""
        value = x[0] ** 4 / 4 + x[1] ** 2 / 2
        return jnp.stack([value, -value])


@struct.dataclass
class NonlinearControl:
    """A lone controller u; Vamvoudakis and Lewis, 2010, Automatica 46.

        dx1/dt = -x1 + x2
        dx2/dt = -x1 / 2 - x2 (1 - g^2) / 2 + g u,   g = cos 2 x1 + 2

    It pays x1^2 + x2^2 + u^2 per time; V = x1^2 / 2 + x2^2 solves the Hamilton-Jacobi-Bellman
    equation. Left alone the system may run away.
    """

    state_size = 2
    players = {"controller": 1}  # noqa: RUF012 - a constant, never written to

    def drift(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns dx/dt, [2]."""
        x1, x2 = x
        g = _control_gain(x1)
        return jnp.stack([-x1 + x2, -x1 / 2 - x2 * (1 - g**2) / 2 + g * u[0]])

    def running_cost(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns what the controller pays per time, [1]."""
        return x[:1] ** 2 + x[1:] ** 2 + u**2

    def equilibrium(self, x: jax.Array) -> jax.Array:
        """Returns the optimal control u = -g x2, [1]."""
        return -_control_gain(x[:1]) * x[1:]

    def value(self, x: jax.Array) -> jax.Array:
        """Returns V = x1^2 / 2 + x2^2, [1]."""
        return x[:1] ** 2 / 2 + x[1:] ** 2


def _control_gain(x1: jax.Array) -> jax.Array:
    return jnp.cos(2 * x1) + 2


def _disturbance_gain(x1: jax.Array) -> jax.Array:
    return jnp.sin(4 * x1) + 2


def nonlinear_zero_sum(
    *,
    gamma: float = 8.0,
    dt: float = 0.05,
    substeps: int = 2,
    max_steps: int = 200,
    initial_mean: tuple[float, ...] | None = None,
    initial_spread: float = 1.0,
    control_bound: float = 2.0,
    disturbance_bound: float = 1.0,
) -> DifferentialGame:
    """Returns the nonlinear zero-sum game, see `NonlinearZeroSum`.

    Args:
      gamma: the price of disturbing, above 0; a level of attenuation, no discount. It is part of
        the dynamics too, so that V is the same for all.
      dt, substeps, max_steps, initial_mean, initial_spread: see `differential_game`.
      control_bound: |u| is cut there; from |x| <= 1 the equilibrium stays below 1.5.
      disturbance_bound: |d| likewise; below 0.03 with gamma 8.

    Raises:
      ValueError: naming the argument.
    """
    require(0 < gamma < np.inf, "gamma", "above 0", gamma)
    require(control_bound > 0, "control_bound", "above 0", control_bound)
    require(disturbance_bound > 0, "disturbance_bound", "above 0", disturbance_bound)
    return differential_game(
        NonlinearZeroSum(gamma=gamma),
        bounds=(control_bound, disturbance_bound),
        dt=dt,
        substeps=substeps,
        max_steps=max_steps,
        initial_mean=initial_mean,
        initial_spread=initial_spread,
    )


def nonlinear_control(
    *,
    dt: float = 0.05,
    substeps: int = 2,
    max_steps: int = 100,
    initial_mean: tuple[float, ...] | None = None,
    initial_spread: float = 1.0,
    control_bound: float = 10.0,
) -> DifferentialGame:
    """Returns the nonlinear control problem, see `NonlinearControl`.

    Args:
      dt, substeps, max_steps, initial_mean, initial_spread: see `differential_game`.
      control_bound: |u| is cut there; from |x| <= 1 the optimal control stays below 3.

    Raises:
      ValueError: naming the argument.
    """
    require(control_bound > 0, "control_bound", "above 0", control_bound)
    return differential_game(
        NonlinearControl(),
        bounds=(control_bound,),
        dt=dt,
        substeps=substeps,
        max_steps=max_steps,
        initial_mean=initial_mean,
        initial_spread=initial_spread,
    )
