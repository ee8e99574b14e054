"""The arithmetic of halving, against the tables of Li et al., 2018."""

import numpy as np
import pytest

from jaxmarl_core.sweeps.search.halving import Halving, best, shares


def test_the_brackets_are_those_of_hyperbands_table():
    """Li et al., 2018, arXiv:1603.06560, table 1: R = 81, eta = 3, s = 4 ... 0."""
    published = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    halving = Halving(min_updates=1, eta=3, brackets=5)
    total = sum(rows[0][0] for rows in published)
    found = [[] for _ in published]
    for stage in halving.course(total, 81):
        found[stage.bracket].append((stage.num_configurations, stage.end))
    assert found == published


def test_stages_of_a_bracket_follow_each_other():
    stages = Halving(min_updates=5, eta=2).course(9, 50)
    assert [(s.start, s.end, s.num_configurations) for s in stages] == [
        (0, 5, 9), (5, 10, 4), (10, 20, 2), (20, 40, 1), (40, 50, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("total", "weights"), [(7, [1, 1, 1]), (143, [81, 34, 15]), (3, [9, 1, 1])]
)
def test_shares_sum_up_and_leave_nobody_out(total, weights):
    found = shares(total, weights)
    assert sum(found) == total and min(found) >= 1
    exact = np.asarray(weights) / np.sum(weights) * total
    assert all(abs(found - exact) < 1) or min(exact) < 1


def test_configurations_are_dealt_in_full_and_the_same_each_time():
    halving = Halving(min_updates=1, eta=3, brackets=3, seed=4)
    dealt = halving.deal(30, 9)
    assert np.bincount(dealt).tolist() == halving.sizes(30, 9)
    np.testing.assert_array_equal(dealt, halving.deal(30, 9))
    assert sorted(dealt.tolist()) != dealt.tolist()  # neighbours of a grid are spread


def test_the_best_by_either_sense_and_without_a_figure_last():
    figures = [1.0, np.nan, 3.0, 3.0, -np.inf]
    assert best(figures, 2, True).tolist() == [False, False, True, True, False]
    assert best(figures, 1, True).tolist() == [False, False, True, False, False]
    assert best(figures, 4, True).tolist() == [True, False, True, True, True]
    assert best(figures, 2, False).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_updates": 0}, "search.min_updates: expected at least 1, got 0"),
        ({"min_updates": 1, "eta": 1}, "search.eta: expected at least 2, got 1"),
        ({"min_updates": 9}, r"search.min_updates: expected less than the updates of a run \(9\)"),
        ({"min_updates": 3, "brackets": 3}, "search.brackets: expected at most 2"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        Halving(**options).check(9)


def test_more_brackets_than_configurations_are_refused():
    with pytest.raises(ValueError, match="expected at most one for each of the 1"):
        Halving(min_updates=1, brackets=2).sizes(1, 9)
