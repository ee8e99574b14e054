"""Tournaments against win rates known in closed form, and against a loop over `evaluate`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxmarl_core.envs import battle, matrix_game, simple_spread
from jaxmarl_core.envs.matrix_games.repeated_game import from_payoffs
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, joint, random_policy
from jaxmarl_core.play.standings import standings
from jaxmarl_core.play.tournament import (
    Tournament,
    kinds_of,
    pair_win_rates,
    player_win_rates,
    side_win_rates,
    tournament,
)
from jaxmarl_core.types import Policy

RPS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32)
LOPSIDED = np.array([[1, -1], [1, 1]], np.float32)  # the first wins unless it is 0 and the other 1
NUM = 400


def mixed(env):
    """A policy that draws from its parameters, log-probabilities [A], and whose mode is theirs."""

    def act(params, key, timestep, memory):
        keys = jax.random.split(key, len(env.groups))
        return {
            n: jax.random.categorical(k, params)[None] for n, k in zip(env.groups, keys)
        }, memory

    def greedy(params, key, timestep, memory):
        return {n: jnp.argmax(params)[None] for n in env.groups}, memory

    return Policy(lambda: (), act, greedy)


def strategies(env, *rows):
    policy = mixed(env)
    return [Player(policy, jnp.log(jnp.array(row, jnp.float32))) for row in rows]


@pytest.fixture(scope="module")
def rps():
    return from_payoffs([RPS, -RPS])


@pytest.fixture(scope="module")
def pure(rps):
    players = strategies(rps, [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1])
    return tournament(jax.random.key(0), rps, players, 4, 1)


def test_pure_strategies_win_as_the_table_says(pure):
    payoff = RPS[np.ix_([0, 1, 2, 2], [0, 1, 2, 2])]
    for side in range(2):
        np.testing.assert_array_equal(pure.wins[side], 4 * (payoff > 0))
        np.testing.assert_array_equal(pure.losses[side], 4 * (payoff < 0))
        draws = 4 * (payoff == 0)
        np.testing.assert_array_equal(pure.draws[side], draws - np.diag(np.diag(draws)))
        off = ~np.eye(4, dtype=bool)
        np.testing.assert_array_equal(pure.returns[side][off], payoff[off])
        assert np.isnan(np.diag(pure.returns[side])).all()


def test_sides_matter():
    """A first player who moves "1" always wins, whoever it is: the second has not a chance."""
    env = from_payoffs([LOPSIDED, -LOPSIDED])
    found = tournament(jax.random.key(0), env, strategies(env, [1, 0], [0, 1]), 3, 1)
    np.testing.assert_array_equal(found.wins[0], [[0, 0], [3, 0]])  # 0 first: loses to 1
    np.testing.assert_array_equal(found.wins[1], [[0, 0], [3, 0]])
    # against itself each side differs: of two who play 1, the first wins
    found = tournament(jax.random.key(0), env, strategies(env, [0, 1], [0, 1]), 3, 1)
    np.testing.assert_array_equal(found.wins[0], [[0, 3], [3, 0]])
    np.testing.assert_array_equal(found.wins[1], np.zeros((2, 2)))
    np.testing.assert_array_equal(found.returns[0][0, 1], 1)
    np.testing.assert_array_equal(found.returns[1][0, 1], -1)
    np.testing.assert_array_equal(side_win_rates(found).rate, [[1, 1], [0, 0]])
    np.testing.assert_array_equal(player_win_rates(found).rate, [0.5, 0.5])


@pytest.mark.slow
def test_mixed_strategies_win_as_often_as_they_should(rps):
    rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [1 / 3, 1 / 3, 1 / 3]])
    found = tournament(jax.random.key(1), rps, strategies(rps, *rows), NUM, 1, greedy=False)
    won, drawn = rows @ (RPS > 0) @ rows.T, rows @ (RPS == 0) @ rows.T
    for i, j in [(0, 1), (1, 2), (0, 2)]:
        for side in range(2):
            seen = [x[side, i, j] for x in (found.wins, found.draws, found.losses)]
            chances = np.array([won[i, j], drawn[i, j], won[j, i]])
            assert stats.chisquare(seen, NUM * chances).pvalue > 1e-3
    rates = pair_win_rates(found)
    true = won + drawn / 2
    assert ((rates.low < true) & (true < rates.high))[~np.eye(3, dtype=bool)].all()


@pytest.mark.slow
def test_equals_a_loop_over_evaluate_whatever_the_blocks(rps):
    """Policies of two kinds; the same games one pair at a time, by the keys of their numbers."""
    one, two = strategies(rps, [0.5, 0.3, 0.2], [0.1, 0.2, 0.7])
    players = [one, Player(random_policy(rps), ()), two]
    key = jax.random.key(3)
    found = tournament(key, rps, players, 6, 1, greedy=False, games_at_once=4)  # blocks of 3
    groups = list(rps.groups)
    for i in range(3):
        for j in range(3):
            if i == j:
                continue
            both = joint(rps, dict(zip(groups, (players[i], players[j]))))
            winners, returns = [], []
            play = jax.jit(lambda key, params, p=both.policy: evaluate(
                key, rps, Player(p, params), 3, 1, greedy=False
            ))  # fmt: skip
            for block in range(2):
                own = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, i), j), block)
                episode = play(own, both.params)
                winners += episode.winner.tolist()
                returns += episode.returns.tolist()
            assert found.wins[0, i, j] == winners.count(0) == found.losses[1, j, i]
            assert found.losses[0, i, j] == winners.count(1) == found.wins[1, j, i]
            assert found.draws[0, i, j] == winners.count(-1) == found.draws[1, j, i]
            np.testing.assert_allclose(found.returns[0, i, j], np.mean(returns, 0)[0], atol=1e-6)
            np.testing.assert_allclose(found.returns[1, j, i], np.mean(returns, 0)[1], atol=1e-6)


@pytest.mark.slow
def test_who_joins_at_the_end_changes_no_game(rps):
    players = strategies(rps, [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6])
    few, all_ = (tournament(jax.random.key(4), rps, p, 5, 1, False) for p in (players[:2], players))
    np.testing.assert_array_equal(few.wins, all_.wins[:, :2, :2])
    np.testing.assert_array_equal(few.returns, all_.returns[:, :2, :2])


def test_players_of_one_policy_share_a_program(rps):
    one, two = strategies(rps, [1, 0, 0], [0, 1, 0])
    other, *_ = strategies(rps, [1, 0, 0])  # the same in another object
    longer = one._replace(params=jnp.zeros(4))
    assert kinds_of([one, Player(random_policy(rps), ()), two, other, longer]) == [
        [0, 2], [1], [3], [4]
    ]  # fmt: skip


def test_an_episode_cut_off_is_a_draw():
    env = from_payoffs([RPS, -RPS], num_rounds=3)
    players = strategies(env, [1, 0, 0], [0, 1, 0])
    found = tournament(jax.random.key(0), env, players, 2, 2)
    np.testing.assert_array_equal(found.draws.sum(0), [[0, 4], [4, 0]])
    assert found.returns[0][0, 1] == -2


def test_standings_of_rock_paper_scissors_with_a_copy(pure):
    """Scissors stand twice: together they weigh what paper does (Balduzzi et al., 2018)."""
    table = standings(pure)
    np.testing.assert_allclose(table.nash_mass, [1 / 3, 1 / 3, 1 / 6, 1 / 6], atol=1e-4)
    np.testing.assert_allclose(table.nash_rating, 0, atol=1e-4)
    # rock beats both scissors: 2.5 points of 3, so above the rest; paper 1, scissors 1.5 of 3
    np.testing.assert_allclose(table.win_rates.rate, [2 / 3, 1 / 3, 0.5, 0.5])
    np.testing.assert_array_equal(table.order, [0, 2, 3, 1])
    assert table.elo[0] > table.elo[2] > table.elo[1] and abs(table.elo.sum()) < 1e-3
    np.testing.assert_allclose(table.elo[2], table.elo[3], atol=1e-3)
    np.testing.assert_allclose(table.alpha_rank.sum(), 1, rtol=1e-6)


@pytest.mark.slow
def test_a_battle_of_three():
    """A mean-field world: all who act at random are equal, and a battle has two sides."""
    env = battle(map_size=12, num_red=4, num_blue=4, max_steps=6)
    players = [Player(random_policy(env), ())] * 3
    found = tournament(jax.random.key(0), env, players, 2, 6)
    assert (sum(x.sum(0) for x in found[:3]) == 4 * (1 - np.eye(3))).all()


def test_mistakes_are_said(rps):
    one, two = strategies(rps, [1, 0, 0], [0, 1, 0])
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="players: expected at least two, got 1"):
        tournament(key, rps, [one], 2, 1)
    with pytest.raises(ValueError, match="num_episodes: expected at least 1, got 0"):
        tournament(key, rps, [one, two], 0, 1)
    with pytest.raises(ValueError, match="environment: expected a world of two teams, got 1"):
        tournament(key, simple_spread(), [one, two], 2, 1)
    with pytest.raises(ValueError, match="a world of two teams, got 3"):
        tournament(key, from_payoffs(np.arange(24.0).reshape(3, 2, 2, 2)), [one, two], 2, 1)


def test_rates_of_nobody_are_no_number():
    none = np.zeros((2, 2, 2), np.int64)
    rates = pair_win_rates(Tournament(none, none, none, none * np.nan))
    assert np.isnan(rates.rate).all() and np.isnan(rates.low).all()
    assert matrix_game("climbing").is_team  # one team alone cannot meet in a tournament
