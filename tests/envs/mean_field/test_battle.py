"""The battle as an environment: construction, shapes, rewards, ends, mean action, picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import battle
from jaxmarl_core.envs.drawing import BLUE, RED
from jaxmarl_core.envs.mean_field.magent.render import WALL
from jaxmarl_core.spaces import Discrete

STAY = 6
WEST, EAST = 16, 17  # strike the neighbour on that side


def duel(**changes):
    """A red at (2, 3) and a blue on its right, with a blue bystander far off."""
    start = {"start_red": ((2, 3),), "start_blue": ((3, 3), (5, 5))}
    env = battle(**{"map_size": 8, "left": "red", **start, **changes})
    return env, *env.reset(jax.random.key(0))


@jax.jit
def _step(env, state, actions, order):
    return env.step(jax.random.key(0), state, actions, order)


def step(env, state, red, blue, order=None):
    order = np.arange(env.num_agents, dtype=np.int32) if order is None else np.int32(order)
    actions = {"red": jnp.array(red), "blue": jnp.array(blue)}
    return _step(env, state, actions, order)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "mfrI"}, "did you mean 'mfrl'"),
        ({"map_size": 3}, "map_size: expected at least 4, got 3"),
        ({"map_size": 4}, "map_size: expected room for a starting square, or num_red, got 4"),
        ({"num_red": 0}, "num_red: expected at least 1, got 0"),
        ({"num_blue": -3}, "num_blue: expected at least 1, got -3"),
        ({"map_size": 8, "num_red": 40}, "num_red: expected at most 18"),
        ({"walls": ((40, 1),)}, r"walls: expected cells in 0..39, got \(40, 1\)"),
        ({"walls": ((3, 20),), "start_red": ((3, 20),)}, "start_red: expected free cells"),
        ({"start_red": ((0, 5),)}, r"start_red: expected cells in 1..38, got \(0, 5\)"),
        ({"start_red": ((2, 2), (2, 2))}, "start_red: expected free cells, each once"),
        ({"start_red": ()}, "start_red: expected at least one cell"),
        ({"start_red": ((2, 2),), "num_red": 2}, r"start_red: expected num_red \(2\) cells, got 1"),
        ({"max_steps": 0}, "max_steps: expected at least 1, got 0"),
        ({"move_priority": "queu"}, "move_priority: .*did you mean 'queue'"),
        ({"left": "green"}, "left: expected one of"),
        ({"id_bits": 32}, "id_bits: expected in 0..31, got 32"),
        ({"damage": 0.0}, "damage: expected above 0, got 0"),
        ({"recovery": -1.0}, "recovery: expected at least 0"),
        ({"max_hp": 0.0}, "max_hp: expected above 0"),
    ],
)
def test_bad_input_names_the_field(changes, message):
    with pytest.raises(ValueError, match=message):
        battle(**changes)


@pytest.mark.parametrize(
    ("preset", "size", "view", "features"),
    [("mfrl", 64, (13, 13, 7), 34), ("magent2", 81, (13, 13, 5), 32)],
)
def test_presets_have_the_published_sizes(preset, size, view, features):
    env = battle(preset)
    assert {name: group.size for name, group in env.groups.items()} == {"red": size, "blue": size}
    assert [group.team for group in env.groups.values()] == [0, 1]
    group = env.groups["red"]
    assert group.action == Discrete(21)
    assert group.observation.shape == {"view": view, "features": (features,)}
    _, first = jax.eval_shape(env.reset, jax.random.key(0))
    assert first.observation["blue"]["view"].shape == (size, *view)
    assert first.observation["blue"]["features"].shape == (size, features)


def test_start_squares_of_the_published_maps():
    state = battle("mfrl", left="red").initial(jax.random.key(0))
    assert sorted(set(state.position[:64, 0].tolist())) == list(range(1, 16, 2))
    assert sorted(set(state.position[64:, 0].tolist())) == list(range(23, 38, 2))
    assert sorted(set(state.position[:, 1].tolist())) == list(range(12, 27, 2))
    assert state.position[:2].tolist() == [[1, 12], [1, 14]]  # column by column
    state = battle("magent2").initial(jax.random.key(0))
    assert state.position[81:].max(0).tolist() == [41, 29]


def test_sides_are_drawn_per_episode_and_set_the_ids():
    env = battle()
    states = jax.jit(jax.vmap(env.initial))(jax.random.split(jax.random.key(0), 200))
    observe = jax.jit(env.observe)
    share = float(jnp.mean(states.left_team))
    assert abs(share - 0.5) < 4 * 0.5 / 200**0.5
    for side in (0, 1):
        first = int(jnp.argmax(states.left_team == side))
        state = jax.tree.map(lambda x, first=first: x[first], states)
        is_left = state.position[:, 0] < 20
        assert bool(jnp.all(is_left[:64] == (side == 0)))
        bits = np.asarray(observe(state).observation["red"]["features"][:, :10])
        ids = np.asarray(bits @ 2.0 ** np.arange(10))
        np.testing.assert_array_equal(ids, np.arange(64) + 64 * side)


def test_rows_of_the_dead_are_zero_and_its_episode_is_over():
    env, state, _ = duel(max_hp=1.0)
    state, seen = step(env, state, [EAST], [STAY, STAY])
    assert seen.alive["blue"].tolist() == [False, True]
    assert seen.discount["blue"].tolist() == [0.0, 1.0]
    assert not bool(seen.last)
    assert not np.any(seen.observation["blue"]["view"][0])
    assert not np.any(seen.observation["blue"]["features"][0])
    assert np.any(seen.observation["blue"]["view"][1])
    np.testing.assert_allclose(seen.reward["red"], [4.895], rtol=1e-6)
    np.testing.assert_allclose(seen.reward["blue"], [-0.1, -0.005], rtol=1e-6)
    assert seen.extras["kills"].tolist() == [1, 0]
    told = {name: figure.tolist() for name, figure in seen.extras["team_figures"].items()}
    assert told == {"kills": [1, 0], "losses": [0, 1]}
    assert int(seen.extras["winner"]) == -1
    state, seen = step(env, state, [STAY], [WEST, STAY])  # the dead do nothing, and earn nothing
    np.testing.assert_allclose(seen.reward["blue"], [0.0, -0.005], rtol=1e-6)
    assert seen.discount["blue"].tolist() == [0.0, 1.0]


def test_wipe_out_terminates_everybody():
    env, state, _ = duel(max_hp=1.0)
    _, seen = step(env, state, [STAY], [WEST, STAY])
    assert bool(seen.last)
    assert seen.discount["red"].tolist() == [0.0]
    assert seen.discount["blue"].tolist() == [0.0, 0.0]
    assert int(seen.extras["winner"]) == 1


def test_time_limit_ends_without_termination():
    env, state, _ = duel(max_steps=2)
    state, seen = step(env, state, [STAY], [STAY, STAY])
    assert not bool(seen.last)
    _, seen = step(env, state, [STAY], [STAY, STAY])
    assert bool(seen.last)
    assert seen.discount["red"].tolist() == [1.0]
    assert seen.discount["blue"].tolist() == [1.0, 1.0]
    assert int(seen.extras["winner"]) == 1  # two survivors to one


@pytest.mark.parametrize(
    ("changes", "red_reward", "expected"),
    [  # red hits at full strength and is killed afterwards by a blue: hp 1 against 10
        ({}, "hit", -0.1 + 0.2),
        ({"dead_keep_hit_reward": False}, "hit", -0.1),
        ({"death_overwrites": False}, "hit", -0.005 - 0.1 - 0.1 + 0.2),
        ({}, "kill", -0.1),
        ({"death_overwrites": False}, "kill", -0.005 - 0.1 + 5 - 0.1),
    ],
)
def test_rewards_of_the_killed(changes, red_reward, expected):
    env, state, _ = duel(start_blue=((3, 3), (1, 3)), **changes)
    victim_hp = 10.0 if red_reward == "hit" else 1.0
    state = state.replace(hp=jnp.array([1.0, victim_hp, 10.0]))
    _, seen = step(env, state, [EAST], [STAY, EAST], order=[0, 1, 2])
    assert not bool(seen.alive["red"][0])
    np.testing.assert_allclose(seen.reward["red"], [expected], atol=1e-6)


def test_mean_action_covers_those_who_died_acting():
    env, state, first = duel(max_hp=1.0)
    assert not np.any(first.mean_action["red"])
    assert not np.any(first.mean_action["blue"])
    actions = {"red": jnp.array([EAST]), "blue": jnp.array([WEST, 0])}
    intended, told = env.mean_action(state, actions), env.mean_action_at(first, actions)
    state, seen = step(env, state, [EAST], [WEST, 0])  # red strikes first, its victim never does
    expected = np.zeros((2, 21), np.float32)
    expected[:, [0, WEST]] = 0.5
    np.testing.assert_array_equal(seen.mean_action["blue"], expected)
    np.testing.assert_array_equal(intended["blue"], expected)
    np.testing.assert_array_equal(told["blue"], expected)
    np.testing.assert_array_equal(seen.mean_action["red"], np.eye(21, dtype=np.float32)[[EAST]])
    state, seen = step(env, state, [STAY], [WEST, STAY])  # now the dead do not count
    np.testing.assert_array_equal(
        seen.mean_action["blue"], np.eye(21, dtype=np.float32)[[STAY, STAY]]
    )


def test_numbers_are_leaves_and_sizes_are_static():
    env = battle(map_size=8, num_red=3, num_blue=2)
    assert len(jax.tree.leaves(env)) == 8
    damages = jnp.array([1.0, 2.0, 11.0])
    envs = jax.vmap(lambda damage: env.replace(damage=damage))(damages)
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, envs)
    state = env.initial(jax.random.key(0)).replace(
        position=jnp.array([[2, 2], [2, 4], [2, 6], [3, 2], [6, 6]])
    )
    actions = {"red": jnp.array([EAST, STAY, STAY]), "blue": jnp.array([STAY, STAY])}
    run = lambda env: env.advance(jax.random.key(0), state, actions)
    after = jax.vmap(run, (axes,))(envs)
    np.testing.assert_allclose(after.hp[:, 3], [9.1, 8.1, 0.0], rtol=1e-6)


def test_outside_may_look_like_wall():
    for outside in (False, True):
        _, _, seen = duel(outside_is_wall=outside)
        wall = np.asarray(seen.observation["red"]["view"][0, :, :, 0])
        # Red stands at (2, 3): column 4 of its view is x = 0, the border; column 3 is outside.
        assert wall[6, 4] == 1.0
        assert wall[6, 3] == float(outside)
        assert wall[0, 0] == 0.0  # beyond distance 6


def test_state_counts_everyone():
    _, _, seen = duel()
    image = np.asarray(seen.state).reshape(13, 13, 4)
    np.testing.assert_allclose(image.sum((0, 1)), 1.0)
    np.testing.assert_allclose(image[3, 2], [1.0, 0.0, 1.0, 0.0])  # bins of one cell at this size


def test_picture_shows_walls_and_teams():
    env, state, _ = duel(walls=((4, 4),))
    picture = np.asarray(env.render(state))
    assert picture.shape == (24 + 320, 320, 3)  # a strip on top; 40 pixels to a cell
    assert picture.dtype == np.uint8
    corner = lambda x, y: tuple(picture[24 + 40 * y, 40 * x].tolist())
    assert corner(0, 0) == corner(4, 4) == WALL
    assert corner(2, 3) == RED
    assert corner(3, 3) == BLUE


def test_random_play_stays_in_spec():
    env = battle(map_size=14, num_red=9, num_blue=7, max_steps=30)
    play = jax.jit(env.step)
    state, seen = jax.jit(env.reset)(jax.random.key(0))
    structure = jax.tree.map(lambda x: (x.shape, x.dtype), state)
    for key in jax.random.split(jax.random.key(1), 30):
        for name, group in env.groups.items():
            rows = jax.device_get(seen.observation[name])
            assert group.observation.contains(rows)
        actions = {
            name: jax.random.randint(key, (group.size,), 0, 21)
            for name, group in env.groups.items()
        }
        state, seen = play(key, state, actions)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == structure
        assert len(np.unique(state.position[state.alive], axis=0)) == int(state.alive.sum())
    assert bool(seen.last)
