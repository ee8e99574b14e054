"""Nash averaging against the paper's examples, and an independent maximum of entropy (scipy)."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxmarl_core.solvers.normal_form import zero_sum
from jaxmarl_core.solvers.rankings import nash_averaging, win_logits

CYCLE = np.array([[0, 4.6, -4.6], [-4.6, 0, 4.6], [4.6, -4.6, 0]])


def copied(payoff, *rows):
    return payoff[np.ix_(rows, rows)]


def most_entropy(payoff):
    """max entropy such that payoff p <= 0, p a distribution, by sequential quadratic programs."""
    size = len(payoff)
    found = optimize.minimize(
        lambda p: float(np.sum(p * np.log(np.maximum(p, 1e-12)))),
        np.asarray(zero_sum(jnp.asarray(payoff)).row, float) * 0.9 + 0.1 / size,
        jac=lambda p: 1 + np.log(np.maximum(p, 1e-12)),
        bounds=[(0, 1)] * size,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones(size)},
            {"type": "ineq", "fun": lambda p: -payoff @ p, "jac": lambda p: -payoff},
        ],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    return found.x


def test_a_cycle_is_even_and_a_copy_shares_its_weight():
    """Balduzzi et al., 2018: agents A, B, C, then C twice."""
    np.testing.assert_allclose(nash_averaging(CYCLE).mass, np.full(3, 1 / 3), atol=1e-6)
    found = nash_averaging(copied(CYCLE, 0, 1, 2, 2))
    np.testing.assert_allclose(found.mass, [1 / 3, 1 / 3, 1 / 6, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(found.rating, 0, atol=1e-6)
    many = nash_averaging(copied(CYCLE, 0, 0, 0, 0, 1, 2, 2))
    np.testing.assert_allclose(many.mass, [1 / 12] * 4 + [1 / 3] + [1 / 6] * 2, atol=1e-6)


def test_who_beats_all_weighs_all_and_ratings_are_odds_against_it():
    payoff = np.array([[0, 1, 2], [-1, 0, 3], [-2, -3, 0]], float)
    found = nash_averaging(payoff)
    np.testing.assert_allclose(found.mass, [1, 0, 0], atol=1e-7)
    np.testing.assert_allclose(found.rating, [0, -1, -2], atol=1e-6)


def test_equals_are_all_weighed():
    """Not a vertex: of no differences, the even mixture; scaling changes nothing."""
    np.testing.assert_allclose(nash_averaging(np.zeros((4, 4))).mass, 0.25)
    biased = np.array([[0, -0.5, 1], [0.5, 0, -0.1], [-1, 0.1, 0]])
    for scale in (1e-4, 1, 1e4):
        found = nash_averaging(scale * biased)
        np.testing.assert_allclose(found.mass, np.array([1, 10, 5]) / 16, atol=1e-6)


def two_cycles(a):
    """Two rock-paper-scissors, of which the second's players each gain `a` on the first's."""
    rps = np.sign(CYCLE)
    return np.block([[rps, -a * np.ones((3, 3))], [a * np.ones((3, 3)), 0.5 * rps]])


def tied(seed):
    """Random payoffs of -1, 0, 1: equilibria are many."""
    a = np.triu(np.random.default_rng(seed).integers(-1, 2, (6, 6)), 1).astype(float)
    return a - a.T


@pytest.mark.parametrize(
    "payoff",
    [two_cycles(0.0), two_cycles(0.3), *(tied(seed) for seed in range(12))],
    ids=["even", "uneven", *(f"tied{seed}" for seed in range(12))],
)
def test_nobody_beats_it_and_no_such_mixture_has_more_entropy(payoff):
    found = nash_averaging(payoff)
    assert bool(found.converged) and (payoff @ np.asarray(found.mass)).max() < 1e-5
    assert abs(float(zero_sum(jnp.asarray(payoff)).value)) < 1e-5
    np.testing.assert_allclose(found.mass, most_entropy(payoff), atol=2e-4)


@pytest.mark.parametrize("size", [2, 7, 40])
def test_random_games_are_those_of_the_simplex_method(size):
    """Generic antisymmetric games have one equilibrium, which `zero_sum` finds, too."""
    a = np.random.default_rng(size).normal(size=(size, size))
    found, solved = nash_averaging(a - a.T), zero_sum(jnp.asarray(a - a.T))
    assert bool(found.converged) and bool(solved.converged)
    np.testing.assert_allclose(found.mass, solved.row, atol=1e-4)


def test_logits_of_wins():
    """log(odds), a draw half; the prior of one drawn game adds a half to both."""
    wins, draws = (
        np.array([[0, 9, 20], [3, 0, 5], [0, 5, 0]]),
        np.array([[0, 4, 0], [4, 0, 0], [0, 0, 0]]),
    )
    found = win_logits(wins, draws, prior=0.0)
    np.testing.assert_allclose(found[0, 1], np.log(11 / 5), rtol=1e-6)
    assert np.isinf(found[0, 2]) and found[1, 2] == 0
    found = win_logits(wins, draws)
    np.testing.assert_allclose(found, -found.T)
    np.testing.assert_allclose(found[0, 2], np.log(20.5 / 0.5), rtol=1e-6)


def test_jit_vmap_and_permutations(variant):
    payoff = jnp.asarray(two_cycles(0.3), jnp.float32)
    plain = nash_averaging(payoff)
    np.testing.assert_allclose(
        variant(lambda a: nash_averaging(a).mass)(payoff), plain.mass, atol=1e-6
    )
    order = jnp.array([5, 3, 0, 1, 4, 2])
    found = nash_averaging(payoff[order][:, order])
    np.testing.assert_allclose(found.mass, plain.mass[order], atol=1e-6)


def test_mistakes_are_said():
    with pytest.raises(ValueError, match="payoff: expected a square matrix"):
        nash_averaging(np.ones((2, 3)))
    with pytest.raises(ValueError, match="wins: expected shape"):
        win_logits(np.ones((2, 3)))
