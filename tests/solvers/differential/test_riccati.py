"""Riccati equations, against recorded solutions, SciPy and an environment's costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from scipy.linalg import solve_continuous_are, solve_discrete_are

from jaxmarl_core.envs.differential import linear_quadratic
from jaxmarl_core.solvers.differential import riccati

F16 = {
    "A": np.array(linear_quadratic.F16_A),
    "B": np.array(linear_quadratic.F16_B),
    "Q": np.eye(3),
    "R": np.eye(1),
    "D": np.array(linear_quadratic.F16_D),
}
METHODS = {"hamiltonian": riccati.hamiltonian, "newton_kleinman": riccati.newton_kleinman}
LEAST_GAMMA = oracle("differential_games.json")["f16_gamma_star"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-12), (False, 2e-6)])
def test_the_f16_at_four_attenuations(method, x64, tolerance):
    recorded = oracle("differential_games.json")
    gammas = {"5": 5.0, "6": 6.0, "10": 10.0, "1e+09": np.inf}
    with jax.enable_x64(x64):
        solve = jax.jit(jax.vmap(lambda gamma: METHODS[method](**F16, gamma=gamma)))
        solution = jax.device_get(solve(jnp.asarray(list(gammas.values()))))
        assert solution.P.dtype == (np.float64 if x64 else np.float32)
    for row, name in enumerate(gammas):
        truth = recorded[f"f16_gamma{name}"]
        np.testing.assert_allclose(solution.P[row], truth["P"], atol=tolerance)
        np.testing.assert_allclose(solution.control[row], truth["K"], atol=tolerance)
        np.testing.assert_allclose(solution.disturbance[row], truth["L"], atol=tolerance)
        assert solution.stabilising[row] and solution.residual[row] < tolerance


@pytest.mark.parametrize("method", METHODS)
def test_below_the_least_gamma_nothing_is_claimed(method):
    gammas = np.array([0.3, 0.5, 1.0, 2.0, 3.0, 3.4, 0.9999 * LEAST_GAMMA])
    above = LEAST_GAMMA * np.array([1.0001, 1.001, 1.1])
    with jax.enable_x64(True):
        solve = jax.jit(jax.vmap(lambda gamma: METHODS[method](**F16, gamma=gamma)))
        solution = jax.device_get(solve(jnp.asarray(np.concatenate([gammas, above]))))
    np.testing.assert_array_equal(solution.stabilising, [False] * 7 + [True] * 3)
    assert np.all(solution.residual[:7] > 1e-6) and np.all(solution.residual[7:] < 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_scalar_games(method):
    for case in oracle("differential_games.json")["scalar"]:
        a, b, q, r, d = (np.full((1, 1), case[name]) for name in "abqrd")
        options = {"initial": np.full((1, 1), 2.0)} if method == "newton_kleinman" else {}
        solution = METHODS[method](a, b, q, r, d, case["gamma"], **options)
        np.testing.assert_allclose(solution.P, [[case["P"]]], rtol=2e-6)
        assert solution.stabilising


def test_the_regulator_of_an_unstable_system_is_scipys():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(5, 5)), rng.normal(size=(5, 2))
    Q, R = np.diag(rng.uniform(0.5, 2, 5)), np.diag([0.5, 2.0])
    assert np.linalg.eigvals(A).real.max() > 0.5
    with jax.enable_x64(True):
        truth = solve_continuous_are(A, B, Q, R)
        np.testing.assert_allclose(riccati.hamiltonian(A, B, Q, R).P, truth, rtol=1e-9)
        # from feedbacks that do not stabilise, Newton's method may find another solution
        nearby = riccati.newton_kleinman(A, B, Q, R, initial=1.5 * truth)
        assert nearby.stabilising
        np.testing.assert_allclose(nearby.P, truth, rtol=1e-9)
        from_zero = riccati.newton_kleinman(A, B, Q, R)
        assert not from_zero.stabilising or np.allclose(from_zero.P, truth)


def test_a_solution_that_does_not_stabilise_is_no_solution():
    # scalar: 2 a p + q - s p^2 = 0 has two roots; 1 +- sqrt 2, and only the larger one stabilises
    one = np.ones((1, 1))
    lower = riccati.newton_kleinman(one, one, one, one, initial=-one)
    np.testing.assert_allclose(lower.P, [[1 - np.sqrt(2)]], rtol=1e-5)
    assert lower.residual < 1e-5 and not lower.stabilising
    upper = riccati.hamiltonian(one, one, one, one)
    np.testing.assert_allclose(upper.P, [[1 + np.sqrt(2)]], rtol=1e-5)
    assert upper.stabilising
    uncontrolled = riccati.hamiltonian(one, 0 * one, one, one)
    assert not uncontrolled.stabilising


def test_discrete_time():
    with jax.enable_x64(True):
        for case in oracle("differential_games.json")["discrete_lq"][:3]:
            n, m = np.shape(case["B"])
            solution = riccati.discrete(
                case["A"], case["B"], np.eye(n), np.eye(m), case["E"], case["gamma"]
            )
            np.testing.assert_allclose(solution.P, case["P"], atol=1e-10)
            assert solution.stabilising
        A, B = np.array([[1.2, 0.3], [0.0, 0.8]]), np.array([[0.0], [1.0]])
        regulator = riccati.discrete(A, B, np.eye(2), np.eye(1))
        truth = solve_discrete_are(A, B, np.eye(2), np.eye(1))
        np.testing.assert_allclose(regulator.P, truth, rtol=1e-8)
        assert regulator.stabilising
        # disturbing for next to nothing
        cheap = riccati.discrete(A, B, np.eye(2), np.eye(1), np.eye(2), 0.5)
        assert not cheap.stabilising


def test_coupled_players_each_answer_the_others_best():
    env = linear_quadratic.linear_quadratic_players()
    game = env.game
    A, Q = np.asarray(game.A, float), np.asarray(game.Q, float)
    B = [np.asarray(game.B[:, i : i + 1], float) for i in (0, 1)]
    R = [np.asarray(game.R[i, i : i + 1, i : i + 1], float) for i in (0, 1)]
    with jax.enable_x64(True):
        solution = jax.device_get(riccati.coupled(A, B, Q, R))
    assert solution.stabilising and solution.residual < 1e-12
    for i, j in ((0, 1), (1, 0)):
        left = A - B[j] @ np.asarray(solution.controls[j])
        alone = solve_continuous_are(left, B[i], Q[i], R[i])
        np.testing.assert_allclose(solution.P[i], alone, atol=1e-10)
    x = jnp.array([0.7, -1.2])
    controls = game.equilibrium(x, jnp.asarray(solution.P, jnp.float32))
    ours = -np.concatenate([each @ x for each in solution.controls])
    np.testing.assert_allclose(controls, ours, rtol=1e-5)


def test_a_lone_player_is_a_regulator_whatever_its_system():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(3, 3)) - 2 * np.eye(3), rng.normal(size=(3, 2))
    with jax.enable_x64(True):
        solution = riccati.coupled(A, [B], [np.eye(3)], [np.eye(2)])
        truth = solve_continuous_are(A, B, np.eye(3), np.eye(2))
    np.testing.assert_allclose(solution.P[0], truth, rtol=1e-8)


def test_the_value_is_what_the_environment_charges():
    game = linear_quadratic.linear_quadratic_game().game
    solution = riccati.hamiltonian(**F16, gamma=5.0)
    x = jnp.array([1.0, -0.5, 0.3])
    gains = jnp.concatenate([-solution.control, solution.disturbance])
    dt = 0.02

    def rate(state):
        u = gains @ state[:3]
        return jnp.append(game.drift(state[:3], u), game.running_cost(state[:3], u)[0])

    def runge_kutta(state, _):
        a = rate(state)
        b = rate(state + dt / 2 * a)
        c = rate(state + dt / 2 * b)
        d = rate(state + dt * c)
        return state + dt / 6 * (a + 2 * b + 2 * c + d), None

    end, _ = jax.lax.scan(runge_kutta, jnp.append(x, 0.0), None, 3000)
    assert jnp.abs(end[:3]).max() < 1e-3
    np.testing.assert_allclose(end[3], x @ solution.P @ x, rtol=1e-4)
    np.testing.assert_allclose(gains @ x, game.equilibrium(x, solution.P), rtol=1e-5)


def test_lyapunov():
    rng = np.random.default_rng(2)
    A, Q = rng.normal(size=(4, 4)), np.eye(4)
    X = np.asarray(riccati.lyapunov(jnp.asarray(A), jnp.asarray(Q)), float)
    np.testing.assert_allclose(A.T @ X + X @ A, -Q, atol=2e-4)
