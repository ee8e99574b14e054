"""alpha-rank against published masses, closed forms, and a plain loop in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.rankings import alpha_rank, alpha_rank_profiles, fixation_probability

RPS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], float)
BIASED = np.array([[0, -0.5, 1], [0.5, 0, -0.1], [-1, 0.1, 0]])  # its Nash is (1, 10, 5) / 16
SEXES = np.array([[[3, 0], [0, 2]], [[2, 0], [0, 3]]], float)


def han():
    """Han et al., 2013, J. R. Soc. Interface 10: commitments in a prisoner's dilemma."""
    r, t, p, s, delta, eps = 1.0, 2.0, 0.0, -1.0, 4.0, 0.25
    return np.array([
        [r - eps / 2, r - eps, 0, s + delta - eps, r - eps],
        [r, r, s, s, s],
        [0, t, p, p, p],
        [t - delta, t, p, p, p],
        [r, t, p, p, p],
    ])  # fmt: skip


def by_loop(rates):
    """The stationary distribution of a chain with these rates, by linear equations."""
    rates = rates / rates.sum(1).max() / 2
    chain = rates + np.diag(1 - rates.sum(1))
    equations = np.vstack([chain.T - np.eye(len(chain)), np.ones(len(chain))])
    return np.linalg.lstsq(equations, np.append(np.zeros(len(chain)), 1.0), rcond=None)[0]


def fixation(u, m):
    """1 / (1 + sum_l prod exp(-u)), a sum of m terms."""
    return 1 / sum(np.exp(-u * k) for k in range(m))


def test_published_masses():
    """As OpenSpiel's test has them for that paper's table: m = 20, alpha = 0.1."""
    expected = [0.40966787, 0.07959841, 0.20506998, 0.08505983, 0.2206039]
    np.testing.assert_allclose(alpha_rank(han(), 0.1, 20, "global"), expected, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 100.0, 1e4, None])
def test_rock_paper_scissors_is_a_cycle(alpha):
    np.testing.assert_allclose(alpha_rank(RPS, alpha), np.full(3, 1 / 3), atol=1e-5)


def test_the_biased_game_has_a_third_each_where_alpha_is_large():
    """Omidshafiei et al., 2019: unlike its Nash equilibrium, the cycle is even."""
    for alpha in (100.0, 1e4, None):
        np.testing.assert_allclose(alpha_rank(BIASED, alpha), np.full(3, 1 / 3), atol=1e-5)
    assert alpha_rank(BIASED, 1.0)[1] > 0.6  # weak selection: paper, which loses least


def test_battle_of_the_sexes_keeps_to_its_two_equilibria():
    """Half each, nothing else."""
    for alpha in (10.0, 100.0, None):
        np.testing.assert_allclose(
            alpha_rank_profiles(SEXES, alpha), [[0.5, 0], [0, 0.5]], atol=1e-5
        )


def test_the_dominant_strategy_has_all():
    dilemma = np.array([[-1, -3], [0, -2]], float)
    np.testing.assert_allclose(alpha_rank(dilemma), [0, 1], atol=1e-6)
    profiles = alpha_rank_profiles(np.stack([dilemma, dilemma.T]))
    np.testing.assert_allclose(profiles, [[0, 0], [0, 1]], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.5])
@pytest.mark.parametrize("selection", ["local", "global"])
def test_one_population_equals_a_loop(alpha, selection):
    rng, m = np.random.default_rng(0), 8
    payoff = rng.normal(size=(5, 5))
    rates = np.zeros((5, 5))
    for s in range(5):
        for r in set(range(5)) - {s}:
            total, product = 1.0, 1.0
            for p in range(1, m):  # p individuals play r
                f_r = ((p - 1) * payoff[r, r] + (m - p) * payoff[r, s]) / (m - 1)
                f_s = ((m - p - 1) * payoff[s, s] + p * payoff[s, r]) / (m - 1)
                if selection == "local":
                    f_r, f_s = payoff[r, s], payoff[s, r]
                product *= np.exp(-alpha * (f_r - f_s))
                total += product
            rates[s, r] = 1 / total
    np.testing.assert_allclose(alpha_rank(payoff, alpha, m, selection), by_loop(rates), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.3, None])
