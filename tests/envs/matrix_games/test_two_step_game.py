"""QMIX's two-step game: its tables, and the values the paper's table 1 and 2 rest on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.matrix_games.two_step_game import two_step_game
from jaxmarl_core.solvers.markov_games import backup, markov_game

KEY = jax.random.key(0)


@pytest.mark.parametrize("first", [0, 1])
def test_every_joint_action_pays_its_entry(first):
    env = two_step_game()
    step = jax.jit(env.step)
    tables = [[[7, 7], [7, 7]], [[0, 1], [1, 8]]]
    for second in (0, 1):  # of agent 1, in the first step: without effect
        state, _ = env.reset(KEY)
        state, chosen = step(KEY, state, {"agents": jnp.array([first, second])})
        assert not chosen.last
        np.testing.assert_array_equal(chosen.observation["agents"], [1 + first] * 2)
        np.testing.assert_array_equal(chosen.reward["agents"], [0, 0])
        for row in range(2):
            for column in range(2):
                _, over = step(KEY, state, {"agents": jnp.array([row, column])})
                np.testing.assert_array_equal(over.reward["agents"], tables[first][row][column])
                np.testing.assert_array_equal(over.discount["agents"], [0, 0])
                assert over.last


def test_the_optimum_is_8_and_the_safe_table_7():
    game = markov_game(two_step_game())
    value = np.zeros((2, 4), np.float32)
    for _ in range(2):
        stage = np.asarray(backup(game, value, 1.0))
        value = stage.max(axis=(2, 3))
    np.testing.assert_allclose(value[0], [8, 7, 8, 0])
    np.testing.assert_allclose(stage[0, 0], [[7, 7], [8, 8]])


def test_payoffs_are_options():
    env = two_step_game(safe_payoff=3.0, best_payoff=5.0)
    np.testing.assert_array_equal(env.payoffs, [[[3, 3], [3, 3]], [[0, 1], [1, 5]]])
    game = markov_game(env)
    np.testing.assert_array_equal(game.reward[0, 1:3, ..., 0], env.payoffs)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"observation: .* did you mean 'index'"):
        two_step_game(observation="indx")
