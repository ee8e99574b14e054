"""Random rows of a spec: distributions against scipy's, points against their theory."""

import jax
import numpy as np
import pytest
import scipy.stats

from jaxmarl_core.hparams import sample
from jaxmarl_core.sweeps.draws import Choice, LogUniform, Normal, Uniform, halton, primes
from jaxmarl_core.sweeps.spec import from_dict, variants

POINTS = np.linspace(0.001, 0.999, 999)


@pytest.mark.parametrize(
    ("draw", "reference"),
    [
        (Uniform(-1.0, 3.0), scipy.stats.uniform(-1, 4)),
        (LogUniform(1e-4, 1e-1), scipy.stats.loguniform(1e-4, 1e-1)),
        (Normal(1.0, 2.0), scipy.stats.norm(1, 2)),
        (Normal(0.1, 0.5, 0.0, 1.0), scipy.stats.truncnorm(-0.2, 1.8, 0.1, 0.5)),
    ],
    ids=["uniform", "log-uniform", "normal", "normal cut off"],
)
def test_distributions_have_their_quantiles(draw, reference):
    np.testing.assert_allclose(draw.quantile(POINTS), reference.ppf(POINTS), rtol=2e-3, atol=2e-4)


def test_a_choice_is_as_likely_as_another():
    found = np.asarray(Choice((3.0, 1.0, 2.0)).quantile(np.arange(300) / 300))
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [1, 2, 3] and counts.tolist() == [100, 100, 100]


@pytest.mark.parametrize("seed", [0, 1])
def test_halton_points_fill_every_piece_once(seed):
    """Among the first b^k points each of b^k equal pieces has one, in base b."""
    assert list(primes(6)) == [2, 3, 5, 7, 11, 13]
    for dimension, (base, power) in enumerate([(2, 6), (3, 4), (5, 2), (7, 2)]):
        num = base**power
        points = halton(num, 4, seed)[dimension]
        assert sorted(np.floor(points * num).astype(int).tolist()) == list(range(num))
        assert (points >= 0).all() and (points < 1).all()
    assert not np.array_equal(halton(8, 2, 0), halton(8, 2, 1))
    np.testing.assert_array_equal(halton(8, 2, 0), halton(16, 2, 0)[:, :8])


def test_halton_points_are_more_even_than_random_ones():
    evenness = lambda points: scipy.stats.qmc.discrepancy(points.T)
    quasi = np.mean([evenness(halton(64, 3, seed)) for seed in range(10)])
    pseudo = np.mean([evenness(np.random.default_rng(s).random((3, 64))) for s in range(10)])
    assert quasi < pseudo / 4


def test_halton_points_are_uniform_over_seeds():
    means = np.array([halton(1, 2, seed)[:, 0] for seed in range(2000)])
    for column in means.T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-3


GAME = {"algorithm": "q_learning", "environment": "matrix_game"}


def table(drawn, **changes):
    (variant,) = variants(from_dict(GAME | {"random": drawn} | changes))
    return variant.hparams, variant.algorithm.hparams


def test_ranges_draw_what_they_always_drew():
    """Sweeps of old go on: the same numbers as `hparams.sample`, bit for bit."""
    ranges = {"learning_rate": (0.01, 0.1), "gamma": (0.5, 0.9)}
    found, defaults = table({"num": 20, "seed": 3, **{n: list(r) for n, r in ranges.items()}})
    expected = sample(jax.random.key(3), defaults, 20, **ranges)
    np.testing.assert_array_equal(found.learning_rate, expected.learning_rate)
    np.testing.assert_array_equal(found.gamma, expected.gamma)


def test_kinds_stand_beside_each_other_and_beside_a_grid():
    drawn = {
        "num": 12,
        "sampler": "halton",
        "learning_rate": {"kind": "log-uniform", "low": 0.01, "high": 0.1},
        "epsilon": {"kind": "normal", "mean": 0.9, "deviation": 0.2},
        "final_epsilon": {"kind": "choice", "values": [0.0, 0.05]},
    }
    found, _ = table(drawn, grid={"hparams": {"gamma": [0.9, 0.5]}})
    assert np.asarray(found.gamma).tolist() == [np.float32(0.9)] * 12 + [0.5] * 12
    for name in ("learning_rate", "epsilon", "final_epsilon"):
        column = np.asarray(getattr(found, name))
        np.testing.assert_array_equal(column[:12], column[12:])  # each draw with each value
    assert set(np.asarray(found.final_epsilon).tolist()) == {0.0, np.float32(0.05)}
    assert (np.asarray(found.epsilon) <= 1).all()  # as declared
    rates = np.log10(np.asarray(found.learning_rate)[:8])  # one in each eighth of the range
    assert sorted(np.floor((rates + 2) * 8).astype(int).tolist()) == list(range(8))


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ({"gamma": {"kind": "unifrom"}}, "random.gamma.kind: .* did you mean 'uniform'"),
        ({"gamma": {"low": 0.1}}, "random.gamma.kind: expected one of uniform, .* got nothing"),
        ({"gamma": {"kind": "uniform", "low": 0.1}}, "random.gamma.high: expected a value"),
        (
            {"gamma": {"kind": "uniform", "low": 0.1, "hihg": 0.2}},
            "random.gamma: .* did you mean 'high'",
        ),
        (
            {"gamma": {"kind": "log-uniform", "low": 0, "high": 0.2}},
            "gamma: expected a positive low end",
        ),
        (
            {"gamma": {"kind": "normal", "mean": 0.5, "deviation": 0}},
            "random.gamma.deviation: expected above 0",
        ),
        (
            {"gamma": {"kind": "normal", "mean": 2, "deviation": 1}},
            r"gamma: expected a mean within \[0, 1\], got 2",
        ),
        ({"gamma": {"kind": "choice", "values": []}}, "random.gamma.values: expected a list of"),
        (
            {"gamma": {"kind": "choice", "values": [0.1, 0.1]}},
            "random.gamma.values: expected distinct values",
        ),
        (
            {"gamma": {"kind": "choice", "values": [0.5, 2]}},
            r"gamma: expected values within \[0, 1\]",
        ),
        ({"gamma": [0.1, 0.2], "sampler": "sobel"}, "random.sampler: expected one of"),
    ],
)
def test_wrong_tables_are_told(drawn, message):
    with pytest.raises((ValueError, TypeError), match=message):
        table({"num": 2, **drawn})
