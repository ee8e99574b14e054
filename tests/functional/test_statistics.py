import numpy as np
import pytest
import scipy.stats

from jaxmarl_core.functional import statistics


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 7, 8, 30])
def test_iqm_is_the_trimmed_mean(num):
    values = np.random.default_rng(num).normal(size=(num, 3))
    np.testing.assert_allclose(statistics.iqm(values), scipy.stats.trim_mean(values, 0.25, axis=0))
    np.testing.assert_allclose(statistics.iqm(values.T, axis=1), statistics.iqm(values))


def test_iqm_leaves_out_nan():
    # of 1 2 3 100, one is cut at either end: (2 + 3) / 2; the second column has no value
    values = np.array([[np.nan, np.nan], [3, np.nan], [1, np.nan], [100, np.nan], [2, np.nan]])
    np.testing.assert_array_equal(statistics.iqm(values), [2.5, np.nan])
    np.testing.assert_array_equal(statistics.mean(values), [26.5, np.nan])


def test_standard_error():
    values = np.random.default_rng(0).normal(size=9)
    with_gap = np.append(values, np.nan)
    np.testing.assert_allclose(statistics.standard_error(with_gap), scipy.stats.sem(values))
    assert np.isnan(statistics.standard_error(values[:1]))


@pytest.mark.parametrize("statistic", [statistics.iqm, statistics.mean])
def test_bootstrap_interval_agrees_with_scipy(statistic):
    values = np.random.default_rng(3).normal(2.0, 1.5, size=12)
    ours = statistics.bootstrap_interval(values, statistic, num_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (values,),
        lambda x, axis: statistic(x, axis),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(7),
    ).confidence_interval
    # two Monte Carlo estimates of a 2.5 % quantile: each within 0.02 standard deviations
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_bootstrap_interval_repeats_and_covers():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(20, 400))  # 400 experiments of 20 seeds each, true mean 0
    low, high = statistics.bootstrap_interval(samples, statistics.mean)
    # percentile intervals of 20 values fall a little short of 95 %; the standard error is 1.3 %
    assert 0.88 < np.mean((low < 0) & (high > 0)) < 0.98
    again = statistics.bootstrap_interval(samples, statistics.mean)
    np.testing.assert_array_equal(again, (low, high))


def test_one_seed_has_no_interval():
    low, high = statistics.bootstrap_interval(np.array([[1.0, 2.0]]))
    assert np.isnan(low).all() and np.isnan(high).all() and low.shape == (2,)


def test_bin_means():
    nan = np.nan
    values = np.array([[1, 3, nan, 5, nan, nan], [0, 0, 6, 6, 1, 2]], np.float32)
    means, ends = statistics.bin_means(values, 3)
    np.testing.assert_array_equal(means, [[2, 5, nan], [0, 6, 1.5]])
    np.testing.assert_array_equal(ends, [2, 4, 6])
    np.testing.assert_array_equal(statistics.bin_means(values, 100)[0], values)


def test_bridge_gaps():
    nan = np.nan
    values = np.array([[nan, 1, nan, 3, nan], [nan, nan, nan, nan, nan]])
    bridged = statistics.bridge_gaps(values)
    np.testing.assert_array_equal(bridged, [[nan, 1, 2, 3, 3], [nan] * 5])
