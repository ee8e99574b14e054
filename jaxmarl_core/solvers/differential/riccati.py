"""Linear-quadratic games solved by their Riccati equations: continuous, discrete, many players.

dx/dt = A x + B u + D d; the controller pays the integral of x' Q x + u' R u - gamma^2 d' d, the
disturbance is paid as much. If P is the stabilising solution of

    A' P + P A + Q - P S P = 0,   S = B R^-1 B' - gamma^-2 D D'

then x' P x is the game's value, u = -R^-1 B' P x and d = gamma^-2 D' P x its saddle point; Basar &
Bernhard, 1995, "H-infinity optimal control and related minimax design problems". gamma = inf is the
linear-quadratic regulator. Below some gamma there is no such P: a result always says how far it is
from solving the equation and whether it stabilises. Everything runs under `jit` and `vmap`, on any
backend (there is no eigendecomposition of a nonsymmetric matrix). Close to the least gamma half of
the digits are lost, and in float32 a gamma 1e-4 of it too low may pass.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import as_floats, require_shape


class Solution(NamedTuple):
    """A candidate solution, and what to think of it."""

    P: jax.Array  # [n, n], symmetric
    control: jax.Array  # [m, n], K: u = -K x
    disturbance: jax.Array  # [k, n], L: d = L x
    residual: jax.Array  # [], the equation's error in Frobenius norm, relative to its terms
    stabilising: jax.Array  # [] bool, it is a solution, and (u, d) bring every x to 0


class CoupledSolution(NamedTuple):
    """Feedbacks of N players, u_i = -K_i x."""

    P: jax.Array  # [N, n, n], symmetric
    controls: tuple[jax.Array, ...]  # N times [m_i, n], K_i
    residual: jax.Array  # [], the largest of the players'
    stabilising: jax.Array  # [] bool


def hamiltonian(
    A: jax.Array,
    B: jax.Array,
    Q: jax.Array,
    R: jax.Array,
    D: jax.Array | None = None,
    gamma: float | jax.Array = jnp.inf,
    *,
    num_iterations: int = 40,
) -> Solution:
    """Returns the solution from the stable subspace of the game's Hamiltonian matrix.

        H = [A, -S; -Q, -A'],   (sign(H) + I) [I; P] = 0

    The matrix sign function comes from Newton's iteration Z <- (c Z + (c Z)^-1) / 2 with
    c = |det Z|^(-1 / 2n); Roberts, 1980 (1971), Int. J. Control 32; Byers, 1987, Linear Algebra and
    its Applications 85. One Newton step on the equation itself then restores the last digits. Needs
    no initial guess. Where H has eigenvalues on the imaginary axis there is no stabilising
    solution, the iteration wanders, and the residual shows it.

    Args:
      A: [n, n].
      B: [n, m].
      Q: [n, n], symmetric.
      R: [m, m], symmetric and positive definite.
      D: [n, k]; None: nobody disturbs.
      gamma: the price of disturbing, above 0.
      num_iterations: of the sign function; 10 are enough for most.
    """
    A, B, Q, R, D = _arrays(A, B, Q, R, D)
    n = len(A)
    S = _quadratic_term(B, R, D, gamma)
    H = jnp.concatenate([jnp.concatenate([A, -S], 1), jnp.concatenate([-Q, -A.T], 1)])

    def newton(_, Z):
        scale = jnp.exp(-jnp.linalg.slogdet(Z)[1] / (2 * n))
        return (scale * Z + jnp.linalg.inv(Z) / scale) / 2

    shifted = jax.lax.fori_loop(0, num_iterations, newton, H) + jnp.eye(2 * n, dtype=H.dtype)
    # an overdetermined system of rank n, solved by its normal equations
    left, right = shifted[:, n:], shifted[:, :n]
    P = _symmetric(-jnp.linalg.solve(left.T @ left, left.T @ right))
    return _solution(_newton_step(A, Q, S, P), A, B, Q, R, D, gamma)


def newton_kleinman(
    A: jax.Array,
    B: jax.Array,
    Q: jax.Array,
    R: jax.Array,
    D: jax.Array | None = None,
    gamma: float | jax.Array = jnp.inf,
    *,
    initial: jax.Array | None = None,
    num_iterations: int = 20,
) -> Solution:
    """Returns the solution by policy iteration, both players improving at once.

        A_k' P + P A_k + Q + P_k S P_k = 0,   A_k = A - S P_k

    Evaluating the feedbacks of P_k is a Lyapunov equation; its solution is P_{k+1}, which is
    Newton's method. Kleinman, 1968, IEEE TAC 13; with two players Wu & Luo, 2012, IEEE TNNLS 23,
    "Neural network based online simultaneous policy update".

    Args:
      A, B, Q, R, D, gamma: as of `hamiltonian`.
      initial: [n, n] whose feedbacks stabilise; None: 0, fit where A itself is stable.
      num_iterations: at least 1.
    """
    A, B, Q, R, D = _arrays(A, B, Q, R, D)
    S = _quadratic_term(B, R, D, gamma)
    P = _starting_at(initial, A.shape, A.dtype)
    P = jax.lax.fori_loop(0, num_iterations, lambda _, P: _newton_step(A, Q, S, P), P)
    return _solution(P, A, B, Q, R, D, gamma)


def coupled(
    A: jax.Array,
    B: Sequence[jax.Array],
    Q: Sequence[jax.Array],
    R: Sequence[jax.Array],
    *,
    initial: jax.Array | None = None,
    num_iterations: int = 50,
) -> CoupledSolution:
    """Returns feedbacks of an N-player game in which nobody gains by another linear feedback.

        A_c' P_i + P_i A_c + Q_i + P_i S_i P_i = 0
        A_c = A - sum_j S_j P_j,   S_i = B_i R_i^-1 B_i'

    Player i pays the integral of x' Q_i x + u_i' R_i u_i. All A_c and quadratic terms are taken
    from the last round, which leaves a Lyapunov equation per player; Li & Gajic, 1995, "Lyapunov
    iterations for solving coupled algebraic Riccati equations of Nash differential games". There
    may be several equilibria, and it need not converge: look at the residual.

    Args:
      A: [n, n].
      B: N times [n, m_i].
      Q: N times [n, n], symmetric.
      R: N times [m_i, m_i], symmetric and positive definite.
      initial: [N, n, n], together stabilising; None: 0, fit where A itself is stable.
      num_iterations: at least 1.
    """
    require(len(B) == len(Q) == len(R), "B, Q, R", "as many", (len(B), len(Q), len(R)))
    each = [_arrays(A, *players, None) for players in zip(B, Q, R)]
    A, (B, Q, R) = each[0][0], ([arrays[i] for arrays in each] for i in (1, 2, 3))
    weights = jnp.stack(Q)
    S = jnp.stack([b @ jnp.linalg.solve(r, b.T) for b, r in zip(B, R)])
    P = _starting_at(initial, S.shape, A.dtype)

    def closed(P):
        return A - jnp.sum(S @ P, axis=0)

    def round_(_, P):
        return jax.vmap(lyapunov, (None, 0))(closed(P), weights + P @ S @ P)

    P = jax.lax.fori_loop(0, num_iterations, round_, P)
    residual = jnp.max(jax.vmap(_residual, (None, 0, 0, 0))(closed(P), weights, -S, P))
    controls = tuple(jnp.linalg.solve(r, b.T @ p) for b, r, p in zip(B, R, P))
    return CoupledSolution(P, controls, residual, _solved(residual) & _is_stable(closed(P)))


def discrete(
    A: jax.Array,
    B: jax.Array,
    Q: jax.Array,
    R: jax.Array,
    D: jax.Array | None = None,
    gamma: float | jax.Array = jnp.inf,
    *,
    num_iterations: int = 1000,
) -> Solution:
    """Returns the solution for x' = A x + B u + D d in discrete time, by value iteration from 0.

        P = Q + A' P A - A' P G (T + G' P G)^-1 G' P A,   G = [B, D],  T = diag(R, -gamma^2 I)

    Basar & Bernhard, 1995, ch. 3. It is a saddle point only where gamma^2 I - D' P D is positive
    definite, which `stabilising` asks for too.

    Args:
      A, B, Q, R, D: as of `hamiltonian`.
      gamma: finite where there is a D.
      num_iterations: at least 1.
    """
    A, B, Q, R, D = _arrays(A, B, Q, R, D)
    m, k = B.shape[1], D.shape[1]
    G = jnp.concatenate([B, D], 1)
    T = R
    if k:  # without a disturbance gamma may be infinite
        price = jnp.square(jnp.asarray(gamma, A.dtype))
        T = jax.scipy.linalg.block_diag(R, -price * jnp.eye(k, dtype=A.dtype))

    def gains(P):
        return jnp.linalg.solve(T + G.T @ P @ G, G.T @ P @ A)

    def backup(P):
        return _symmetric(Q + A.T @ P @ (A - G @ gains(P)))

    P = jax.lax.fori_loop(0, num_iterations, lambda _, P: backup(P), jnp.zeros_like(A))
    both = gains(P)
    residual = _norm(backup(P) - P) / (_norm(P) + _norm(Q))
    saddle = jnp.bool_(True)
    if k:
        saddle = jnp.all(jnp.linalg.eigvalsh(price * jnp.eye(k, dtype=A.dtype) - D.T @ P @ D) > 0)
    closed = A - G @ both
    # Stein's equation X = A' X A + I has a positive definite solution iff A is stable
    system = jnp.eye(A.size, dtype=A.dtype) - jnp.kron(closed.T, closed.T)
    stein = jnp.linalg.solve(system, jnp.eye(len(A), dtype=A.dtype).reshape(-1))
    stable = jnp.all(jnp.linalg.eigvalsh(_symmetric(stein.reshape(A.shape))) > 0)
    return Solution(P, both[:m], -both[m:], residual, _solved(residual) & saddle & stable)


def lyapunov(A: jax.Array, Q: jax.Array) -> jax.Array:
    """Returns the symmetric X [n, n] of A' X + X A + Q = 0, Q symmetric, as one linear system.

    It has n^2 unknowns: meant for n up to about 20.
    """
    A, Q = as_floats(A, Q)
    require_shape("A", A, (len(A), len(A)))
    require_shape("Q", Q, A.shape)
    eye = jnp.eye(len(A), dtype=A.dtype)
    system = jnp.kron(A.T, eye) + jnp.kron(eye, A.T)
    return _symmetric(jnp.linalg.solve(system, -Q.reshape(-1)).reshape(Q.shape))


def _arrays(A, B, Q, R, D):
    """Returns the game's matrices in floats; a vector would broadcast to another game."""
    dtype = jnp.result_type(float)
    A, B, Q, R = (jnp.asarray(each, dtype) for each in (A, B, Q, R))
    require(A.ndim == 2 and A.shape[0] == A.shape[1], "A", "a square matrix", A.shape)
    n = len(A)
    D = jnp.zeros((n, 0), dtype) if D is None else jnp.asarray(D, dtype)
    require_shape("B", B, (n, None))
    require_shape("Q", Q, (n, n))
    require_shape("R", R, (B.shape[1], B.shape[1]))
    require_shape("D", D, (n, None))
    return A, B, Q, R, D


def _starting_at(initial, shape, dtype):
    """Returns where an iteration begins: 0 if that is not given."""
    if initial is None:
        return jnp.zeros(shape, dtype)
    initial = jnp.asarray(initial, dtype)
    require_shape("initial", initial, shape)
    return initial


def _quadratic_term(B, R, D, gamma):
    # the square of 1 / gamma, not 1 / gamma^2, whose slope at infinity would be no number
    return B @ jnp.linalg.solve(R, B.T) - D @ D.T * jnp.square(1 / jnp.asarray(gamma, D.dtype))


def _newton_step(A, Q, S, P):
    return lyapunov(A - S @ P, Q + P @ S @ P)


def _solution(P, A, B, Q, R, D, gamma):
    S = _quadratic_term(B, R, D, gamma)
    residual = _residual(A, Q, S, P)
    stabilising = _solved(residual) & _is_stable(A - S @ P)
    control, disturbance = (
        jnp.linalg.solve(R, B.T @ P),
        D.T @ P * jnp.square(1 / jnp.asarray(gamma, P.dtype)),
    )
    return Solution(P, control, disturbance, residual, stabilising)


def _residual(A, Q, S, P):
    linear, quadratic = A.T @ P, P @ S @ P
    scale = 2 * _norm(linear) + _norm(Q) + _norm(quadratic)
    return _norm(linear + linear.T + Q - quadratic) / scale


def _solved(residual):
    return residual < jnp.finfo(residual.dtype).eps ** (2 / 3)  # never true of nan


def _is_stable(A):
    """Lyapunov's test: A' X + X A + I = 0 has a positive definite solution."""
    X = lyapunov(A, jnp.eye(len(A), dtype=A.dtype))
    return jnp.all(jnp.linalg.eigvalsh(X) > 0)


def _norm(matrix):
    return jnp.sqrt(jnp.sum(jnp.square(matrix)))


def _symmetric(matrix):
    return (matrix + matrix.T) / 2
