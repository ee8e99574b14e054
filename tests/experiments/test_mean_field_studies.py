"""What the studies of mean-field learners measure, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.experiments.studies import ising_order, mean_field_toy


def test_a_value_after_its_visits():
    path = np.array([0, 0, 0.2, 0.2, 0.38, 0.38, 0.38, 0.542])
    np.testing.assert_array_equal(mean_field_toy.after_visits(path), [0.2, 0.38, 0.542])


def test_the_toy_s_figures_are_those_of_a_tenth_of_the_way_to_two():
    value = [2 * (1 - 0.9**n) for n in range(8)]
    for visits, published in mean_field_toy.PUBLISHED.items():
        assert abs(value[visits] - published) <= mean_field_toy.TOLERANCE


@pytest.mark.slow
def test_the_toy_is_learnt_as_published():
    claims, _ = mean_field_toy.measure(3)
    assert all(claim.met is True for claim in claims), claims


def test_order_is_taken_colour_by_colour():
    """A chessboard has mean spin 0, and is as ordered as can be."""
    board = jnp.float32((-1.0) ** (np.arange(4)[:, None] + np.arange(4)))
    assert ising_order.order(board) == ising_order.order(jnp.ones((4, 4))) == 1.0
    one_turned = jnp.ones((4, 4)).at[0, 1].set(-1.0)  # of eight black ones
    np.testing.assert_allclose(ising_order.order(one_turned), (1 + 6 / 8) / 2)


def test_coins_have_the_order_that_is_said_of_them():
    spins = jax.random.rademacher(jax.random.key(0), (4000, 10, 10), jnp.float32)
    found = jax.vmap(ising_order.order)(spins).mean()
    np.testing.assert_allclose(found, ising_order.by_coins(10), rtol=0.03)


def test_the_order_of_the_infinite_lattice():
    """At tau 1 the textbook's temperature is 2: sinh(1)^-4 = 0.5242, and its 8th root is taken."""
    np.testing.assert_allclose(ising_order.onsager(np.array([1.0])), 0.4758**0.125, rtol=1e-3)
    around = ising_order.CRITICAL_TEMPERATURE + np.array([-1e-4, 1e-4])
    assert ising_order.onsager(around)[0] > 0.3 and ising_order.onsager(around)[1] == 0


def test_the_onset_lies_on_the_line_between_two_temperatures():
    orders = np.where(ising_order.TEMPERATURES < 1.15, 0.8, 0.2)
    np.testing.assert_allclose(ising_order.onset(orders), 1.15)


def test_cold_learners_order_and_hot_ones_do_not(monkeypatch):
    monkeypatch.setattr(ising_order, "TEMPERATURES", np.array([0.3, 30.0]))
    cold, hot = ising_order.learners(4, "current", 4, 400)
    assert np.median(cold) > 0.95 and hot.max() < 0.5
