"""Published solutions against what the games, played out, really cost.

Riccati and Lyapunov equations are solved by NumPy and SciPy in float64; dynamics and solutions of
the nonlinear games are also recorded as formulas, independently of the library.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_games import (
    cost_matrix,
    coupled_riccati,
    exact_f16_in_double,
    held_exactly,
    in_double,
    riccati,
)

from jaxmarl_core.envs.differential import (
    integrate,
    linear_quadratic_game,
    linear_quadratic_players,
    nonlinear_control,
    nonlinear_zero_sum,
    runge_kutta,
)
from jaxmarl_core.envs.differential.linear_quadratic import F16_A, F16_B, F16_D

REFERENCE = Path(__file__).parents[2] / "reference" / "games" / "differential_games.json"


@pytest.fixture(scope="module")
def recorded():
    return json.loads(REFERENCE.read_text())


@pytest.fixture(scope="module")
def f16():
    A, B, D = (np.array(matrix) for matrix in (F16_A, F16_B, F16_D))
    return A, B, D, riccati(A, B, D, np.eye(3), np.eye(1), 5.0)


# ---- the recorded solutions are solutions


def test_riccati_solver_agrees_with_records(recorded, f16):
    A, B, D, P = f16
    for name, gamma in (("gamma5", 5.0), ("gamma6", 6.0), ("gamma10", 10.0), ("gamma1e+09", 1e9)):
        P = riccati(A, B, D, np.eye(3), np.eye(1), gamma)
        np.testing.assert_allclose(P, recorded[f"f16_{name}"]["P"], rtol=1e-9)


def test_feedbacks_of_the_f16(recorded, variant):
    data = recorded["f16_gamma5"]
    game, P = linear_quadratic_game().game, jnp.asarray(data["P"], jnp.float32)
    x = np.array([0.3, -1.2, 0.7])
    u = variant(lambda x, P: game.equilibrium(x, P))(jnp.asarray(x, jnp.float32), P)
    np.testing.assert_allclose(u, [*(-np.array(data["K"]) @ x), *(np.array(data["L"]) @ x)], 1e-5)
    value = variant(lambda x, P: game.value(x, P))(jnp.asarray(x, jnp.float32), P)
    features = [x[0] ** 2, x[0] * x[1], x[0] * x[2], x[1] ** 2, x[1] * x[2], x[2] ** 2]
    expected = np.dot(data["critic_W"], features)
    np.testing.assert_allclose(value, [expected, -expected], 1e-5)


def test_scalar_games(recorded):
    """One state: P from the root of a quadratic, as recorded."""
    for case in recorded["scalar"]:
        wrap = lambda number: ((float(number),),)
        a, b, d, q, r = (wrap(case[name]) for name in ("a", "b", "d", "q", "r"))
        env = linear_quadratic_game(a, b, d, q, r, gamma=float(case["gamma"]))
        P = riccati(*(np.array(m) for m in (a, b, d, q, r)), case["gamma"])
        np.testing.assert_allclose(P, [[case["P"]]], rtol=1e-9)
        state, _ = env.reset(jax.random.key(0))
        actions = env.optimal_actions(state, jnp.asarray(P, jnp.float32))
        x, gain = float(state.x[0]), case["P"] * case["b"] / case["r"]
        np.testing.assert_allclose(actions["controller"], [[-gain * x]], rtol=1e-5)
        gain = case["P"] * case["d"] / case["gamma"] ** 2
        np.testing.assert_allclose(actions["disturbance"], [[gain * x]], rtol=1e-5)


def formulas(entry, x1, x2, gamma):
    """The recorded formulas at a point, in NumPy."""
    names = {"x1": x1, "x2": x2, "gamma": gamma, "cos": np.cos, "sin": np.sin}
    entry = {name: text for name, text in entry.items() if name != "gamma"}
    return {name: eval(text, {"__builtins__": {}}, names) for name, text in entry.items()}


@pytest.mark.parametrize("gamma", [1.5, 8.0])
def test_nonlinear_game_is_the_recorded_one(recorded, gamma):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        game = in_double(nonlinear_zero_sum(gamma=gamma).game)
        for x, u in zip(rng.uniform(-1.5, 1.5, (5, 2)), rng.normal(size=(5, 2))):
            known = formulas(recorded["nonlinear"], *x, gamma)
            f, g, k = (np.array(known[name]) for name in "fgk")
            np.testing.assert_allclose(game.drift(jnp.asarray(x), u), f + g * u[0] + k * u[1])
            cost = known["Q"] + u[0] ** 2 - gamma**2 * u[1] ** 2
            np.testing.assert_allclose(game.running_cost(x, u), [cost, -cost])
            np.testing.assert_allclose(game.value(x), [known["V"], -known["V"]])
            np.testing.assert_allclose(game.equilibrium(x), [known["u"], known["d"]])


def test_nonlinear_control_is_the_recorded_one(recorded):
    rng = np.random.default_rng(1)
    game = nonlinear_control().game
    with jax.enable_x64(True):
        for x, u in zip(rng.uniform(-1.5, 1.5, (5, 2)), rng.normal(size=(5, 1))):
            known = formulas(recorded["nonlinear_hjb"], *x, None)
            expected = np.array(known["f"]) + np.array(known["g"]) * u
            np.testing.assert_allclose(game.drift(jnp.asarray(x), u), expected)
            np.testing.assert_allclose(game.running_cost(jnp.asarray(x), u), known["Q"] + u**2)
            np.testing.assert_allclose(game.value(jnp.asarray(x)), [known["V"]])


# ---- the Hamilton-Jacobi-Isaacs equation


def games_with_solutions():
    A, B, D = (np.array(matrix) for matrix in (F16_A, F16_B, F16_D))
    P = riccati(A, B, D, np.eye(3), np.eye(1), 5.0)
    return {
        "f16": (exact_f16_in_double(), (jnp.asarray(P),)),
        "nonlinear": (in_double(nonlinear_zero_sum().game), ()),
        "nonlinear, low gamma": (in_double(nonlinear_zero_sum(gamma=0.7).game), ()),
        "control": (nonlinear_control().game, ()),
    }


@pytest.mark.parametrize("name", ["f16", "nonlinear", "nonlinear, low gamma", "control"])
def test_values_solve_the_hamilton_jacobi_isaacs_equation(name):
    """Along a trajectory dV/dt + cost is 0; less if only d deviates, more if only u does."""
    with jax.enable_x64(True):
        game, solution = games_with_solutions()[name]
        value = lambda x: game.value(x, *solution)
        law = lambda x: game.equilibrium(x, *solution)

        def residual(x, u):
            _, along = jax.jvp(value, (x,), (game.drift(x, u),))
            return (along + game.running_cost(x, u))[0]

        residuals = jax.jit(jax.vmap(residual))
        starts = jax.random.uniform(jax.random.key(0), (20, game.state_size), minval=-1, maxval=1)
        move = jax.jit(jax.vmap(lambda x: integrate(game, law, x, 0.3, 20)[0]))
        noise = jax.random.normal(jax.random.key(1), (20, len(law(starts[0]))))
        for x in (starts, move(starts)):
            u = jax.vmap(law)(x)
            np.testing.assert_allclose(residuals(x, u), 0, atol=1e-12)
            assert np.all(residuals(x, u.at[:, 0].add(noise[:, 0])) > 0)
            if u.shape[1] > 1:
                assert np.all(residuals(x, u.at[:, 1].add(noise[:, 1])) < 0)


# ---- what is played costs what is published


def played_cost(env, law, num_starts=12):
    """Starts [B, n], their costs over an episode [B, P], and where it ended [B, n]."""

    def episode(key):
        first, _ = env.reset(key)

        def step(state, _):
            state, timestep = env.step(key, state, law(env, state))
            return state, jnp.concatenate(list(timestep.reward.values()))

        final, reward = jax.lax.scan(step, first, length=env.max_steps)
        return first.x, -reward.sum(0), final.x

    keys = jax.random.split(jax.random.key(5), num_starts)
    return [np.asarray(x) for x in jax.jit(jax.vmap(episode))(keys)]


def test_equilibrium_of_the_f16_costs_what_riccati_says(f16):
    *_, P = f16
    env = linear_quadratic_game(dt=0.02, max_steps=2000)  # the slowest mode decays as exp(-0.15 t)
    law = lambda env, state: env.optimal_actions(state, jnp.asarray(P, jnp.float32))
    x, cost, _ = played_cost(env, law)
    value = np.einsum("bi,ij,bj->b", x, P, x)
    np.testing.assert_allclose(cost[:, 0], value, rtol=1e-3)
    np.testing.assert_array_equal(cost[:, 1], -cost[:, 0])


def test_equilibrium_of_the_nonlinear_game_costs_its_value():
    env = nonlinear_zero_sum(dt=0.01, max_steps=3000)
    law = lambda env, state: env.optimal_actions(state)
    x, cost, final = played_cost(env, law)
    value = x[:, 0] ** 4 / 4 + x[:, 1] ** 2 / 2
    to_come = final[:, 0] ** 4 / 4 + final[:, 1] ** 2 / 2
    np.testing.assert_allclose(cost[:, 0], value - to_come, rtol=1e-3)
    assert np.all(to_come < 0.02 * value + 1e-4)


def test_optimal_control_costs_its_value():
    env = nonlinear_control(dt=0.01, max_steps=1500)
    x, cost, _ = played_cost(env, lambda env, state: env.optimal_actions(state))
    np.testing.assert_allclose(cost[:, 0], x[:, 0] ** 2 / 2 + x[:, 1] ** 2, rtol=1e-3)


def test_nobody_gains_alone_in_the_f16(f16):
    """Linear deviations, played, and what Lyapunov's equation says of them."""
    A, B, D, P = f16
    K, L = B.T @ P, D.T @ P / 25
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        game, x = exact_f16_in_double(), jnp.array([0.8, -0.5, 0.6])
        value = float(game.value(x, jnp.asarray(P))[0])

        @jax.jit
        def cost_of(K, L):
            law = lambda x: jnp.concatenate([-K @ x, L @ x])
            return integrate(game, law, x, 60.0, 3000)[1][0]

        np.testing.assert_allclose(cost_of(K, L), value, rtol=1e-6)
        for _ in range(5):
            for dK, dL, sign in (
                (0.2 * rng.normal(size=K.shape), 0, 1),
                (0, 0.02 * rng.normal(size=L.shape), -1),
            ):
                loop = A - B @ (K + dK) + D @ (L + dL)
                weight = np.eye(3) + (K + dK).T @ (K + dK) - 25 * (L + dL).T @ (L + dL)
                expected = x @ cost_matrix(loop, weight) @ x
                cost = float(cost_of(K + dK, L + dL))
                np.testing.assert_allclose(cost, expected, rtol=1e-4)
                assert sign * (cost - value) > 0


