"""The rules by which studies judge themselves, by hand."""

import numpy as np
import pytest

from jaxmarl_core.experiments.studies import nash_q_grid, particles_harl, qtran_matrix


@pytest.mark.parametrize(
    ("pair", "game", "figures"),
    [
        (("single", "best"), 1, [0.76]),
        (("single", "first"), 2, [0.54, 0.62]),  # and of single and second
        (("first", "first"), 2, [0.68, 0.9]),
        (("first", "second"), 1, [0.6]),  # exchanged, it is the same pair
    ],
)
def test_which_equilibrium_is_first_is_a_matter_of_labels(pair, game, figures):
    assert nash_q_grid.published_figures(pair, game) == figures


def test_shares_agree_within_three_standard_errors_of_both():
    """Of 50 runs half and of 100 at most half: 3 sqrt(0.25 / 50 + 0.25 / 100) = 0.26."""
    for found, agrees in ((0.5 + 0.259, True), (0.5 + 0.261, False), (0.5 - 0.259, True)):
        assert nash_q_grid.agrees(found, 0.5, 100) is agrees


def test_a_table_is_read_as_it_was_written():
    table = qtran_matrix.table_of("8.00, -12.02, 1; 2, 3, 4; 5, 6, -7")
    np.testing.assert_array_equal(table, [[8, -12.02, 1], [2, 3, 4], [5, 6, -7]])


def test_learners_begin_below_where_they_end():
    """Or half of the way would not be one upwards."""
    for place in particles_harl.WORLDS:
        assert all(place.first < last for last in place.harl)
