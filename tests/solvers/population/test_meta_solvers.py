"""Meta-solvers on games whose solutions are known, and with absent members."""

import numpy as np
import pytest

from jaxmarl_core.solvers.population import (
    META_SOLVERS,
    meta_strategies,
    projected_replicator_dynamics,
)
from jaxmarl_core.solvers.rankings import alpha_rank_profiles

RPS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
ZERO_SUM = np.stack([RPS, -RPS])


@pytest.mark.parametrize("name", META_SOLVERS)
def test_rock_paper_scissors_is_mixed_evenly(name):
    for strategy in meta_strategies(ZERO_SUM, name):
        np.testing.assert_allclose(strategy, 1 / 3, atol=1e-3)


@pytest.mark.parametrize("name", META_SOLVERS)
def test_who_is_not_there_counts_for_nothing(name):
    padded = np.full((2, 5, 4), 99.0)
    padded[:, [0, 2, 3]] = -99.0
    padded[:, :3, :3] = ZERO_SUM
    rows, columns = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 1, 0], bool)
    row, column = meta_strategies(padded, name, rows, columns)
    assert row[3:].tolist() == [0, 0] and column[3:].tolist() == [0]
    np.testing.assert_allclose(row[:3], 1 / 3, atol=1e-3)
    np.testing.assert_allclose(column[:3], 1 / 3, atol=1e-3)


def test_nash_of_a_game_that_is_not_zero_sum():
    # battle of the sexes: (0, 0), (1, 1), or each its own with 3/5
    payoffs = np.array([[[3.0, 0], [0, 2]], [[2.0, 0], [0, 3]]])
    row, column = meta_strategies(payoffs, "nash")
    worth = (payoffs[0] @ column, row @ payoffs[1])
    for strategy, each in zip((row, column), worth):
        np.testing.assert_allclose(strategy @ each, each.max(), atol=1e-5)


def test_payments_to_both_do_not_matter_to_nash():
    row, column = meta_strategies(ZERO_SUM + 5, "nash")
    np.testing.assert_allclose((row, column), 1 / 3, atol=1e-5)


def test_alpha_rank_is_that_of_the_rankings():
    payoffs = np.random.default_rng(0).normal(size=(2, 3, 2))
    mass = np.asarray(alpha_rank_profiles(payoffs, alpha=None))
    row, column = meta_strategies(payoffs, "alpha_rank")
    np.testing.assert_allclose(row, mass.sum(1), atol=1e-4)
    np.testing.assert_allclose(column, mass.sum(0), atol=1e-4)


def test_projected_replicators_find_the_dominant_actions():
    """OpenSpiel's test: both play their first action with more than 0.999."""
    a = np.array([[2, 1, 0], [0, -1, -2]], float)
    row, column = projected_replicator_dynamics(
        np.stack([a, a]), num_steps=50_000, least=1e-8, average_last=10
    )
    assert row[0] > 0.999
    assert column[0] > 0.99


def test_projected_replicators_step_as_the_equation_says():
    payoffs = np.random.default_rng(1).normal(size=(2, 3, 4))
    row, column = np.full(3, 1 / 3), np.full(4, 1 / 4)
    for _ in range(3):
        u, v = payoffs[0] @ column, row @ payoffs[1]
        row, column = (
            row + 0.1 * row * (u - row @ u), column + 0.1 * column * (v - column @ v)
        )  # fmt: skip
    # nothing is below the least share, so that the projection leaves it as it is
    ours = projected_replicator_dynamics(
        payoffs, num_steps=3, step_size=0.1, least=1e-3, average_last=1
    )
    np.testing.assert_allclose(ours[0], row, atol=1e-6)
    np.testing.assert_allclose(ours[1], column, atol=1e-6)


def test_projected_replicators_keep_everybody():
    payoffs = np.stack([np.array([[1.0], [0.0], [-1.0]]), np.zeros((3, 1))])
    row, _ = projected_replicator_dynamics(payoffs, least=0.01, step_size=0.1, num_steps=2000,
                                           average_last=1)  # fmt: skip
    np.testing.assert_allclose(row, [0.98, 0.01, 0.01], atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="did you mean 'nash'"):
        meta_strategies(ZERO_SUM, "nahs")
    with pytest.raises(ValueError, match=r"payoffs: expected shape \[2, A, B\]"):
        meta_strategies(RPS, "nash")
    with pytest.raises(ValueError, match="rows: expected somebody"):
        meta_strategies(ZERO_SUM, "nash", rows=np.zeros(3, bool))