def test_nobody_gains_alone_in_the_nonlinear_game():
    rng = np.random.default_rng(4)
    with jax.enable_x64(True):
        game, x = in_double(nonlinear_zero_sum(gamma=2.0).game), jnp.array([0.7, -0.6])
        value = lambda x: game.value(x)[0]

        @jax.jit
        def cost_of(deviation):
            law = lambda x: game.equilibrium(x) + deviation @ x
            final, cost = integrate(game, law, x, 10.0, 1000)
            return cost[0] + value(final)  # the equilibrium from there on

        np.testing.assert_allclose(cost_of(jnp.zeros((2, 2))), value(x), rtol=1e-8)
        for _ in range(5):
            rows = 0.2 * rng.normal(size=(2, 2))
            assert cost_of(jnp.asarray([rows[0], [0, 0]])) > value(x)
            assert cost_of(jnp.asarray([[0, 0], 0.1 * rows[1]])) < value(x)


# ---- many players


def assert_equilibrium_costs(env, P):
    """Followed at all times, the feedbacks cost x' P_i x; held for dt, nearly.

    Only nearly by dt to the first order: what others do, held, is no optimum of one's own cost.
    """
    with jax.enable_x64(True):
        game = in_double(env.game)
        law = lambda x: game.equilibrium(x, jnp.asarray(P))
        x = jnp.array([0.9, -0.6])[: game.state_size]
        _, cost = jax.jit(lambda x: integrate(game, law, x, 40.0, 2000))(x)
        np.testing.assert_allclose(cost, [x @ each @ x for each in P], rtol=1e-6)
    law = lambda env, state: env.optimal_actions(state, jnp.asarray(P, jnp.float32))
    x, cost, _ = played_cost(env, law)
    np.testing.assert_allclose(cost, np.einsum("bi,pij,bj->bp", x, P, x), rtol=1e-2)


