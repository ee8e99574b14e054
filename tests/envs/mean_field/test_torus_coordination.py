import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.mean_field.torus import neighbour_mean_action, neighbour_sum
from jaxmarl_core.envs.mean_field.torus_coordination import torus_coordination


def neighbours(site, size):
    """The four neighbours of a site, by hand."""
    row, column = divmod(site, size)
    return [
        (row - 1) % size * size + column,
        (row + 1) % size * size + column,
        row * size + (column - 1) % size,
        row * size + (column + 1) % size,
    ]


def play(env, action):
    state, _ = env.reset(jax.random.key(0))
    return env.step(jax.random.key(1), state, {"agents": jnp.asarray(action)})


@pytest.mark.parametrize("size", [3, 4, 5])
def test_neighbours_are_four_distinct_others(size):
    for site in range(size**2):
        x = jnp.zeros(size**2).at[site].set(1).reshape(size, size)
        seen_by = np.flatnonzero(neighbour_sum(x))
        assert sorted(seen_by) == sorted(set(neighbours(site, size)))
        assert len(seen_by) == 4


def test_neighbour_sum(variant):
    x = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    expected = [x.reshape(-1)[neighbours(site, 4)].sum() for site in range(16)]
    np.testing.assert_allclose(
        variant(neighbour_sum)(jnp.asarray(x)).reshape(-1), expected, atol=1e-5
    )


def test_rewards_and_mean_actions_by_hand_counting():
    """Every joint action of a 3 x 3 torus, against loops."""
    env = torus_coordination(3)
    actions = (np.arange(512)[:, None] >> np.arange(9)) & 1
    state, _ = env.reset(jax.random.key(0))
    step = jax.jit(jax.vmap(lambda a: env.step(jax.random.key(1), state, {"agents": a})[1]))
    timestep = step(jnp.asarray(actions))
    around = actions[:, np.array([neighbours(site, 3) for site in range(9)])]  # [512, 9, 4]
    agreeing = (around == actions[..., None]).sum(-1)
    table = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(timestep.reward["agents"], table[agreeing])
    downs = around.mean(-1)
    expected = np.stack([1 - downs, downs], -1)
    np.testing.assert_allclose(timestep.mean_action["agents"], expected, atol=1e-6)
    assert set(agreeing.flatten()) == set(range(5))


def test_the_two_agreements_are_the_only_best_joint_actions():
    env = torus_coordination(3)
    actions = jnp.asarray((np.arange(512)[:, None] >> np.arange(9)) & 1)
    state, _ = env.reset(jax.random.key(0))
    reward = jax.vmap(lambda a: env.step(jax.random.key(1), state, {"agents": a})[1].reward)
    total = np.asarray(reward(actions)["agents"].sum(-1))
    assert total.max() == 18
    assert np.flatnonzero(total == 18).tolist() == [0, 511]


def test_before_the_first_step_there_is_no_mean_action():
    env = torus_coordination(4)
    _, first = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(first.mean_action["agents"], 0)
    np.testing.assert_array_equal(first.state, 0)


def test_the_mean_action_asked_for_is_the_one_then_seen():
    env = torus_coordination(5)
    state, _ = env.reset(jax.random.key(0))
    actions = {"agents": jax.random.randint(jax.random.key(2), (25,), 0, 2)}
    asked = env.mean_action(state, actions)["agents"]
    _, timestep = env.step(jax.random.key(1), state, actions)
    np.testing.assert_array_equal(asked, timestep.mean_action["agents"])
    np.testing.assert_array_equal(asked, neighbour_mean_action(actions["agents"], 5, 2))


def test_the_picture_turns_with_the_direction():
    env = torus_coordination(3)
    render = jax.jit(env.render)
    up, down = (render(play(env, [action] * 9)[0]) for action in (0, 1))
    first, second = np.asarray(up)[2:79, 2:79], np.asarray(down)[3:80, 2:79]  # inside a cell
    np.testing.assert_allclose(first, second[::-1], atol=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 2}, "size: expected at least 3.*got 2"),
        ({"size": 0}, "size: expected at least 3"),
        ({"max_steps": 0}, "max_steps: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        torus_coordination(**options)
