"""A temperature's unit and what lies near, against NumPy and by what they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.mean_field.networks import ActionNetwork
from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.algos.mean_field.policy import centres, spread, temperature_unit
from jaxmarl_core.envs import battle
from jaxmarl_core.functional.exploration import boltzmann_probs
from jaxmarl_core.spaces import Box, Composite, zeros

Q = np.array([[1.0, 2.0, 4.0, -3.0], [0.5, 0.5, 0.5, 0.5]], np.float32)


def test_spread_is_the_standard_deviation_over_legal_actions():
    np.testing.assert_allclose(spread(jnp.asarray(Q)), Q.std(axis=-1), rtol=1e-6)
    mask = jnp.array([[True, True, False, True], [False] * 4])
    illegal = jnp.where(mask, Q, -jnp.inf)
    expected = [Q[0, [0, 1, 3]].std(), 0.0]
    np.testing.assert_allclose(spread(illegal, mask), expected, rtol=1e-6)


def test_in_units_of_the_spread_a_policy_is_the_same_whatever_the_scale_of_rewards():
    config = Config(temperature_unit="spread")
    q = jnp.asarray(Q)
    probs = [boltzmann_probs(x, 0.5 * temperature_unit(config, x, None)) for x in (q, 100 * q + 7)]
    np.testing.assert_allclose(*probs, rtol=1e-4)
    odds = np.exp((Q[0] - Q[0].max()) / (0.5 * Q[0].std()))
    np.testing.assert_allclose(probs[0][0], odds / odds.sum(), rtol=1e-5)
    np.testing.assert_allclose(probs[0][1], 0.25)  # equal values: all alike
    plain = temperature_unit(Config(), q, None)
    np.testing.assert_array_equal(plain, 1.0)


def test_centres_are_the_middle_cells_of_all_images_and_nothing_else():
    space = Composite({"view": Box((5, 7, 2)), "features": Box((3,))})
    view = jnp.arange(2 * 5 * 7 * 2.0).reshape(2, 5, 7, 2)
    seen = {"view": view, "features": jnp.ones((2, 3))}
    near = centres(space, seen, 3)
    np.testing.assert_array_equal(near, np.asarray(view)[:, 1:4, 2:5].reshape(2, -1))
    assert centres(Box((3,)), jnp.ones((2, 3)), 3).shape == (2, 0)
    assert centres(Box((1, 2, 4)), jnp.ones((1, 2, 4)), 3).shape == (8,)  # small ones are whole


def test_the_network_sees_the_centre():
    space = battle(map_size=12).groups["red"].observation
    network = lambda config: ActionNetwork(space, 21, config, None)
    started = lambda config: network(config).init(jax.random.key(0), zeros(space), None)["params"]
    params, blind_params = started(Config(centre=3)), started(Config())
    kernel = lambda tree: tree["MLP_0"]["Dense_0"]["kernel"].shape[0]
    assert kernel(params) == kernel(blind_params) + 3 * 3 * 7


@pytest.mark.parametrize("side", [-1, 2])
def test_an_even_or_negative_centre_is_refused(side):
    with pytest.raises(ValueError, match="centre: expected 0 or an odd number"):
        Config(centre=side)
