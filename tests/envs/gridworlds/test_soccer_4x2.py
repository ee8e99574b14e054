"""Greenwald & Hall's soccer against recorded tables and values made from the rules elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax, oracle

from jaxmarl_core.envs.gridworlds.soccer_4x2 import soccer_4x2
from jaxmarl_core.solvers.markov_games import (
    backup,
    expected_reward,
    markov_game,
    transition_tensor,
)

KEY = jax.random.key(0)
N, S, E, W, STAND = range(5)


@pytest.fixture(scope="module")
def greenwald():
    env = soccer_4x2()
    record = {k.removeprefix("soccer24_"): v for k, v in oracle("markov.npz").items()}
    shown = jax.vmap(env.decode)(jnp.arange(env.num_states))
    ours = np.column_stack([shown.cell, shown.holder])
    number = {tuple(state): i for i, state in enumerate(record["states"].tolist())}
    order = np.array([number[tuple(state)] for state in ours.tolist()])
    return env, markov_game(env), record, order


def test_half_of_the_states_are_ends(greenwald):
    _, game, record, order = greenwald
    cell_a, cell_b, holder = record["states"][order].T
    column = np.where(holder == 0, cell_a, cell_b) % 4
    np.testing.assert_array_equal(game.terminal, (column == 0) | (column == 3))
    assert game.terminal.sum() == 56


def test_tables_are_those_recorded(greenwald):
    _, game, record, order = greenwald
    recorded = np.zeros((113, 5, 5, 113))
    recorded[tuple(record["P_idx"].T)] = record["P_val"]
    playing = ~np.asarray(game.terminal)
    ours, theirs = np.asarray(transition_tensor(game))[playing], recorded[order[playing]]
    # there an end is one absorbing state, here it is the state in which the ball went in
    np.testing.assert_allclose(ours[..., playing], theirs[..., order[playing]], atol=1e-6)
    np.testing.assert_allclose(ours[..., ~playing].sum(axis=-1), theirs[..., 112], atol=1e-6)
    reward = np.asarray(expected_reward(game))[:, playing]
    np.testing.assert_allclose(reward[0], record["R"][order[playing]], atol=1e-4)
    np.testing.assert_allclose(reward[1], -reward[0], atol=1e-6)


def test_the_recorded_values_are_a_fixed_point(greenwald):
    _, game, record, order = greenwald
    value = record["V"][order]
    stage = np.asarray(backup(game, jnp.asarray([value, -value], jnp.float32), 0.9))[0]
    playing = np.flatnonzero(~np.asarray(game.terminal))
    again = [minimax(stage[s])[0] for s in playing]
    np.testing.assert_allclose(again, value[playing], atol=1e-3)

    figure = int(np.argmax(soccer_4x2(start="figure").start_distribution()))
    assert order[figure] == record["shat"]
    np.testing.assert_allclose(value[figure], 26.910299, atol=1e-6)
    np.testing.assert_allclose(stage[figure], record["Q_shat"], atol=1e-3)
    _, mixture = minimax(record["Q_shat"])
    np.testing.assert_allclose([mixture[[N, STAND]].sum(), mixture[S]], [0.5, 0.5], atol=1e-6)


def test_the_game_is_even():
    """Every state's image, turned around with the players' names exchanged, is as likely."""
    env = soccer_4x2()
    start = np.asarray(env.start_distribution())
    shown = jax.vmap(env.decode)(jnp.arange(env.num_states))
    turned = shown.replace(cell=7 - shown.cell[:, ::-1], holder=1 - shown.holder)
    image = jax.vmap(env.encode)(turned)
    np.testing.assert_allclose(start[image], start)
    np.testing.assert_allclose(start.sum(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("cells", "holder", "joint", "goal"),
    [
        ((2, 5), 0, (E, STAND), 1),  # an own goal: A carries it into B's
        ((1, 6), 0, (W, STAND), 0),
        ((0, 1), 1, (STAND, W), 0),  # B runs into A, who has it in A's goal
        ((1, 2), 0, (STAND, W), -1),  # who walks into the ball does not get it
    ],
)
def test_whose_goal_it_is(cells, holder, joint, goal):
    env = soccer_4x2()
    state, _ = env.reset(KEY)
    state = state.replace(cell=jnp.array(cells), holder=jnp.int32(holder))
    _, timestep = env.step(KEY, state, {n: jnp.array([a]) for n, a in zip("AB", joint)})
    assert int(timestep.extras["goal"]) == int(timestep.extras["winner"]) == goal
    assert bool(timestep.last) == (goal >= 0)
    paid = 0 if goal < 0 else 100 if goal == 0 else -100
    assert (float(timestep.reward["A"][0]), float(timestep.reward["B"][0])) == (paid, -paid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal_reward": -1.0}, "goal_reward: expected above 0, got -1.0"),
        ({"start": "figur"}, "start: .* did you mean 'figure'"),
        ({"max_steps": 0}, "max_steps: expected at least 1, or None, got 0"),
        ({"observation": "grid"}, "observation: expected one of features, index"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        soccer_4x2(**options)
