"""Asymmetric Q against NumPy's enumeration of pure commitments, and games worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from stage_runs import ALWAYS_EXPLORE, learned, start_of

from jaxmarl_core.algos.tabular import asymmetric_q as module
from jaxmarl_core.algos.tabular.asymmetric_q import Config, asymmetric_q
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.envs import guarding_territory, matrix_game


def by_loops(leads, follows, rows, columns):
    """What the leader's best pure commitment is worth to it, in NumPy."""
    found = []
    for b in np.flatnonzero(rows):
        best = max(follows[b, c] for c in np.flatnonzero(columns))
        replies = [c for c in np.flatnonzero(columns) if follows[b, c] == best]
        found.append(max(leads[b, c] for c in replies))
    return max(found)


@pytest.mark.parametrize("leader", [0, 1])
@pytest.mark.parametrize("player", [0, 1])
def test_stage_games_are_those_of_a_loop(leader, player):
    """Small whole numbers, so that the follower is often indifferent; a third is illegal."""
    rng = np.random.default_rng(leader)
    games = rng.integers(0, 4, (50, 2, 3, 4)).astype(np.float32)
    masks = [rng.random((50, size)) < 0.7 for size in (3, 4)]
    for mask in masks:
        mask[~mask.any(axis=1), 0] = True
    info = GameInfo(player, 1, (3, 4), (0, 1), None)
    solve = jax.jit(jax.vmap(lambda q, *masks: module.solve(info, q, masks, leader)))
    found = solve(games, *masks)
    assert found.solved.all()
    for i, (q, *legal) in enumerate(zip(games, *masks)):
        value = by_loops(q[1].T, q[0].T, *legal[::-1]) if leader else by_loops(q[0], q[1], *legal)
        assert found.value[i, leader] == value
        mine = np.asarray(found.strategy[i])
        if leader == player:  # of equally good commitments any will do
            assert mine.max() == 1 and legal[player][mine.argmax()]
        np.testing.assert_allclose(mine.sum(), 1)


def test_recorded_commitments():
    """Pure commitment values of another program's list of bimatrix games, either side leading."""
    solve = jax.jit(module.solve, static_argnums=(0, 3))
    for game in oracle("bimatrix.json")["bimatrix"]:
        q = jnp.array([game["A"], game["B"]], jnp.float32)
        masks = tuple(jnp.ones(size, bool) for size in q.shape[1:])
        for leader, side in enumerate(("row", "col")):
            info = GameInfo(leader, 1, q.shape[1:], (0, 1), None)
            recorded = game[f"stackelberg_{side}_leads"]["pure_commitment_value"]
            found = solve(info, q, masks, leader).value[leader]
            np.testing.assert_allclose(found, recorded, rtol=1e-5, atol=1e-5)


def test_leading_pays_in_chicken():
    """Who leads dares; the other swerves. Learnt by play, at gamma 0."""
    env = matrix_game("chicken", num_rounds=None)
    best = np.asarray(env.payoffs).max(axis=(1, 2))
    for leader in (0, 1):
        algorithm = asymmetric_q(env, Config(100, rate="constant", leader=leader))
        tables, _ = learned(algorithm, env, 100, 2, gamma=0.0, **ALWAYS_EXPLORE)
        for table in tables.values():
            np.testing.assert_allclose(table.stage.value[:, 0, 0, leader], best[leader])


@pytest.mark.slow
def test_who_shows_its_hand_in_a_race_loses_it():
    """Guarding a territory, gamma 0.9: told where the invader goes, the defender catches it.

    Then the invader has -1, and without the hint it has 4. A defender who leads is passed, which
    costs it 10 a step later: -9.
    """
    env = guarding_territory()
    for leader, value in ((0, [-9, 9]), (1, [1, -1])):
        algorithm = asymmetric_q(env, Config(200, rate="constant", leader=leader))
        tables, _ = learned(algorithm, env, 1000, 2, **ALWAYS_EXPLORE)
        for table in tables.values():
            found = table.stage.value[:, 0, start_of(env)]
            np.testing.assert_allclose(found, [value] * 2, atol=1e-4)


def test_what_cannot_be_solved_shows():
    info = GameInfo(0, 1, (2, 2), (0, 1), None)
    every = (jnp.ones(2, bool),) * 2
    assert not module.solve(info, jnp.full((2, 2, 2), jnp.nan), every, 0).solved


def test_it_takes_two():
    with pytest.raises(ValueError, match="asymmetric_q: expected two players, got 3"):
        asymmetric_q(matrix_game("coordination", num_agents=3))
    with pytest.raises(ValueError, match="leader: expected player 0 or 1, got 2"):
        Config(leader=2)
