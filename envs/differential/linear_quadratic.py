"""Linear-quadratic differential games: an F-16 against a disturbance, or many players."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import ArrayLike

from jaxmarl_core.envs.differential.environment import DifferentialGame, differential_game
from jaxmarl_core.errors import require

Matrix = tuple[tuple[float, ...], ...]

# The short-period dynamics of an F-16 with an actuator: Vamvoudakis and Lewis, 2012, Int. J. Robust
# and Nonlinear Control 22. States: angle of attack, pitch rate, elevator; control: the
# elevator's voltage; disturbance: a wind gust on the angle of attack.
F16_A = ((-1.01887, 0.90506, -0.00215), (0.82225, -1.07741, -0.17555), (0.0, 0.0, -1.0))
F16_B = ((0.0,), (0.0,), (1.0,))
F16_D = ((1.0,), (0.0,), (0.0,))


@struct.dataclass
class LinearQuadratic:
    """P players steer dx/dt = A x + B u, u all their controls in a row; player i pays over time

        integral of x' Q_i x + u' R_i u.

    Basar and Olsder, Dynamic Noncooperative Game Theory, ch. 6. Feedbacks of an equilibrium follow
    from its values x' P_i x, where P solves the players' coupled Riccati equations.
    """

    A: jax.Array  # [n, n]
    B: jax.Array  # [n, M], the players' columns side by side
    Q: jax.Array  # [P, n, n], symmetric
    R: jax.Array  # [P, M, M], symmetric; player i's own block is positive definite
    names: tuple[str, ...] = struct.field(pytree_node=False)
    sizes: tuple[int, ...] = struct.field(pytree_node=False)  # controls of each, M in all

    @property
    def state_size(self) -> int:
        """n."""
        return self.A.shape[-1]

    @property
    def players(self) -> dict[str, int]:
        """Name -> number of controls."""
        return dict(zip(self.names, self.sizes))

    def drift(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns dx/dt, [n]."""
        return self.A @ x + self.B @ u

    def running_cost(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """Returns what every player pays per time, [P]."""
        return (self.Q @ x) @ x + (self.R @ u) @ u

    def equilibrium(self, x: jax.Array, P: jax.Array) -> jax.Array:
        """Returns u_i = - R_ii^-1 B_i' P_i x for all players in a row, [M].

        Args:
          x: [n].
          P: [P, n, n]; in a zero-sum game [n, n] stands for (P, -P).
        """
        P = jnp.stack([P, -P]) if jnp.ndim(P) == 2 else P
        controls, first = [], 0
        for i, size in enumerate(self.sizes):
            own = slice(first, first + size)
            pull = self.B[:, own].T @ P[i] @ x
            controls.append(-jnp.linalg.solve(self.R[i, own, own], pull))
            first += size
        return jnp.concatenate(controls)

    def value(self, x: jax.Array, P: jax.Array) -> jax.Array:
        """Returns x' P_i x, [P]; arguments as in `equilibrium`."""
        P = jnp.stack([P, -P]) if jnp.ndim(P) == 2 else P
        return (P @ x) @ x


def zero_sum_costs(
    Q: ArrayLike, R: ArrayLike, gamma: float | jax.Array, num_disturbances: int
) -> dict[str, jax.Array]:
    """Returns {"Q": [2, n, n], "R": [2, M, M]} of x' Q x + u' R u - gamma^2 d' d and its negative.

    For sweeps: `env.replace(game=env.game.replace(**zero_sum_costs(Q, R, gamma, 1)))`.
    """
    Q, R = jnp.asarray(Q, jnp.float32), jnp.asarray(R, jnp.float32)
    attenuation = -(gamma**2) * jnp.eye(num_disturbances)
    joint = jax.scipy.linalg.block_diag(R, attenuation)
    return {"Q": jnp.stack([Q, -Q]), "R": jnp.stack([joint, -joint])}


def linear_quadratic_game(
    A: Matrix = F16_A,
    B: Matrix = F16_B,
    D: Matrix = F16_D,
    Q: Matrix | None = None,
    R: Matrix | None = None,
    *,
    gamma: float = 5.0,
    dt: float = 0.05,
    substeps: int = 1,
    max_steps: int = 200,
    initial_mean: tuple[float, ...] | None = None,
    initial_spread: float = 1.0,
    control_bound: float = 2.0,
    disturbance_bound: float = 1.0,
) -> DifferentialGame:
    """Returns the zero-sum game of a controller against a disturbance; by default the F-16's.

        dx/dt = A x + B u + D d;   the controller pays x' Q x + u' R u - gamma^2 d' d per time,

    the disturbance is paid as much. With P of the Riccati equation A'P + PA + Q - P B R^-1 B' P +
    gamma^-2 P D D' P = 0, u = - R^-1 B' P x and d = gamma^-2 D' P x; the F-16 has a stabilising one
    for gamma above 3.4647. The value is approached as the horizon max_steps dt grows.

    Args:
      A: [n, n], rows of numbers.
      B: [n, controls].
      D: [n, disturbances].
      Q: [n, n], symmetric; None: the identity.
      R: [controls, controls], symmetric and positive definite; None: the identity.
      gamma: the price of disturbing, above 0; a level of attenuation, no discount.
      dt, substeps, max_steps, initial_mean, initial_spread: see `differential_game`.
      control_bound: |u| is cut there, in every coordinate.
      disturbance_bound: |d| likewise. From |x| <= 1 the F-16's equilibrium stays below 0.8 and
        0.13; an unstable A needs an eye on what bounds and horizon allow.

    Raises:
      ValueError: naming the argument.
    """
    a, n = _square("A", A)
    b, d = _matrix("B", B, rows=n), _matrix("D", D, rows=n)
    q = _symmetric("Q", np.eye(n) if Q is None else Q, n)
    r = _symmetric("R", np.eye(b.shape[1]) if R is None else R, b.shape[1])
    _positive_definite("R", r)
    require(0 < gamma < np.inf, "gamma", "above 0", gamma)
    require(control_bound > 0, "control_bound", "above 0", control_bound)
    require(disturbance_bound > 0, "disturbance_bound", "above 0", disturbance_bound)
    game = LinearQuadratic(
        A=jnp.asarray(a),
        B=jnp.asarray(np.concatenate([b, d], 1)),
        **zero_sum_costs(q, r, gamma, d.shape[1]),
        names=("controller", "disturbance"),
        sizes=(b.shape[1], d.shape[1]),
    )
    return differential_game(
        game,
        bounds=(control_bound, disturbance_bound),
        dt=dt,
        substeps=substeps,
        max_steps=max_steps,
        initial_mean=initial_mean,
        initial_spread=initial_spread,
    )


def linear_quadratic_players(
    A: Matrix = ((-1.0, 0.5), (0.0, -0.5)),
    B: tuple[Matrix, ...] = (((1.0,), (0.0,)), ((0.0,), (1.0,))),
    Q: tuple[Matrix, ...] = (((2.0, 0.0), (0.0, 0.0)), ((1.0, 0.0), (0.0, 1.0))),
    R: tuple[Matrix, ...] = (((1.0,),), ((1.0,),)),
    *,
    dt: float = 0.05,
    substeps: int = 1,
    max_steps: int = 200,
    initial_mean: tuple[float, ...] | None = None,
    initial_spread: float = 1.0,
    bound: float = 2.0,
) -> DifferentialGame:
    """Returns a general-sum game: player i steers by B_i u_i and pays x' Q_i x + u_i' R_i u_i.

    Args:
      A: [n, n].
      B: for each player [n, m_i]; as many players as matrices.
      Q: for each player [n, n], symmetric.
      R: for each player [m_i, m_i], symmetric and positive definite.
      dt, substeps, max_steps, initial_mean, initial_spread: see `differential_game`.
      bound: of all players' controls.

    Raises:
      ValueError: naming the argument, with the player's number: "R[1]: ...".
    """
    a, n = _square("A", A)
    num = len(B)
    require(num >= 1, "B", "a matrix for each player", B)
    require(bound > 0, "bound", "above 0", bound)
    for field, given in (("Q", Q), ("R", R)):
        require(len(given) == num, field, f"a matrix for each of {num} players", len(given))
    b = [_matrix(f"B[{i}]", each, rows=n) for i, each in enumerate(B)]
    q = [_symmetric(f"Q[{i}]", each, n) for i, each in enumerate(Q)]
    sizes = tuple(each.shape[1] for each in b)
    joint = np.zeros((num, sum(sizes), sum(sizes)), np.float32)
    for i, (each, size) in enumerate(zip(R, sizes)):
        own = slice(sum(sizes[:i]), sum(sizes[: i + 1]))
        joint[i, own, own] = _symmetric(f"R[{i}]", each, size)
        _positive_definite(f"R[{i}]", joint[i, own, own])
    game = LinearQuadratic(
        A=jnp.asarray(a),
        B=jnp.asarray(np.concatenate(b, 1)),
        Q=jnp.asarray(np.stack(q)),
        R=jnp.asarray(joint),
        names=tuple(f"player_{i}" for i in range(num)),
        sizes=sizes,
    )
    return differential_game(
        game,
        bounds=(bound,) * num,
        dt=dt,
        substeps=substeps,
        max_steps=max_steps,
        initial_mean=initial_mean,
        initial_spread=initial_spread,
    )


def _matrix(field: str, values: Any, rows: int | None = None) -> np.ndarray:
    try:
        matrix = np.asarray(values, np.float32)
    except (TypeError, ValueError):  # rows of different lengths, or no numbers
        matrix = np.zeros(0)
    shaped = matrix.ndim == 2 and matrix.size > 0 and bool(np.isfinite(matrix).all())
    require(shaped, field, "a matrix of finite numbers, rows of equal length", values)
    if rows is not None:
        require(matrix.shape[0] == rows, field, f"{rows} rows, as A", f"{matrix.shape[0]}")
    return matrix


def _square(field: str, values: Any) -> tuple[np.ndarray, int]:
    matrix = _matrix(field, values)
    require(matrix.shape[0] == matrix.shape[1], field, "a square matrix", list(matrix.shape))
    return matrix, len(matrix)


def _symmetric(field: str, values: Any, size: int) -> np.ndarray:
    matrix = _matrix(field, values)
    require(matrix.shape == (size, size), field, f"shape [{size}, {size}]", list(matrix.shape))
    require(np.allclose(matrix, matrix.T), field, "a symmetric matrix", values)
    return matrix


def _positive_definite(field: str, matrix: np.ndarray) -> None:
    least = np.linalg.eigvalsh(matrix).min()
    require(least > 0, field, "a positive definite matrix", f"an eigenvalue of {least:g}")
