"""Exploit and explore as functions: who copies whom, and what becomes of the numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.sweeps.draws import Choice, LogUniform, Uniform
from jaxmarl_core.sweeps.search.population import Population, evolve, exploit, explore

OPTIONS = Population(every=1, fraction=0.25, resample=0.0)
KEYS = jax.random.split(jax.random.key(0), 200)


@struct.dataclass
class Numbers:
    rate: jax.Array
    gamma: jax.Array
    clip: jax.Array


def test_the_bottom_copies_the_top_and_nobody_else_changes():
    figures = jnp.array([5.0, 1.0, 8.0, 7.0, 2.0, 6.0, 3.0, 4.0])  # top 2, 3; bottom 1, 4
    parents = np.asarray(jax.vmap(lambda key: exploit(key, figures, OPTIONS))(KEYS))
    np.testing.assert_array_equal(parents[:, [0, 2, 3, 5, 6, 7]], [[0, 2, 3, 5, 6, 7]] * 200)
    assert set(parents[:, [1, 4]].ravel().tolist()) == {2, 3}
    share = (parents[:, [1, 4]] == 2).mean()  # each of the top as often; five standard errors
    assert abs(share - 0.5) < 5 * 0.5 / 20


def test_the_lost_copy_and_are_not_copied():
    lost = jnp.array([jnp.nan, 1.0, 2.0, jnp.nan, 3.0, 0.5, 0.2, 0.1])
    parents = np.asarray(jax.vmap(lambda key: exploit(key, lost, OPTIONS))(KEYS))
    assert set(parents[:, [0, 3]].ravel().tolist()) == {4, 2}
    np.testing.assert_array_equal(parents[:, [1, 5, 6, 7]], [[1, 5, 6, 7]] * 200)
    nobody = jnp.full(8, jnp.nan)
    np.testing.assert_array_equal(exploit(KEYS[0], nobody, OPTIONS), np.arange(8))


def table(num):
    return Numbers(jnp.full(num, 0.1), jnp.full(num, 0.95), jnp.full(num, 0.2))


DRAWS = {
    "rate": LogUniform(0.01, 0.11),
    "gamma": Uniform(0.9, 0.99),
    "clip": Choice((0.1, 0.2, 0.3)),
}


def test_numbers_are_perturbed_within_their_ranges():
    found = explore(jax.random.key(1), table(400), DRAWS, OPTIONS)
    rates, counts = np.unique(np.asarray(found.rate), return_counts=True)
    np.testing.assert_allclose(rates, [0.08, 0.11], rtol=1e-6)  # 0.125 is out of the range
    assert min(counts) > 150
    np.testing.assert_allclose(np.unique(found.gamma), [0.9, 0.99], rtol=1e-6)
    np.testing.assert_allclose(np.unique(found.clip), [0.1, 0.3], rtol=1e-6)  # its neighbours


def test_numbers_are_drawn_anew_as_often_as_asked():
    options = Population(every=1, resample=0.5)
    found = explore(jax.random.key(1), table(4000), DRAWS, options)
    anew = ~np.isclose(found.rate, 0.08) & ~np.isclose(found.rate, 0.11)
    assert abs(anew.mean() - 0.5) < 0.05
    logs = np.log(np.asarray(found.rate)[anew])  # uniform between the ends
    expected = np.log([0.01, 0.11]).mean(), np.log(11) / np.sqrt(12)
    np.testing.assert_allclose((logs.mean(), logs.std()), expected, atol=0.06)


def test_who_does_not_copy_keeps_its_numbers():
    figures = jnp.arange(8.0)
    own = table(8).replace(rate=jnp.linspace(0.02, 0.1, 8))
    parents, changed = evolve(jax.random.key(3), figures, own, DRAWS, OPTIONS)
    np.testing.assert_array_equal(parents[2:], np.arange(2, 8))
    np.testing.assert_array_equal(changed.rate[2:], own.rate[2:])
    assert set(np.asarray(parents[:2]).tolist()) <= {6, 7}
    ratio = np.asarray(changed.rate[:2] / own.rate[parents[:2]])
    assert all(np.isclose(r, 0.8) or np.isclose(c, 0.11) for r, c in zip(ratio, changed.rate[:2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "search.every: expected at least 1"),
        ({"every": 1, "fraction": 0.6}, r"search.fraction: expected in \(0, 0.5\], got 0.6"),
        ({"every": 1, "resample": 2.0}, r"search.resample: expected in \[0, 1\]"),
        ({"every": 1, "factors": (0.8, -1)}, "search.factors: expected some positive numbers"),
        ({"every": 3}, r"search.every: expected a divisor of updates \(8\)"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        Population(**options).check(8, 4)
