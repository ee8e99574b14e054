"""Moments of all observations so far, batch by batch, against NumPy over all at once."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.learners.observation_normalisation import (
    initial_statistics,
    normalised_observation,
    updated_statistics,
)
from jaxmarl_core.spaces import Box, Composite, Discrete

RNG = np.random.default_rng(0)
IMAGE = Box((2,), 0, 9, jnp.uint8)
SPACE = Composite({"seen": Box((3, 2)), "state": Box(()), "kind": Discrete(4), "image": IMAGE})


def test_statistics_are_those_of_all_rows_that_counted():
    """Batches of different size and place; what does not count is NaN, or drowns all others."""
    statistics, kept = initial_statistics(SPACE), []
    assert statistics["kind"] is None and statistics["image"] is None
    step = jax.jit(lambda *args: updated_statistics(SPACE, *args))
    for size, centre in ((4, 1000.0), (7, 990.0), (2, 1e3)):
        seen = centre + RNG.normal(size=(size, 5, 3, 2))
        state = RNG.normal(size=(size, 1))  # one for all five
        counts = RNG.random((size, 5)) < 0.6
        counts[0] = False
        kept.append((seen[counts], state[counts.any(1), 0]))
        seen[~counts] = [[np.nan, 1e30]] * 3
        state[0] = np.nan
        batch = {
            "seen": jnp.float32(seen),
            "state": jnp.float32(state),
            "kind": jnp.zeros((size, 5), jnp.int32),
            "image": jnp.zeros((size, 5, 2), jnp.uint8),
        }
        statistics = step(statistics, batch, jnp.asarray(counts))
    for name, rows in zip(("seen", "state"), zip(*kept)):
        rows, found = np.concatenate(rows), statistics[name]
        assert found.count == len(rows)
        np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.variance, rows.var(0), rtol=1e-3)


def test_what_is_no_number_is_no_observation():
    box = Box((2,))
    rows = jnp.array([[1.0, 2.0], [jnp.nan, 5.0], [3.0, 6.0], [jnp.inf, 0.0]])
    found = updated_statistics(box, initial_statistics(box), rows, jnp.ones(4, bool))
    np.testing.assert_allclose(found.mean, [2, 4])
    np.testing.assert_allclose(found.variance, [1, 4])
    same = updated_statistics(box, found, rows, jnp.zeros(4, bool))
    jax.tree.map(np.testing.assert_array_equal, found, same)


def test_normalised_observations_have_mean_0_and_deviation_1():
    box = Box((2,))
    rows = jnp.float32(7 + 3 * RNG.normal(size=(1000, 2))).at[:, 1].set(5.0)  # the last is constant
    start = initial_statistics(box)
    unscaled = normalised_observation(box, start, rows / 2)  # nothing is known yet
    np.testing.assert_allclose(unscaled, rows / 2)
    found = updated_statistics(box, start, rows, jnp.ones(1000, bool))
    scaled = normalised_observation(box, found, rows)
    np.testing.assert_allclose(scaled.mean(0), [0, 0], atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), [1, 0], atol=1e-5)
    far = normalised_observation(box, found, jnp.array([7.0, 1e9]))
    np.testing.assert_allclose(far, [0, 10], atol=0.2)  # 7 within deviations of the mean's 0.1
