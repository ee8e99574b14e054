"""Policy iteration for the Hamilton-Jacobi-Isaacs equation, against values known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle

from jaxmarl_core.envs.differential import linear_quadratic, nonlinear
from jaxmarl_core.solvers.differential import hji, riccati

POINTS = hji.grid(-1.0, 1.0, 15, 2)
QUARTIC = hji.monomials(2, (2, 4))
BOWL = jnp.zeros(8).at[jnp.array([0, 2])].set(1.0)  # x1^2 + x2^2: its feedbacks stabilise


def solvable(env_game, gamma):
    """The game of an environment, whose dynamics are affine in the controls."""
    idle = jnp.zeros(sum(env_game.players.values()))

    def gains(x):
        return jax.jacfwd(env_game.drift, argnums=1)(x, idle)

    return hji.Game(
        drift=lambda x: env_game.drift(x, idle),
        control_gain=lambda x: gains(x)[:, :1],
        disturbance_gain=lambda x: gains(x)[:, 1:],
        cost=lambda x: env_game.running_cost(x, idle)[0],
        R=jnp.eye(1),
        gamma=gamma,
    )


def test_the_zero_sum_benchmark_for_several_prices():
    def solve(gamma):
        game = solvable(nonlinear.NonlinearZeroSum(gamma=gamma), gamma)
        result = hji.policy_iteration(game, QUARTIC, POINTS, BOWL, num_iterations=10)
        at = jnp.array([0.6, -0.8])
        return result, hji.feedbacks(game, QUARTIC, result.weights, at)

    gammas = jnp.array([2.0, 8.0, 20.0])
    result, (u, d) = jax.jit(jax.vmap(solve))(gammas)
    # V = x1^4 / 4 + x2^2 / 2 whatever the price
    truth = np.zeros(8)
    truth[2], truth[3] = 0.5, 0.25
    np.testing.assert_allclose(result.weights, np.tile(truth, (3, 1)), atol=2e-5)
    assert np.all(result.residual < 1e-4) and np.all(result.changes[:, 0] > 0.4)
    assert np.all(result.changes[:, -1] < 1e-4)
    np.testing.assert_allclose(u[:, 0], -(np.cos(1.2) + 2) * -0.8 / 2, rtol=1e-3)
    np.testing.assert_allclose(
        d[:, 0], (np.sin(2.4) + 2) * -0.8 / (2 * np.square(gammas)), rtol=1e-3
    )


def test_in_float64_to_all_digits():
    with jax.enable_x64(True):
        game = solvable(nonlinear.NonlinearZeroSum(gamma=8.0), 8.0)
        points = hji.grid(-1.0, 1.0, 15, 2)
        result = hji.policy_iteration(game, QUARTIC, points, BOWL.astype(float), num_iterations=8)
        result = jax.device_get(result)
        assert result.weights.dtype == np.float64
    np.testing.assert_allclose(result.weights[2:4], [0.5, 0.25], rtol=1e-12)
    assert result.residual < 1e-12


@pytest.mark.slow
def test_a_basis_without_the_value_comes_within_one_per_cent():
    game = solvable(nonlinear.NonlinearZeroSum(gamma=8.0), 8.0)
    errors = []
    for degrees in ((2, 4), (2, 4, 6), (2, 4, 6, 8)):
        powers = hji.monomials(2, degrees)
        basis = lambda x, powers=powers: powers(jnp.sin(x))
        size = len(basis(jnp.zeros(2)))
        initial = jnp.zeros(size).at[jnp.array([0, 2])].set(1.0)
        result = hji.policy_iteration(game, basis, POINTS, initial, num_iterations=8)
        value = jax.vmap(basis)(POINTS) @ result.weights
        truth = POINTS[:, 0] ** 4 / 4 + POINTS[:, 1] ** 2 / 2
        errors.append(float(jnp.abs(value - truth).max() / truth.max()))
        assert result.residual > 1e-3  # and it says that it does not solve the equation
    assert errors[2] < 0.01 < errors[1] < errors[0]


def test_a_lone_controller():
    game = solvable(nonlinear.NonlinearControl(), jnp.inf)
    result = hji.policy_iteration(game, QUARTIC, POINTS, 2 * BOWL, num_iterations=10)
    truth = np.array([0.5, 0, 1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(result.weights, truth, atol=5e-5)


def test_the_f16_is_its_riccati_equation():
    env_game = linear_quadratic.linear_quadratic_game().game
    basis = hji.monomials(3, (2,))
    result = hji.policy_iteration(
        solvable(env_game, 5.0), basis, hji.grid(-1.0, 1.0, 5, 3), jnp.zeros(6)
    )
    weights = oracle("differential_games.json")["f16_gamma5"]["critic_W"]
    np.testing.assert_allclose(result.weights, weights, atol=1e-4)
    P = riccati.newton_kleinman(
        env_game.A, env_game.B[:, :1], jnp.eye(3), jnp.eye(1), env_game.B[:, 1:], 5.0
    ).P
    x = jnp.array([0.3, 1.0, -0.4])
    np.testing.assert_allclose(basis(x) @ result.weights, x @ P @ x, rtol=1e-4)


def test_monomials():
    basis = hji.monomials(2, (2, 3))
    np.testing.assert_allclose(basis(jnp.array([2.0, 3.0])), [4, 6, 9, 8, 12, 18, 27])
    slopes = jax.jacfwd(basis)(jnp.zeros(2))
    np.testing.assert_array_equal(slopes, np.zeros((7, 2)))  # no nan at the origin
    assert hji.grid(-1.0, 1.0, 3, 2).tolist()[:2] == [[-1, -1], [-1, 0]]


def test_mistakes_are_named():
    game = solvable(nonlinear.NonlinearZeroSum(gamma=8.0), 8.0)
    with pytest.raises(ValueError, match="num_iterations: expected at least 1"):
        hji.policy_iteration(game, QUARTIC, POINTS, BOWL, num_iterations=0)
    with pytest.raises(ValueError, match=r"initial: expected shape \[8\], got \[7\]"):
        hji.policy_iteration(game, QUARTIC, POINTS, BOWL[:7])
    with pytest.raises(ValueError, match=r"points: expected .* at least 8"):
        hji.policy_iteration(game, QUARTIC, POINTS[:7], BOWL)
    with pytest.raises(ValueError, match="degrees: expected"):
        hji.monomials(2, (0, 2))
    with pytest.raises(ValueError, match="state_size: expected"):
        hji.monomials(0, (2,))
