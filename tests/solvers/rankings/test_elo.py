"""Elo against closed forms, a plain MM loop (Hunter, 2004), and the games that ratings made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.rankings import elo
from jaxmarl_core.solvers.rankings.elo import expected_score


def minorised(points, steps=20_000):
    """Ratings by the algorithm of Zermelo, 1929: p_i = points_i / sum_j games_ij / (p_i + p_j)."""
    games, p = points + points.T, np.ones(len(points))
    for _ in range(steps):
        p = points.sum(1) / (games / (p[:, None] + p[None])).sum(1)
        p /= np.exp(np.log(p).mean())
    return 400 * np.log10(p)


def some_games(seed, size=5, num=30):
    rng = np.random.default_rng(seed)
    wins = rng.integers(1, num, (size, size))
    draws = rng.integers(0, 10, (size, size))
    np.fill_diagonal(wins, 0)
    return wins, np.triu(draws, 1) + np.triu(draws, 1).T


def test_two_players_have_the_odds_they_played():
    """10 to 1 are 400 points; a draw is half a win to both."""
    np.testing.assert_allclose(elo([[0, 10], [1, 0]]).rating, [200, -200], rtol=1e-6)
    drawn = elo([[0, 9.5], [0.5, 0]], [[0, 1], [1, 0]], mean=1500)
    np.testing.assert_allclose(drawn.rating, [1700, 1300], rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_loop(seed):
    wins, draws = some_games(seed)
    found = elo(wins, draws)
    assert bool(found.converged)
    np.testing.assert_allclose(found.rating, minorised(wins + draws / 2), atol=1e-2)


def test_points_expected_are_points_scored():
    """What makes it the maximum of the likelihood; with a prior, games drawn on top count."""
    wins, draws = some_games(7)
    games = wins + wins.T + draws + 2.0 * ~np.eye(5, dtype=bool)
    expected = (games * np.asarray(expected_score(elo(wins, draws, prior=2.0).rating))).sum(1)
    scored = (wins + draws / 2 + ~np.eye(5, dtype=bool)).sum(1)
    np.testing.assert_allclose(expected, scored, rtol=1e-5)


def test_ratings_are_found_again_in_the_games_they_make():
    true = np.array([310.0, 120.0, 0.0, -90.0, -340.0])
    chance = 1 / (1 + 10 ** ((true[None] - true[:, None]) / 400))
    np.testing.assert_allclose(elo(1000 * chance).rating, true, atol=1e-2)
    np.testing.assert_allclose(expected_score(true), chance, atol=1e-6)


@pytest.mark.parametrize(
    ("wins", "exists"),
    [
        ([[0, 5], [0, 0]], False),  # unbeaten
        ([[0, 1, 5, 5], [1, 0, 5, 5], [0, 0, 0, 3], [0, 0, 3, 0]], False),  # two camps
        ([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 3], [0, 0, 3, 0]], False),  # who never met
        ([[0, 5, 0], [0, 0, 5], [5, 0, 0]], True),  # a cycle
    ],
)
def test_the_unbeaten_have_no_rating_without_a_prior(wins, exists):
    found = elo(wins)
    assert bool(found.exists) == bool(found.converged) == exists
    assert np.isfinite(found.rating).all() == exists
    if exists:
        np.testing.assert_allclose(found.rating, 0, atol=1e-4)
    hedged = elo(wins, prior=0.1)
    assert bool(hedged.converged)
    np.testing.assert_allclose(
        hedged.rating, minorised(np.array(wins) + 0.05 * ~np.eye(len(wins), dtype=bool)), atol=0.1
    )


def test_one_sided_and_large():
    """A chain of favourites, 1e6 to 1, and forty players: still found."""
    wins = np.triu(np.full((6, 6), 1e6), 1) + np.tril(np.ones((6, 6)), -1)
    assert bool(elo(wins).converged)
    rng = np.random.default_rng(0)
    many = rng.integers(0, 50, (40, 40))
    found = elo(many, prior=1.0)
    assert bool(found.converged) and abs(float(found.rating.mean())) < 1e-3


def test_jit_vmap_and_permutations(variant):
    wins, draws = some_games(3)
    wins, draws = (jnp.asarray(x, jnp.float32) for x in (wins, draws))
    plain = elo(wins, draws, 1.0).rating
    rate = lambda wins, draws: elo(wins, draws, 1.0).rating
    np.testing.assert_allclose(variant(rate)(wins, draws), plain, rtol=1e-5)
    order = jnp.array([3, 1, 4, 0, 2])
    swapped = rate(wins[order][:, order], draws[order][:, order])
    np.testing.assert_allclose(swapped, plain[order], rtol=1e-4)


def test_wrong_shapes_are_said():
    with pytest.raises(ValueError, match="wins: expected shape"):
        elo(np.ones((2, 3)))
    with pytest.raises(ValueError, match="wins, draws: expected equal shapes"):
        elo(np.ones((2, 2)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="rating: expected a list"):
        expected_score(np.ones((2, 2)))
    assert jax.eval_shape(elo, jnp.ones((3, 3))).rating.shape == (3,)
