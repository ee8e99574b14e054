"""Automatic reset and episode statistics; see also test_contract_environments.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import ConstantReward, MixedGroups, Plain

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.wrappers import (
    AutoReset,
    Episode,
    EpisodeStatistics,
    counted_figures,
    episode_metrics,
    episodic,
    num_teams,
    select,
    team_names,
)

NUM_ROWS = 11


def played(env, num_rows=NUM_ROWS):
    """Time steps [num_rows] of random play."""
    act = random_policy(env).act

    @jax.jit
    def play(key):
        state, first = env.reset(key)

        def step(carry, key):
            state, timestep = carry
            key_act, key_step = jax.random.split(key)
            carry = env.step(key_step, state, act((), key_act, timestep, ())[0])
            return carry, timestep

        return jax.lax.scan(step, (state, first), jax.random.split(key, num_rows))[1]

    return play(jax.random.key(0))


@pytest.fixture(scope="module")
def mixed():
    return played(episodic(MixedGroups(3)))


def test_select_takes_one_whole_tree():
    a, b = {"x": jnp.ones(2)}, {"x": jnp.zeros(2)}
    np.testing.assert_array_equal(select(jnp.bool_(True), a, b)["x"], 1)
    np.testing.assert_array_equal(select(jnp.bool_(False), a, b)["x"], 0)


def test_teams_are_named_by_their_groups():
    assert team_names(MixedGroups()) == ("choosers", "aimer")
    assert num_teams(MixedGroups()) == 2
    assert team_names(matrix_game("climbing")) == ("agents",)
    # a team game of different action counts: all groups on team 0
    assert team_names(matrix_game("partially_stochastic_climbing")) == ("agents",)


def test_episodes_follow_one_another(mixed):
    # three steps and a row for the end: 4 rows an episode
    np.testing.assert_array_equal(mixed.last, [t % 4 == 3 for t in range(NUM_ROWS)])
    np.testing.assert_array_equal(mixed.extras["episode"].length, [t % 4 for t in range(NUM_ROWS)])


def test_returns_are_of_a_team_s_mean_reward_and_cleared_with_the_episode(mixed):
    reward = [np.asarray(mixed.reward[name]).mean(-1) for name in ("choosers", "aimer")]
    expected = np.zeros((NUM_ROWS, 2))
    for t in range(1, NUM_ROWS):
        if t % 4:
            expected[t] = expected[t - 1] + [reward[0][t], reward[1][t]]
    np.testing.assert_allclose(mixed.extras["episode"].returns, expected, rtol=1e-5, atol=1e-6)


def test_the_winner_is_known_at_the_end_only(mixed):
    winner = np.asarray(mixed.extras["episode"].winner)
    returns = np.asarray(mixed.extras["episode"].returns)
    for t in range(NUM_ROWS):
        expected = returns[t].argmax() if t % 4 == 3 else -1
        assert winner[t] == expected


def test_a_draw_and_a_lone_team_have_no_winner():
    alike = played(EpisodeStatistics(matrix_game("matching_pennies", num_rounds=2)), 3)
    returns = np.asarray(alike.extras["episode"].returns[-1])
    expected = -1 if returns[0] == returns[1] else returns.argmax()
    assert alike.extras["episode"].winner[-1] == expected
    alone = played(EpisodeStatistics(ConstantReward(2, 2)), 3)
    assert alone.last[-1]
    assert alone.extras["episode"].winner[-1] == -1
    np.testing.assert_array_equal(alone.extras["episode"].returns[:, 0], [0, 1, 2])


def test_an_environment_that_cannot_observe_a_state_is_wrapped_alike(mixed):
    plain = played(episodic(Plain(MixedGroups(3))))
    assert jax.tree.structure(plain) == jax.tree.structure(mixed)
    np.testing.assert_array_equal(plain.last, mixed.last)
    np.testing.assert_array_equal(plain.extras["episode"].length, mixed.extras["episode"].length)
    first = np.asarray(plain.last)[:-1].nonzero()[0] + 1
    np.testing.assert_array_equal(plain.reward["aimer"][first], 0)
    np.testing.assert_allclose(
        plain.extras["episode"].returns[:4, 1], np.cumsum(plain.reward["aimer"][:4, 0]), rtol=1e-5
    )


def test_plain_auto_reset_begins_where_reset_does():
    env = AutoReset(Plain(MixedGroups(1)))
    key = jax.random.key(5)
    state, _ = env.reset(jax.random.key(1))
    actions = {"choosers": jnp.zeros(2, jnp.int32), "aimer": jnp.zeros((1, 1))}
    state, end = env.step(jax.random.key(2), state, actions)
    assert end.last
    _, begun = env.step(key, state, actions)
    _, expected = env.env.reset(jax.random.split(key)[0])
    np.testing.assert_allclose(begun.state, expected.state)
    assert not begun.last


def test_episode_metrics_are_means_over_the_episodes_that_ended():
    env = MixedGroups()
    episode = Episode(
        returns=jnp.array([[1.0, 5.0], [7.0, 3.0], [4.0, 8.0], [9.0, 9.0]]),
        length=jnp.array([3, 2, 6, 1]),
        winner=jnp.array([-1, 0, 1, -1]),
    )
    timestep = played(EpisodeStatistics(env), 4).replace(
        extras={"episode": episode}, last=jnp.array([False, True, True, False])
    )
    figures = episode_metrics(env, timestep)
    expected = {  # over rows 1 and 2
        "env_steps": 2,  # an action was taken in rows 0 and 3
        "episode_count": 2,
        "episode_length": 4,
        "episode_return_mean_choosers": 5.5,
        "episode_return_sum_choosers": 11,  # two of them, each paid its own
        "episode_return_aimer": 5.5,
        "episode_win_choosers": 0.5,
        "episode_win_aimer": 0.5,
    }
    assert figures.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value)

    told = episode_metrics(env, timestep, jnp.array([True, True, True, False]))
    assert told == figures | {"env_steps": 3}

    none = episode_metrics(env, timestep.replace(last=jnp.zeros(4, bool)))
    assert none["episode_count"] == 0
    assert np.isnan(none["episode_return_aimer"])


def test_what_a_world_counts_of_its_teams_is_a_metric_of_each_team():
    env = MixedGroups()
    counts = jnp.array([[0, 9], [2, 5], [4, 6], [7, 7]])
    episode = Episode(
        jnp.zeros((4, 2)), jnp.ones(4, int), -jnp.ones(4, int), team_figures={"kills": counts}
    )
    timestep = played(EpisodeStatistics(env), 4).replace(
        extras={"episode": episode}, last=jnp.array([False, True, True, False])
    )
    figures = episode_metrics(env, timestep)  # over rows 1 and 2
    assert figures["episode_kills_choosers"] == 3
    assert figures["episode_kills_aimer"] == 5.5
    assert counted_figures(env, episode)["kills_aimer"].tolist() == [9, 5, 6, 7]


def test_a_lone_team_has_a_return_and_no_wins():
    figures = episode_metrics(ConstantReward(3, 2), played(episodic(ConstantReward(3, 2)), 6))
    names = {"env_steps", "episode_count", "episode_length", "episode_return"}
    assert figures.keys() == names
    assert float(figures["episode_return"]) == 2  # 2 steps, reward 1 told to all three


@struct.dataclass
class AgainstTheHouse(ConstantReward):
    """A lone team that wins, as the world says."""

    def observe(self, state):
        timestep = super().observe(state)
        return timestep.replace(extras={"winner": jnp.where(timestep.last, 0, -1)})


def test_a_lone_team_wins_where_the_world_says_so():
    env = EpisodeStatistics(AgainstTheHouse(2, 1))
    state, _ = env.reset(jax.random.key(0))
    _, timestep = env.step(jax.random.key(1), state, {"agents": jnp.zeros(2, jnp.int32)})
    batch = jax.tree.map(lambda x: x[None], timestep)
    assert episode_metrics(env, batch)["episode_win"] == 1.0
