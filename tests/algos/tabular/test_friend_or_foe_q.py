"""Friend-or-Foe Q between its two ends, Team-Q and minimax-Q, and with both kinds of others."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax
from stage_runs import ALWAYS_EXPLORE, learned, play_greedily, start_of

from jaxmarl_core.algos.tabular import engine, minimax_q
from jaxmarl_core.algos.tabular import friend_or_foe_q as module
from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.friend_or_foe_q import FRIENDS, Config, friend_or_foe_q
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.algos.tabular.stage import HPARAMS
from jaxmarl_core.algos.tabular.team_q import team_q
from jaxmarl_core.envs import grid_game, guarding_territory, two_step_game
from jaxmarl_core.envs.matrix_games import from_payoffs


def test_who_is_a_friend():
    info = GameInfo(1, 1, (2, 2, 2), (0, 1, 0), None)
    assert [FRIENDS[name](info) for name in ("team", "all", "none")] == [[1], [0, 1, 2], [1]]
    assert FRIENDS["team"](info._replace(player=2)) == [0, 2]


@pytest.mark.parametrize("player", [0, 2])
def test_a_team_of_two_against_one(player):
    """Players 0 and 2 against 1: the game of their six joint actions, by scipy; with masks."""
    rng = np.random.default_rng(player)
    q = rng.normal(size=(2, 4, 3)).astype(np.float32)
    masks = (
        np.array([True, True]),
        np.array([True, True, False, True]),
        np.array([True, False, True]),
    )
    info = GameInfo(player, 1, (2, 4, 3), (0, 1, 0), None)
    found = module.solve(info, jnp.asarray(q)[None], tuple(map(jnp.asarray, masks)), [0, 2])
    legal = q[:, :, [0, 2]][:, [0, 1, 3]].transpose(0, 2, 1).reshape(4, 3)
    value, strategy = minimax(legal)
    np.testing.assert_allclose(found.value, [value], atol=1e-5)
    team_shares = found.joint.sum(1)
    np.testing.assert_allclose(team_shares[:, [0, 2]].reshape(-1), strategy, atol=1e-4)
    np.testing.assert_allclose(found.joint.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(found.strategy, team_shares.sum(1 if player == 0 else 0), atol=1e-6)


@pytest.mark.slow
def test_friends_are_team_q_on_a_common_payoff():
    """The same keys, and so the same play: equal tables, of two algorithms."""
    env = two_step_game()
    friends = friend_or_foe_q(env, Config(500, rate="constant"))
    ours, _ = learned(friends, env, 2000, 2, gamma=0.99, **ALWAYS_EXPLORE)
    mates = team_q(env, engine.Config(500, rate="constant"))
    team, _ = learned(mates, env, 2000, 2, gamma=0.99, **ALWAYS_EXPLORE)
    for name in team:
        np.testing.assert_allclose(ours[name].values.q, team[name].values.q, atol=1e-4)
        np.testing.assert_allclose(ours[name].stage.value, team[name].stage.value, atol=1e-4)


@pytest.mark.slow
def test_foes_are_minimax_q():
    """Guarding a territory: -4 to the defender, both coins."""
    env = guarding_territory()
    tables, _ = learned(friend_or_foe_q(env, Config(200, rate="constant")), env, 1000, 2)
    same = tabular(env, Config(200), partial(minimax_q.rule, rate="constant"), HPARAMS)
    theirs, _ = learned(same, env, 1000, 2)
    for name, sign in (("defender", -1), ("invader", 1)):
        value = tables[name].stage.value[:, 0, start_of(env), 0]
        np.testing.assert_allclose(value, 4 * sign, atol=1e-4)
        np.testing.assert_allclose(
            tables[name].stage.value, theirs[name].stage.value, rtol=1e-5, atol=1e-5
        )


@pytest.mark.slow
def test_friends_throw_one_coin_and_foes_another():
    """Two mates who must match each other's coin against a third who guesses it.

    Players 0 and 1 choose alike or lose 10; player 2 wins 1 by guessing what they choose. Their
    joint maximin strategy is half-half on the two ways to agree. What player 2 does is independent
    of it, although it has a coin, too.
    """
    payoff = np.full((2, 2, 2), -10.0)
    payoff[0, 0], payoff[1, 1] = [-1, 1], [1, -1]
    env = from_payoffs(np.stack([payoff, payoff, -payoff]), num_rounds=None)
    teams = (0, 0, 1)
    build = lambda info: module.rule(info._replace(teams=teams), rate="constant")
    _, (first, second, guess) = play_greedily(tabular(env, Config(200), build, HPARAMS), 1000)
    np.testing.assert_array_equal(first, second)
    assert abs(first.mean() - 0.5) < 0.08
    assert abs((first == guess).mean() - 0.5) < 0.08  # five standard errors


@pytest.mark.slow
def test_friends_all_hope_for_the_best_in_grid_game_1():
    """Each takes the other for its helper: 72.9 at gamma 0.9, and so it is with CE-Q."""
    env = grid_game(1, start="random", max_steps=50)
    algorithm = friend_or_foe_q(env, Config(1000, friends="all", rate="constant"))
    tables, _ = learned(algorithm, env, 8000, 2, **ALWAYS_EXPLORE)
    for table in tables.values():
        np.testing.assert_allclose(
            table.stage.value[:, 0, start_of(grid_game(1)), 0], 72.9, rtol=1e-4
        )


def test_what_cannot_be_solved_shows():
    info = GameInfo(0, 1, (2, 2), (0, 1), None)
    every = (jnp.ones(2, bool),) * 2
    for friends in ([0], [0, 1]):
        assert not module.solve(info, jnp.full((1, 2, 2), jnp.nan), every, friends).solved
