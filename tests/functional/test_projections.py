"""The nearest probability vector against its optimality conditions; payoffs against sums."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional.projections import action_payoffs, project


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_projection_is_optimal(variant, size):
    """x - p is constant where p > 0 and no larger elsewhere: the conditions of Karush and Kuhn."""
    for seed in range(20):
        x = np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)
        p = np.asarray(variant(project)(jnp.asarray(x)))
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
        gap = x - p
        theta = gap[p > 0]
        np.testing.assert_allclose(theta, theta[0], atol=1e-5)
        assert (gap <= theta[0] + 1e-5).all()


def test_projection_by_hand():
    np.testing.assert_allclose(project(jnp.array([0.2, 0.3, 0.5])), [0.2, 0.3, 0.5], atol=1e-7)
    np.testing.assert_allclose(project(jnp.array([2.0, 1.0, 0.0])), [1.0, 0.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(project(jnp.array([0.8, 0.6])), [0.6, 0.4], atol=1e-6)


@pytest.mark.parametrize("player", [0, 1, 2])
def test_action_payoffs_are_expectations(player):
    rng = np.random.default_rng(0)
    payoffs = rng.normal(size=(2, 3, 4))
    strategies = [rng.dirichlet(np.ones(n)) for n in payoffs.shape]
    expected = np.zeros(payoffs.shape[player])
    for joint in itertools.product(*map(range, payoffs.shape)):
        chance = np.prod([strategies[j][joint[j]] for j in range(3) if j != player])
        expected[joint[player]] += chance * payoffs[joint]
    found = jax.jit(action_payoffs, static_argnums=2)(payoffs, strategies, player)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
