"""Differential games in double, solved and integrated by NumPy and SciPy, beside the library."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

from jaxmarl_core.envs.differential import linear_quadratic_game
from jaxmarl_core.envs.differential.linear_quadratic import F16_A, F16_B, F16_D


def riccati(A, B, D, Q, R, gamma):
    """P of A'P + PA + Q - P (B R^-1 B' - D D' / gamma^2) P = 0 that stabilises.

    Spanned by the eigenvectors of the Hamiltonian matrix with negative real parts.
    """
    S = B @ np.linalg.solve(R, B.T) - D @ D.T / gamma**2
    values, vectors = np.linalg.eig(np.block([[A, -S], [-Q, -A.T]]))
    stable = vectors[:, values.real < 0]
    n = len(A)
    return np.real(stable[n:] @ np.linalg.inv(stable[:n]))


def coupled_riccati(A, B, Q, R, num_rounds=200):
    """P_i of a feedback Nash equilibrium: every player's best response in turn, till none moves."""
    P = [np.zeros_like(A) for _ in B]
    for _ in range(num_rounds):
        for i in range(len(B)):
            others = [j for j in range(len(B)) if j != i]
            loop = A - sum(B[j] @ np.linalg.solve(R[j], B[j].T @ P[j]) for j in others)
            nothing = np.zeros((len(A), 1))
            P[i] = riccati(loop, B[i], nothing, Q[i], R[i], 1.0)
    return np.stack(P)


def held_feedback(A, B, Q, R, dt, discount, num_rounds=2000):
    """K_i of a feedback equilibrium u_i = K_i x of players who hold their controls for dt.

    A step's cost is z' S_i z with z = (x, u), and the next x is F z, both by Van Loan's matrix
    exponential; values are discounted by so much a step. Every player's best response in turn.
    """
    n, sizes = len(A), [b.shape[1] for b in B]
    size, ends = n + sum(sizes), n + np.cumsum(sizes)
    flow = np.zeros((size, size))
    flow[:n, :n], flow[:n, n:] = A, np.concatenate(B, 1)
    F, S, own = expm(flow * dt)[:n], [], []
    for q, r, end in zip(Q, R, ends):
        own.append(slice(end - len(r), end))
        weight = np.zeros((size, size))
        weight[:n, :n], weight[own[-1], own[-1]] = q, r
        both = expm(np.block([[-flow.T, weight], [np.zeros((size, size)), flow]]) * dt)
        S.append(both[size:, size:].T @ both[:size, size:])
    K, P = [np.zeros((m, n)) for m in sizes], [np.zeros((n, n)) for _ in B]
    for _ in range(num_rounds):
        for i, mine in enumerate(own):
            H = S[i] + discount * F.T @ P[i] @ F
            rest = np.concatenate([np.eye(n), *K])
            rest[mine] = 0
            K[i] = -np.linalg.solve(H[mine, mine], (H @ rest)[mine])
            z = np.concatenate([np.eye(n), *K])
            P[i] = z.T @ H @ z
    return K


def cost_matrix(loop, weight):
    """S with x'Sx the integral of x' weight x along dx/dt = loop x, from now to ever."""
    return solve_continuous_lyapunov(loop.T, -weight)


def in_double(game):
    """The game with its numbers in float64; call it with x64 on."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), game)


def exact_f16_in_double():
    """The F-16's game with its published decimals in float64."""
    game = in_double(linear_quadratic_game().game)
    B = np.concatenate([np.array(F16_B), np.array(F16_D)], 1)
    return game.replace(A=jnp.asarray(np.array(F16_A)), B=jnp.asarray(B))


def held_exactly(A, weight, control_cost, force, x, time):
    """x(t) and cost of dx/dt = A x + force under held controls, by a matrix exponential.

    (x, 1) moves linearly, and so do its pairwise products, one of which sums is the cost.
    """
    n = len(A)
    grown = np.zeros((n + 1, n + 1))
    grown[:n, :n], grown[:n, n] = A, force
    eye = np.eye(n + 1)
    pairs = np.kron(grown, eye) + np.kron(eye, grown)
    weights = np.zeros((n + 1, n + 1))
    weights[:n, :n], weights[n, n] = weight, control_cost
    whole = np.zeros((len(pairs) + 1,) * 2)
    whole[:-1, :-1], whole[-1, :-1] = pairs, weights.reshape(-1)
    y = np.append(x, 1.0)
    moved = expm(whole * time) @ np.append(np.kron(y, y), 0.0)
    return (expm(grown * time) @ y)[:n], moved[-1]
