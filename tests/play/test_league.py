"""A league in one program: who is copied when, what is counted, and that it goes on bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rock_paper_scissors import RPS, update_by_update

from jaxmarl_core.checks.algorithm import check_algorithm
from jaxmarl_core.play.league import forgotten, league_play
from jaxmarl_core.play.matchmaking import League
from jaxmarl_core.play.pool import EMPTY
from jaxmarl_core.registry import make_algorithm

SMALL = {"num_envs": 4, "rollout_length": 4, "hidden": [8], "num_minibatches": 1}
ALGORITHMS = {"ippo": SMALL, "q_learning": {"rollout_length": 8}, "iql": {"num_envs": 2,
              "rollout_length": 4}}  # fmt: skip


def league(name, config, **options):
    build = lambda env: make_algorithm(name, env, **config)
    return league_play(build, RPS, ["player_1"], League(**options))


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def played():
    """(algorithm, its states before and after each of 6 updates, the metrics of each)."""
    # who is looked at twice leaves a copy; a look every second update
    algorithm = league("ippo", SMALL, size=3, every=2, patience=2, beaten=1.0, decay=1.0, reset=0.0)
    return algorithm, *update_by_update(algorithm, 6)


def test_the_first_past_player_is_the_main_agents_beginning(played):
    _, states, _ = played
    past = states[0].past
    assert past.entries.tolist() == [0, EMPTY, EMPTY] and past.owner[0] == 0
    assert_same(jax.tree.map(lambda x: x[0], past.params), states[0].params)
    # learners begin differently
    leaves = jax.tree.leaves(
        jax.tree.map(lambda x, y: x - y[0], states[0].params, states[0].others)
    )
    assert any(float(jnp.abs(leaf).max()) > 0 for leaf in leaves)


def test_copies_are_left_in_order_by_all_who_are_ready(played):
    _, states, _ = played
    # after 4 updates all three were looked at twice: copies of 0, 1 and 2, the last in place of
    # the oldest
    assert states[3].past.num_added == 1
    past = states[4].past
    assert past.num_added == 4
    assert past.entries.tolist() == [3, 1, 2] and past.owner.tolist() == [2, 0, 1]
    assert_same(jax.tree.map(lambda x: x[1], past.params), states[4].params)
    assert past.looks.tolist() == [0, 0, 0] and states[6].past.looks.tolist() == [1, 1, 1]


def test_main_exploiters_begin_anew(played):
    _, states, _ = played
    assert states[4].past.lives.tolist() == [0, 1, 0]
    # what it was is among the past players, and it is another one now
    copy = jax.tree.map(lambda x: x[2], states[4].past.params)
    now = jax.tree.map(lambda x: x[0], states[4].others)
    same = [np.array_equal(x, y) for x, y in zip(jax.tree.leaves(copy), jax.tree.leaves(now))]
    assert not all(same)
    # a league exploiter never does with reset=0: its copy is what it is
    copy = jax.tree.map(lambda x: x[0], states[4].past.params)
    assert_same(copy, jax.tree.map(lambda x: x[1], states[4].others))


def test_games_of_all_learners_are_counted(played):
    algorithm, states, told = played
    # one-shot episodes: a time step in two ends one; all learners play the same number
    games = [np.asarray(state.past.games) for state in states]
    count = float(told[0]["episode_count"])
    np.testing.assert_allclose(games[1].sum(1), count)
    # the main exploiter met the main agent, the league exploiter the past
    assert games[1][1, 3] == count and games[1][2, 0] == count
    assert told[0]["env_steps"] <= algorithm.env_steps
    assert not any(name.startswith("opponent_") for name in told[0])
    assert [float(x["league_size"]) for x in told] == [1, 1, 1, 1, 3, 3]
    for name in ("league_win_rate", "league_worst_win_rate", "league_exploiter_win_rate"):
        assert 0 <= float(told[-1][name]) <= 1


def test_who_begins_anew_is_known_to_nobody(played):
    _, states, _ = played
    past = forgotten(states[3].past, jnp.array([False, True, False]))
    assert past.games[1].sum() == 0 and past.games[:, 3 + 1].sum() == 0
    np.testing.assert_array_equal(past.games[0, :3], states[3].past.games[0, :3])
    assert past.lives.tolist() == [0, 1, 0]


def test_its_policy_plays_both_sides_by_the_main_agents_parameters(played):
    algorithm, states, _ = played
    timestep = RPS.reset(jax.random.key(0))[1]
    actions, _ = algorithm.policy.greedy(
        states[-1].params, jax.random.key(0), timestep, algorithm.policy.memory()
    )
    assert set(actions) == {"player_0", "player_1"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_any_algorithm_keeps_its_promises_in_a_league(name):
    algorithm = league(name, ALGORITHMS[name], size=3, every=1, patience=1, main_agents=2)
    assert check_algorithm(algorithm, RPS) == []


def test_mistakes_are_named():
    build = lambda env: make_algorithm("ippo", env, **SMALL)
    with pytest.raises(ValueError, match="did you mean 'player_1'"):
        league_play(build, RPS, ["player1"])

    def silent(env):
        algorithm = build(env)
        update = lambda *args: (algorithm.update(*args)[0], {"loss": jnp.float32(0)})
        return algorithm._replace(update=update)

    algorithm = league_play(silent, RPS, ["player_1"])
    state = jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams)
    with pytest.raises(ValueError, match="league: expected an algorithm that tells results"):
        jax.eval_shape(algorithm.update, jax.random.key(0), state, algorithm.hparams, jnp.int32(0))
