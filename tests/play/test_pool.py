"""A pool's places, win rates and draws, against hand-worked numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.play.opponents import with_pool
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.pool import DRAWS, EMPTY, add, draw_weights, new_pool, record, win_rates

# win rates 3/4, 1/2 for want of games, 1/4; the fourth place is empty
POOL = new_pool(jnp.float32(10), 4)
POOL = add(add(POOL, jnp.float32(11)), jnp.float32(12))
POOL = record(POOL, jnp.array([3.0, 0, 1, 0]), jnp.array([4.0, 0, 4, 0]))

EXPECTED = {
    "uniform": [1 / 3, 1 / 3, 1 / 3, 0],
    "latest": [0, 0, 1, 0],
    # (1/4)^2, (1/2)^2, (3/4)^2 = 1/16, 4/16, 9/16
    "hard": [1 / 14, 4 / 14, 9 / 14, 0],
    # 3/16, 4/16, 3/16
    "even": [3 / 10, 4 / 10, 3 / 10, 0],
}


def test_newcomers_take_empty_places_and_then_the_oldests():
    pool = new_pool({"w": jnp.zeros(2)}, 3)
    assert pool.entries.tolist() == [0, EMPTY, EMPTY]
    for i in range(1, 5):
        pool = record(pool, jnp.ones(3), jnp.ones(3))
        pool = jax.jit(add)(pool, {"w": jnp.full(2, float(i))})
    # 0 1 2, then 3 in the place of 0, and 4 of 1
    assert pool.entries.tolist() == [3, 4, 2]
    assert pool.params["w"][:, 0].tolist() == [3, 4, 2]
    assert pool.games.tolist() == [1, 0, 2]  # a newcomer has played nothing
    assert pool.num_added == 5


def test_win_rates():
    np.testing.assert_allclose(win_rates(POOL), [0.75, 0.5, 0.25, 0.5])


def test_older_games_count_less():
    pool = record(new_pool(jnp.zeros(()), 1), jnp.array([2.0]), jnp.array([2.0]))
    pool = record(pool, jnp.array([0.5]), jnp.array([2.0]), decay=0.5)
    # two games later the first two count a quarter each
    np.testing.assert_allclose((pool.score, pool.games), [[2 / 4 + 0.5], [2 / 4 + 2]])


def test_every_draw_is_tested():
    assert set(EXPECTED) == set(DRAWS)


@pytest.mark.parametrize("draw", EXPECTED)
def test_weights_are_the_papers(draw):
    np.testing.assert_allclose(draw_weights(POOL, draw), EXPECTED[draw], atol=1e-6)


@pytest.mark.parametrize("draw", EXPECTED)
def test_episodes_are_drawn_as_often_as_they_should_be(draw):
    env = matrix_game("rock_paper_scissors")
    world = with_pool(env, ["player_1"], random_policy(env), POOL, draw_weights(POOL, draw))
    start = jax.jit(jax.vmap(lambda key: world.initial(key).drawn))
    drawn = start(jax.random.split(jax.random.key(0), 10_000))
    counts = np.bincount(drawn.slot, minlength=4)
    there = np.array(EXPECTED[draw]) > 0
    assert counts[~there].sum() == 0
    if there.sum() > 1:
        assert chisquare(counts[there], 10_000 * np.array(EXPECTED[draw])[there]).pvalue > 1e-3


def test_power_sharpens():
    # 1/4, 1/2, 3/4 for 1; for 0 all alike
    np.testing.assert_allclose(draw_weights(POOL, "hard", 1.0), [1 / 6, 2 / 6, 3 / 6, 0], atol=1e-6)
    np.testing.assert_allclose(draw_weights(POOL, "hard", 0.0), EXPECTED["uniform"], atol=1e-6)


@pytest.mark.parametrize("draw", ["hard", "even"])
def test_where_all_are_beaten_all_are_drawn(draw):
    pool = record(new_pool(jnp.zeros(()), 2), jnp.array([5.0, 0]), jnp.array([5.0, 0]))
    np.testing.assert_allclose(draw_weights(pool, draw), [1, 0])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="did you mean 'uniform'"):
        draw_weights(POOL, "unifrom")
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        new_pool(jnp.zeros(()), 0)
