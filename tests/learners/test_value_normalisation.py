"""Returns in units of their own mean and deviation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.learners import value_normalisation


def test_moments_are_those_of_a_debiased_average():
    """Three batches at rate 0.25: weights 0.25 0.75^2, 0.25 0.75 and 0.25, over their sum."""
    batches = np.random.default_rng(0).normal(3.0, 2.0, (3, 50))
    scale = value_normalisation.initial_scale()
    for batch in batches:
        scale = value_normalisation.updated(scale, jnp.float32(batch), jnp.ones(50, bool), 0.25)
    weights = np.array([0.25 * 0.75**2, 0.25 * 0.75, 0.25])
    weights /= weights.sum()
    mean = weights @ batches.mean(1)
    deviation = np.sqrt(weights @ (batches**2).mean(1) - mean**2)
    np.testing.assert_allclose(value_normalisation.moments(scale), (mean, deviation), rtol=1e-5)
    x = jnp.float32(batches[0])
    np.testing.assert_allclose(
        value_normalisation.normalised(scale, x), (x - mean) / deviation, rtol=1e-4
    )
    back = value_normalisation.denormalised(scale, value_normalisation.normalised(scale, x))
    np.testing.assert_allclose(back, x, rtol=1e-5)


def test_before_any_return_units_are_plain_and_rows_that_do_not_count_change_nothing():
    scale, x = value_normalisation.initial_scale(), jnp.array([1.0, 5.0])
    np.testing.assert_array_equal(value_normalisation.normalised(scale, x), x)
    same = value_normalisation.updated(scale, jnp.array([jnp.nan, 1.0]), jnp.zeros(2, bool), 0.1)
    np.testing.assert_array_equal(value_normalisation.normalised(same, x), x)
    after = value_normalisation.updated(
        scale, jnp.array([jnp.nan, 4.0]), jnp.array([False, True]), 0.1
    )
    np.testing.assert_allclose(
        value_normalisation.moments(after), (4.0, 1e-4), rtol=1e-5
    )  # least deviation


def test_popart_changes_no_prediction():
    key = jax.random.key(0)
    layer = {"kernel": jax.random.normal(key, (4, 2)), "bias": jnp.array([1.0, -2.0])}
    old = value_normalisation.Scale(jnp.float32(3.0), jnp.float32(4.0), jnp.float32(1.0))
    new = value_normalisation.Scale(jnp.float32(-50.0), jnp.float32(1500.0), jnp.float32(1.0))
    features = jax.random.normal(jax.random.key(1), (7, 4))
    predict = lambda layer: features @ layer["kernel"] + layer["bias"]
    before = value_normalisation.denormalised(old, predict(layer))
    after = value_normalisation.denormalised(
        new, predict(value_normalisation.rescaled(layer, old, new))
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_returns_far_from_0_keep_their_deviation():
    """Around 10,000 single precision loses a deviation of 0.1 in the squares' mean."""
    returns = 1e4 + 0.1 * np.random.default_rng(0).normal(size=(4, 1000))
    scale = value_normalisation.initial_scale()
    for batch in returns:
        batch = jnp.float32(batch)
        scale = value_normalisation.updated(scale, batch, jnp.ones(1000, bool), 0.5)
    mean, deviation = value_normalisation.moments(scale)
    np.testing.assert_allclose(mean, 1e4, rtol=1e-5)
    np.testing.assert_allclose(deviation, 0.1, rtol=0.05)