def test_symmetric_players_of_one_state_have_a_closed_form():
    """q + 2 a p - 3 b^2 p^2 / r = 0: own control's price and both players' pull."""
    a, b, q, r = 0.3, 0.8, 1.5, 0.7
    root = np.sqrt(a**2 + 3 * b**2 * q / r)
    p = (a + root) * r / (3 * b**2)
    P = coupled_riccati(np.array([[a]]), [np.array([[b]])] * 2, [np.array([[q]])] * 2,
                        [np.array([[r]])] * 2)  # fmt: skip
    np.testing.assert_allclose(P, p, rtol=1e-9)
    one = ((b,),)
    env = linear_quadratic_players(
        ((a,),), (one, one), (((q,),),) * 2, (((r,),),) * 2, dt=0.02, max_steps=500
    )
    assert_equilibrium_costs(env, P)


def test_equilibrium_of_two_unequal_players():
    env = linear_quadratic_players(dt=0.02, max_steps=1000)
    A, joint = np.asarray(env.game.A, float), np.asarray(env.game.B, float)
    B, Q = [joint[:, :1], joint[:, 1:]], np.asarray(env.game.Q, float)
    R = [np.asarray(env.game.R, float)[i, i : i + 1, i : i + 1] for i in range(2)]
    P = coupled_riccati(A, B, Q, R)
    assert_equilibrium_costs(env, P)

    gains = [np.linalg.solve(R[i], B[i].T @ P[i]) for i in range(2)]
    rng = np.random.default_rng(0)
    for i in range(2):
        for _ in range(5):  # alone, any other linear feedback costs its player more from anywhere
            other = [gain.copy() for gain in gains]
            other[i] += 0.3 * rng.normal(size=gains[i].shape)
            loop = A - sum(b @ gain for b, gain in zip(B, other))
            more = cost_matrix(loop, Q[i] + other[i].T @ R[i] @ other[i]) - P[i]
            assert np.linalg.eigvalsh(more).min() > -1e-9


