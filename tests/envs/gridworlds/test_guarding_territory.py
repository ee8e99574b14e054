"""Guarding a territory: the book's 2 x 2 game by hand, and rules on larger boards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax

from jaxmarl_core.envs.gridworlds.guarding_territory import guarding_territory
from jaxmarl_core.solvers.markov_games import backup, markov_game

KEY = jax.random.key(0)


def test_the_book_s_game():
    """Q(s1) of the defender is -9 where it guesses wrong, else 1; worth -4, and both mix evenly."""
    env = guarding_territory()
    game = markov_game(env)
    value = np.zeros((2, env.num_states), np.float32)
    for _ in range(4):  # no game is longer than four steps from where it is not lost
        stage = np.asarray(backup(game, value, 0.9))
        solved = np.array([minimax(matrix)[0] for matrix in stage[0]])
        value = np.stack([solved, -solved]).astype(np.float32)
    start = int(np.argmax(game.start))
    np.testing.assert_allclose(stage[0, start], [[-9, 1], [1, -9]], atol=1e-5)
    np.testing.assert_allclose(stage[1, start], -stage[0, start], atol=1e-5)
    np.testing.assert_allclose(value[0, start], -4, atol=1e-5)
    for player in (stage[0, start], stage[1, start].T):
        np.testing.assert_allclose(minimax(player)[1], [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "joint", "reward", "winner"),
    [  # 4 x 4, radius 1; defender, invader; moves north, south, east, west
        ((15, 0), (0, 2), None, -1),
        ((10, 2), (0, 1), 3, 0),  # caught on cell 6, three steps from 15
        ((6, 5), (0, 0), 5, 0),  # to 2 and 1: caught side by side, five steps out
        ((15, 14), (0, 2), -10, 1),  # through, though the defender is next to it
    ],
)
def test_larger_boards(cells, joint, reward, winner):
    env = guarding_territory(size=4, capture_radius=1, all_moves=True)
    state, _ = env.reset(KEY)
    actions = {name: jnp.array([a]) for name, a in zip(("defender", "invader"), joint)}
    _, timestep = jax.jit(env.step)(KEY, state.replace(cell=jnp.array(cells)), actions)
    assert bool(timestep.last) == (reward is not None)
    assert int(timestep.extras["winner"]) == winner
    paid = 0 if reward is None else reward
    got = [float(timestep.reward[name][0]) for name in ("defender", "invader")]
    assert got == [paid, -paid]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size: expected at least 2, got 1"),
        ({"capture_radius": 1}, r"capture_radius: expected in 0\.\.0, got 1"),
        ({"size": 5, "capture_radius": -1}, r"capture_radius: expected in 0\.\.3, got -1"),
        ({"escape_reward": 1.0}, "escape_reward: expected below 0, got 1.0"),
        ({"max_steps": 0}, "max_steps: expected at least 1, or None, got 0"),
        ({"observation": "cells"}, "observation: expected one of features, index"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        guarding_territory(**options)
