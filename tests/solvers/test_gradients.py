"""Derivatives through solvers: the value of a zero-sum game has one, all else says it has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.normal_form import (
    bimatrix_nash,
    correlated,
    friend_or_foe,
    lemke_howson,
    nash,
    nash_n,
    pure_commitment,
    stackelberg,
    undominated,
    zero_sum,
)

GAME = np.array([[3.0, 1.0, 0.5], [0.0, 2.0, 1.0], [1.0, 0.5, 2.5]], np.float32)
CHICKEN = np.array([[[0, 7], [2, 6]], [[0, 2], [7, 6]]], np.float32)


VALUES = jax.jit(jax.vmap(lambda game: zero_sum(game).value))


def differences(payoff, step=1e-2):
    """The value's slope by every payoff, [A, B], from games solved left and right of it."""
    steps = step * np.eye(payoff.size, dtype=np.float32).reshape(-1, *payoff.shape)
    value = lambda games: np.asarray(VALUES(games), np.float64)
    return ((value(payoff + steps) - value(payoff - steps)) / (2 * step)).reshape(payoff.shape)


def test_the_value_of_a_zero_sum_game():
    wanted = differences(GAME)
    assert (wanted > 0.01).all()
    slope = jax.jit(jax.grad(lambda payoff: zero_sum(payoff).value))
    np.testing.assert_allclose(slope(GAME), wanted, atol=2e-3)
    many = jax.grad(lambda games: jax.vmap(zero_sum)(games).value @ jnp.array([1.0, 2.0]))
    found = jax.jit(many)(jnp.stack([GAME, GAME]))
    np.testing.assert_allclose(found, np.stack([wanted, 2 * wanted]), atol=4e-3)


def test_forbidden_actions_have_no_slope():
    payoff = np.concatenate([GAME, np.full((1, 3), -np.inf, np.float32)])
    found = jax.grad(lambda payoff: zero_sum(payoff).value)(payoff)
    np.testing.assert_allclose(found[:3], differences(GAME), atol=2e-3)
    np.testing.assert_array_equal(found[3], 0)


def test_what_is_stopped_may_be_used():
    """A strategy as a constant, as in a policy's update, and the value beside it."""

    def loss(payoff):
        found = zero_sum(payoff)
        return found.value + jax.lax.stop_gradient(found.row) @ payoff[:, 0]

    row = np.asarray(zero_sum(GAME).row)
    wanted = differences(GAME) + row[:, None] * np.array([1, 0, 0])
    np.testing.assert_allclose(jax.grad(loss)(GAME), wanted, atol=2e-3)


@pytest.mark.parametrize(
    "rule",
    [
        lambda p: zero_sum(p[0]).row[0],
        lambda p: zero_sum(p[0]).gap,
        lambda p: friend_or_foe(p[0], (0,)).friends[0],
        lambda p: bimatrix_nash(p).values[0, 0],
        lambda p: nash(p).values[0],
        lambda p: lemke_howson(p).regret,
        lambda p: nash_n(p).values[0],
        lambda p: correlated(p).values[0],
        lambda p: stackelberg(p).values[0],
        lambda p: pure_commitment(p).values[0],
    ],
)
def test_the_others_say_that_there_is_none(rule):
    """As soon as the derivative is traced: nothing is compiled."""
    with pytest.raises(TypeError, match="has no derivative by the payoffs"):
        jax.eval_shape(jax.grad(rule), CHICKEN)


def test_friends_have_the_value_of_their_game():
    found = jax.grad(lambda payoff: friend_or_foe(payoff, (0,)).value)(GAME)
    np.testing.assert_allclose(found, differences(GAME), atol=2e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda mask: zero_sum(GAME, mask),
        lambda mask: friend_or_foe(GAME, (0,), (mask, None)),
        lambda mask: bimatrix_nash(CHICKEN, mask),
        lambda mask: lemke_howson(CHICKEN, 0, None, mask),
        lambda mask: correlated(CHICKEN, masks=(mask, None)),
        lambda mask: nash_n(CHICKEN, (mask, np.ones(2, bool))),
        lambda mask: stackelberg(CHICKEN, 0, mask),
        lambda mask: undominated(CHICKEN, (mask, None)),
    ],
)
@pytest.mark.parametrize("size", [1, 4])
def test_masks_of_a_wrong_length_are_refused(call, size):
    """One entry would be broadcast."""
    with pytest.raises(ValueError, match="mask"):
        call(np.ones(size, bool))
