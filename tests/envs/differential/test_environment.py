"""Differential games as environments: held controls, bounds, first states, mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_games import held_exactly

from jaxmarl_core.envs.differential import (
    linear_quadratic_game,
    linear_quadratic_players,
    nonlinear_control,
    nonlinear_zero_sum,
    zero_sum_costs,
)
from jaxmarl_core.envs.differential.linear_quadratic import F16_A, F16_B, F16_D


def test_a_step_is_the_game_integrated_and_substeps_refine_it():
    actions = {"controller": jnp.array([[0.5]]), "disturbance": jnp.array([[-0.4]])}
    ends = []
    for substeps in (1, 8):
        env = linear_quadratic_game(dt=0.1, substeps=substeps)
        state, _ = env.reset(jax.random.key(0))
        after, timestep = env.step(jax.random.key(1), state, actions)
        B = np.concatenate([np.array(F16_B), np.array(F16_D)], 1)
        u, x = np.array([0.5, -0.4]), np.asarray(state.x, float)
        price = 0.25 - 25 * 0.16
        exact, cost = held_exactly(np.array(F16_A), np.eye(3), price, B @ u, x, 0.1)
        np.testing.assert_allclose(after.x, exact, atol=2e-6)
        np.testing.assert_allclose(timestep.reward["controller"], [-cost], rtol=1e-4)
        np.testing.assert_allclose(timestep.reward["disturbance"], [cost], rtol=1e-4)
        ends.append(after.x)
    np.testing.assert_allclose(*ends, atol=1e-5)


def test_actions_are_cut_at_the_bounds():
    env = linear_quadratic_game(control_bound=0.5, disturbance_bound=0.25)
    assert env.groups["controller"].action.high == 0.5
    assert env.groups["disturbance"].action.low == -0.25
    state, _ = env.reset(jax.random.key(0))

    def play(u, d):
        actions = {"controller": jnp.full((1, 1), u), "disturbance": jnp.full((1, 1), d)}
        return env.step(jax.random.key(1), state, actions)

    (far, far_step), (near, near_step) = play(9.0, -9.0), play(0.5, -0.25)
    np.testing.assert_array_equal(far.x, near.x)
    np.testing.assert_array_equal(far_step.reward["controller"], near_step.reward["controller"])
    np.testing.assert_array_equal(far.control, [0.5, -0.25])


def test_first_states():
    env = nonlinear_zero_sum(initial_mean=(1.0, -2.0), initial_spread=0.5)
    keys = jax.random.split(jax.random.key(0), 500)
    x = np.asarray(jax.vmap(lambda key: env.reset(key)[0].x)(keys))
    assert np.all(np.abs(x - [1, -2]) <= 0.5)
    np.testing.assert_allclose(x.mean(0), [1, -2], atol=0.06)
    np.testing.assert_allclose(x.std(0), 0.5 / np.sqrt(3), rtol=0.1)
    fixed, _ = nonlinear_zero_sum(initial_mean=(1.0, -2.0), initial_spread=0.0).reset(keys[0])
    np.testing.assert_array_equal(fixed.x, [1, -2])


def test_gamma_is_swept():
    env, gammas = linear_quadratic_game(), jnp.array([4.0, 9.0])
    state, _ = env.reset(jax.random.key(0))
    actions = {"controller": jnp.zeros((1, 1)), "disturbance": jnp.ones((1, 1))}

    def paid(gamma):
        game = env.game.replace(**zero_sum_costs(jnp.eye(3), jnp.eye(1), gamma, 1))
        return env.replace(game=game).step(jax.random.key(1), state, actions)[1].reward

    reward = jax.vmap(paid)(gammas)["disturbance"][:, 0]
    np.testing.assert_allclose(reward[0] - reward[1], (81 - 16) * env.dt, rtol=1e-5)


SQUARE = ((1.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (linear_quadratic_game, {"A": ((1.0, 2.0),)}, "A: expected a square matrix"),
        (linear_quadratic_game, {"A": ((1.0, 2.0), (1.0,))}, "A: expected a matrix of finite"),
        (linear_quadratic_game, {"A": (1.0, 2.0)}, "A: expected a matrix"),
        (linear_quadratic_game, {"A": (("a",),)}, "A: expected a matrix"),
        (linear_quadratic_game, {"A": ((float("nan"),),)}, "A: expected a matrix of finite"),
        (linear_quadratic_game, {"B": ((1.0,), (0.0,))}, "B: expected 3 rows, as A, got 2"),
        (linear_quadratic_game, {"D": ((1.0,),)}, "D: expected 3 rows"),
        (linear_quadratic_game, {"Q": SQUARE}, r"Q: expected shape \[3, 3\], got \[2, 2\]"),
        (linear_quadratic_game, {"R": SQUARE}, r"R: expected shape \[1, 1\]"),
        (linear_quadratic_game, {"R": ((-1.0,),)}, "R: expected a positive definite matrix"),
        (
            linear_quadratic_game,
            {"A": SQUARE, "B": SQUARE, "D": SQUARE, "Q": ((1.0, 1.0), (0.0, 1.0))},
            "Q: expected a symmetric matrix",
        ),
        (linear_quadratic_game, {"gamma": 0.0}, "gamma: expected above 0, got 0.0"),
        (linear_quadratic_game, {"dt": 0.0}, "dt: expected above 0, got 0.0"),
        (linear_quadratic_game, {"substeps": 0}, "substeps: expected at least 1, got 0"),
        (linear_quadratic_game, {"max_steps": 0}, "max_steps: expected at least 1"),
        (linear_quadratic_game, {"control_bound": 0.0}, "control_bound: expected above 0"),
        (linear_quadratic_game, {"initial_mean": (1.0,)}, "initial_mean: expected 3 numbers"),
        (linear_quadratic_game, {"initial_spread": -1.0}, "initial_spread: expected at least 0"),
        (linear_quadratic_players, {"Q": (SQUARE,)}, "Q: expected a matrix for each of 2 players"),
        (linear_quadratic_players, {"R": (((1.0,),), ((0.0,),))}, r"R\[1\]: expected a positive"),
        (linear_quadratic_players, {"B": ()}, "B: expected a matrix for each player"),
        (linear_quadratic_players, {"bound": -1.0}, "bound: expected above 0"),
        (nonlinear_zero_sum, {"gamma": -1.0}, "gamma: expected above 0"),
        (nonlinear_zero_sum, {"disturbance_bound": -1.0}, "disturbance_bound: expected above 0"),
        (nonlinear_control, {"control_bound": 0.0}, "control_bound: expected above 0"),
        (nonlinear_control, {"dt": float("inf")}, "dt: expected above 0, got inf"),
    ],
)
def test_mistakes_are_named(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
