"""Commitments, against scipy's linear programs and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form.commitment import commitment

solve = jax.jit(jax.vmap(commitment))


def best_commitment(leader, follower):
    """The leader's value, by one program of scipy's for each reply."""
    rows, columns = leader.shape
    values = []
    for b in range(columns):
        found = linprog(
            -leader[:, b],
            A_ub=(follower - follower[:, [b]]).T,
            b_ub=np.zeros(columns),
            A_eq=np.ones((1, rows)),
            b_eq=[1.0],
        )
        values.append(-found.fun if found.success else -np.inf)
    return max(values)


@pytest.mark.parametrize("size", [(2, 2), (3, 4), (5, 3)])
def test_values_are_scipys(size):
    rng = np.random.default_rng(0)
    payoffs = np.concatenate(
        [rng.normal(size=(20, 2, *size)), rng.integers(0, 3, (20, 2, *size))]  # many ties
    )
    found = solve(jnp.asarray(payoffs, jnp.float32))
    assert found.solved.all()
    for game, value, x, b in zip(payoffs, found.values, found.leader, found.follower):
        spread = np.ptp(game[0]) + 1e-9
        np.testing.assert_allclose(value[0], best_commitment(*game), atol=2e-4 * spread)
        np.testing.assert_allclose(np.sum(x), 1, atol=1e-5)
        replies = np.asarray(x) @ game[1]
        assert replies[b] >= replies.max() - 1e-4 * (np.ptp(game[1]) + 1e-9)


def test_by_hand():
    """Rows T, B and columns L, R: (2, 1) (4, 0) / (1, 0) (3, 1), of Conitzer & Sandholm's kind.

    T dominates, but then L is the reply: 2. Announcing (1/2, 1/2) leaves the follower
    indifferent; R pays (4 + 3) / 2 = 3.5.
    """
    game = jnp.array([[[2.0, 4.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = jax.jit(commitment)(game)
    np.testing.assert_allclose(found.leader, [0.5, 0.5], atol=1e-6)
    assert found.follower == 1
    np.testing.assert_allclose(found.values, [3.5, 0.5], atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"payoffs: expected shape \[2, A, B\]"):
        commitment(jnp.zeros((3, 2, 2)))


def test_games_that_are_no_numbers_are_not_solved():
    assert not jax.jit(commitment)(jnp.full((2, 2, 2), jnp.nan)).solved
