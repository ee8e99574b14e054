"""Tables of a game small enough to write out by hand, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.envs import battle, soccer_4x2
from jaxmarl_core.solvers.markov_games import (
    MarkovGame,
    TabularEnvironment,
    backup,
    expected_reward,
    markov_game,
    require_common,
    transition_tensor,
)
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Group

KEY = jax.random.key(0)


@struct.dataclass
class TollState:
    place: jax.Array
    reward: jax.Array
    time: jax.Array


@struct.dataclass
class Toll(TabularEnvironment):
    """Two rooms and an exit, for players a (2 actions, x) and b (3 actions, y).

    Room 0: with chance 3/4 both stay, a gets x and b pays y; else on to place x + 1, a gets 10.
    Room 1: with chance 1/4 back to room 0, a gets x + y and b gets 1; else out, for nothing. In
    room 1 player a must play 0.
    """

    max_steps: int | None = struct.field(pytree_node=False, default=None)
    observation: str = struct.field(pytree_node=False, default="index")

    num_states = 3
    num_outcomes = 2

    @property
    def groups(self):
        space = self.observation_space
        return {"a": Group(1, space, Discrete(2)), "b": Group(1, space, Discrete(3), 1)}

    def initial(self, key):
        return self.decode(jnp.int32(0))

    def start_distribution(self):
        return jnp.array([1.0, 0.0, 0.0])

    def chance(self, state, joint):
        return jnp.where(state.place == 0, jnp.array([0.75, 0.25]), jnp.array([0.25, 0.75]))

    def move(self, state, joint, outcome):
        x, y = joint
        first = state.place == 0
        place = jnp.where(outcome == 0, 0, jnp.where(first, x + 1, 2))
        stays = jnp.where(first, jnp.stack([x, -y]), jnp.stack([x + y, 1]))
        goes = jnp.where(first, jnp.array([10, 0]), jnp.array([0, 0]))
        reward = jnp.where(outcome == 0, stays, goes).astype(jnp.float32)
        return TollState(place, reward, state.time + 1)

    def encode(self, state):
        return state.place

    def decode(self, index):
        return TollState(jnp.asarray(index, jnp.int32), jnp.zeros(2), jnp.int32(0))

    def terminal(self, state):
        return state.place == 2

    def features(self, state):
        return (jnp.arange(3) == state.place).astype(jnp.float32)

    def legal(self, state):
        return {"a": jnp.stack([True, state.place != 1])[None]}

    def extras(self, state):
        return {"winner": jnp.where(self.last(state), 1, -1)}


@pytest.fixture(scope="module")
def game():
    return markov_game(Toll())


X, Y = np.indices((2, 3))  # every joint action of a room


def test_tables(game):
    assert (game.num_players, game.num_states, game.num_actions) == (2, 3, (2, 3))
    np.testing.assert_array_equal(game.terminal, [False, False, True])
    np.testing.assert_array_equal(game.start, [1, 0, 0])
    np.testing.assert_array_equal(game.legal[0], [[1, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(game.legal[1], np.ones((3, 3)))
    np.testing.assert_array_equal(game.successor[0, ..., 0], 0 * X)
    np.testing.assert_array_equal(game.successor[0, ..., 1], X + 1)
    np.testing.assert_array_equal(game.successor[1, ..., 1], 0 * X + 2)
    np.testing.assert_array_equal(game.successor[2], np.full((2, 3, 2), 2))
    np.testing.assert_allclose(game.probability[0], np.broadcast_to([0.75, 0.25], (2, 3, 2)))
    np.testing.assert_allclose(game.reward[:, 2], 0)


def test_expected_reward(game):
    reward = expected_reward(game)
    np.testing.assert_allclose(reward[0, 0], 0.75 * X + 2.5)  # 3/4 x + 1/4 10
    np.testing.assert_allclose(reward[1, 0], -0.75 * Y)
    np.testing.assert_allclose(reward[0, 1], 0.25 * (X + Y))
    np.testing.assert_allclose(reward[1, 1], 0 * X + 0.25)
    np.testing.assert_allclose(reward[:, 2], 0)


def test_transition_tensor(game):
    table = transition_tensor(game)
    for y in range(3):
        np.testing.assert_allclose(table[0, 0, y], [0.75, 0.25, 0])
        np.testing.assert_allclose(table[0, 1, y], [0.75, 0, 0.25])
        np.testing.assert_allclose(table[1, 1, y], [0.25, 0, 0.75])
        np.testing.assert_allclose(table[2, 1, y], [0, 0, 1])


def test_backup(game, variant):
    """With V_a = 4, 8 and V_b = 1, 2 in the rooms, gamma 1/2; what V says of the exit is ignored.

    Room 0, a: 3/4 (x + 2) + 1/4 (10 + 4 [x = 0]);    b: 3/4 (-y + 1/2) + 1/4 [x = 0]
    Room 1, a: 1/4 (x + y + 2);                       b: 1/4 (1 + 1/2)
    """
    value = np.array([[4, 8, 100], [1, 2, -50]], np.float32)
    q = variant(lambda v, gamma: backup(game, v, gamma))(value, np.float32(0.5))
    np.testing.assert_allclose(q[0, 0], 0.75 * (X + 2) + 0.25 * (10 + 4 * (X == 0)))
    np.testing.assert_allclose(q[1, 0], 0.75 * (-Y + 0.5) + 0.25 * (X == 0))
    np.testing.assert_allclose(q[0, 1], 0.25 * (X + Y + 2))
    np.testing.assert_allclose(q[1, 1], 0 * X + 0.375)
    np.testing.assert_allclose(q[:, 2], 0)


def test_tables_may_depend_on_traced_numbers():
    """A batch of games from a batch of environments."""
    env = soccer_4x2()
    pays = jax.vmap(lambda r: expected_reward(markov_game(env.replace(goal_reward=r))))
    one, three = pays(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(3 * one, three, rtol=1e-6)
    assert np.asarray(one).any()


def test_playing_draws_from_chance():
    """1000 first steps: out of room 0 by x + 1 in a quarter of them, within 4 deviations."""
    env = Toll()
    actions = {"a": jnp.array([1]), "b": jnp.array([2])}
    keys = jax.random.split(KEY, 1000)
    state, timestep = jax.vmap(lambda k: env.step(k, env.initial(k), actions))(keys)
    left = np.asarray(state.place) == 2
    assert set(np.unique(state.place)) == {0, 2}
    assert abs(left.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 1000)
    np.testing.assert_array_equal(timestep.reward["a"][:, 0], np.where(left, 10, 1))
    np.testing.assert_array_equal(timestep.reward["b"][:, 0], np.where(left, 0, -2))
    np.testing.assert_array_equal(timestep.discount["b"][:, 0], ~left)
    np.testing.assert_array_equal(timestep.last, left)
    np.testing.assert_array_equal(timestep.extras["winner"], np.where(left, 1, -1))


def test_what_players_see():
    plain, described = Toll(), Toll(observation="features")
    assert plain.groups["a"].observation == Discrete(3)
    assert described.groups["b"].observation == Box((3,), 0.0, 1.0)
    timestep = plain.observe(plain.decode(1))
    np.testing.assert_array_equal(timestep.observation["a"], [1])
    np.testing.assert_array_equal(timestep.state, [0, 1, 0])
    np.testing.assert_array_equal(timestep.action_mask["a"], [[True, False]])
    assert "b" not in timestep.action_mask
    np.testing.assert_array_equal(described.observe(plain.decode(1)).observation["b"], [[0, 1, 0]])


def test_a_time_limit_sets_last_alone():
    env = Toll(max_steps=2)
    state = env.decode(0).replace(time=jnp.int32(2))
    assert env.last(state)
    assert not env.last(state.replace(time=jnp.int32(1)))
    np.testing.assert_array_equal(env.observe(state).discount["a"], [1])


@struct.dataclass
class Huge(Toll):
    num_states = 2**24


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"env: expected an environment with a table .* Battle"):
        markov_game(battle(map_size=12, num_red=1, num_blue=1))
    with pytest.raises(ValueError, match="env: expected tables of at most 134217728 entries"):
        markov_game(Huge())
    row = np.zeros((20_000, 1, 1, 1), np.int32)
    wide = MarkovGame(row, row, row[None], row[:, 0, 0, 0], (), row[:, 0, 0, 0])
    with pytest.raises(ValueError, match="game: expected at most 134217728 entries"):
        transition_tensor(wide)
    with pytest.raises(ValueError, match=r"observation: .* did you mean 'features'"):
        require_common("featurs", None)
    with pytest.raises(ValueError, match="max_steps: expected at least 1, or None, got 0"):
        require_common("index", 0)