def test_populations_equal_a_loop(alpha):
    rng, m, shape = np.random.default_rng(1), 6, (2, 3, 2)
    payoffs = rng.normal(size=(3, *shape))
    profiles = list(np.ndindex(shape))
    rates = np.zeros((12, 12))
    for a, here in enumerate(profiles):
        for b, there in enumerate(profiles):
            changed = [k for k in range(3) if here[k] != there[k]]
            if len(changed) == 1:
                gain = payoffs[changed[0]][there] - payoffs[changed[0]][here]
                limit = 1 - 1e-6 if gain > 0 else 1e-6
                rates[a, b] = limit if alpha is None else fixation(alpha * gain, m)
    found = alpha_rank_profiles(payoffs, alpha, m).reshape(-1)
    np.testing.assert_allclose(found, by_loop(rates), rtol=1e-4, atol=1e-6)


def test_the_limit_breaks_ties_as_a_large_alpha_does():
    """A copy of rock: with it the cycle goes through either, and drifts between them, 1 in m."""
    copies = RPS[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]
    limit, large = alpha_rank(copies, None, 10), alpha_rank(copies, 1e4, 10)
    np.testing.assert_allclose(limit, large, atol=1e-5)
    assert limit[0] == limit[1]


@pytest.mark.parametrize("m", [2, 7, 50])
def test_fixation_at_all_sizes(m):
    u = np.array([-3.0, -0.4, -1e-6, 0.0, 1e-12, 1e-6, 0.4, 3.0])
    np.testing.assert_allclose(fixation_probability(u, m), [fixation(x, m) for x in u], 2e-5, 1e-30)
    ends = fixation_probability(np.array([-1e6, 1e6, -88.0]), m)
    np.testing.assert_allclose(ends[:2], [0, 1])
    assert np.isfinite(ends).all()


def test_masses_that_others_lose_to_rounding():
    """Two conventions, one worse by 1e-3: its share is exp(-alpha (m - 1) 1e-3), at any alpha.

    From convention to convention leads one mutant, gains +-g / (m - 1) a step: the ratio of masses
    is that of fixation probabilities, exp(alpha (m - 1) gain).
    """
    game = np.array([[0.0, 0.3], [0.301, 0.0]])  # local: 1 earns 0.001 more when they meet
    for alpha in (10.0, 100.0):
        mass = np.asarray(alpha_rank(game, alpha, 50), np.float64)
        np.testing.assert_allclose(np.log(mass[1] / mass[0]), alpha * 49 * 0.001, rtol=1e-3)
    assert np.isfinite(alpha_rank(1000 * np.random.default_rng(0).normal(size=(9, 9)), 1e3)).all()


def test_jit_vmap_and_permutations(variant):
    payoff = jnp.asarray(np.random.default_rng(5).normal(size=(4, 4)), jnp.float32)
    plain = alpha_rank(payoff, 2.0, 10)
    rank = lambda payoff: alpha_rank(payoff, 2.0, 10)
    np.testing.assert_allclose(variant(rank)(payoff), plain, rtol=1e-5)
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(rank(payoff[order][:, order]), plain[order], rtol=1e-4)
    alphas = jnp.array([0.1, 1.0])
    swept = jax.vmap(lambda alpha: alpha_rank(payoff, alpha, 10))(alphas)
    np.testing.assert_allclose(swept[1], alpha_rank(payoff, 1.0, 10), rtol=1e-5)


def test_mistakes_are_said():
    with pytest.raises(ValueError, match="payoff: expected a square matrix"):
        alpha_rank(np.ones((2, 3)))
    with pytest.raises(ValueError, match="selection: expected"):
        alpha_rank(RPS, selection="other")
    with pytest.raises(ValueError, match="population: expected at least 2, got 1"):
        alpha_rank(RPS, population=1)
    with pytest.raises(ValueError, match=r"payoffs: expected shape \[N, A_1"):
        alpha_rank_profiles(np.ones((3, 2, 2)))