def test_players_of_several_controls_keep_to_their_own():
    B = (((1.0, 0.0), (0.0, 2.0)), ((3.0,), (4.0,)))
    eye = ((1.0, 0.0), (0.0, 1.0))
    env = linear_quadratic_players(eye, B, (eye, eye), (eye, ((2.0,),)), bound=10.0)
    assert {name: group.action.shape for name, group in env.groups.items()} == {
        "player_0": (2,),
        "player_1": (1,),
    }
    actions = {"player_0": jnp.array([[0.5, -1.0]]), "player_1": jnp.array([[2.0]])}
    u, x = env.joint(actions), jnp.array([1.0, 2.0])
    np.testing.assert_allclose(env.game.drift(x, u), [1 + 0.5 + 6, 2 - 2 + 8])
    np.testing.assert_allclose(env.game.running_cost(x, u), [5 + 1.25, 5 + 8])


# ---- integration


def test_a_step_with_held_controls_is_exact_to_fourth_order():
    x, u, time = np.array([0.4, -0.9, 0.5]), np.array([0.7, -0.3]), 1.6
    A, B = np.array(F16_A), np.concatenate([np.array(F16_B), np.array(F16_D)], 1)
    price = u[0] ** 2 - 25 * u[1] ** 2
    exact_x, exact_cost = held_exactly(A, np.eye(3), price, B @ u, x, time)
    with jax.enable_x64(True):
        game, errors = exact_f16_in_double(), []
        for num_steps in (16, 32, 64):
            seen, cost = integrate(game, lambda x: jnp.asarray(u), jnp.asarray(x), time, num_steps)
            errors.append([np.linalg.norm(seen - exact_x), abs(cost[0] - exact_cost)])
    errors = np.array(errors)
    assert errors[0].max() < 1e-4
    ratio = errors[:-1] / errors[1:]
    assert np.all((ratio > 13) & (ratio < 20)), ratio


@pytest.mark.parametrize("name", ["f16", "nonlinear", "control"])
def test_halving_the_step_leaves_a_sixteenth_of_the_error(name):
    """With the equilibrium's feedback followed at all times: cost is V(start) - V(end)."""
    with jax.enable_x64(True):
        game, solution = games_with_solutions()[name]
        law = lambda x: game.equilibrium(x, *solution)
        x = jnp.array([0.5, -0.7, 0.4])[: game.state_size]
        run = lambda num_steps: integrate(game, law, x, 1.0, num_steps)
        end, _ = run(4096)
        exact = (game.value(x, *solution) - game.value(end, *solution))[0]
        errors = [abs(float(run(num_steps)[1][0] - exact)) for num_steps in (32, 64, 128)]
    assert errors[0] < 1e-4
    ratio = np.array(errors[:-1]) / errors[1:]
    assert np.all((ratio > 13) & (ratio < 20)), ratio


def test_runge_kutta_of_a_rotation(variant):
    turn = lambda y: jnp.stack([-y[1], y[0]])
    y = variant(lambda y: runge_kutta(turn, y, 1.0, 20))(jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(y, [np.cos(1), np.sin(1)], atol=1e-6)
