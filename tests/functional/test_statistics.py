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


@pytest.mark.parametrize("num", [1, 2, 5, 6])
def test_median_leaves_out_nan(num):
    values = np.random.default_rng(num).normal(size=(num, 3))
    with_gaps = np.concatenate([values, np.full((2, 3), np.nan)])
    np.testing.assert_allclose(statistics.median(with_gaps), np.median(values, axis=0))
    np.testing.assert_allclose(statistics.median(values.T, axis=1), np.median(values, axis=0))
    assert np.isnan(statistics.median(np.zeros(0)))


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


def test_wilson_interval_against_scipy():
    for k, n in [(0, 10), (3, 10), (10, 10), (1, 3), (540, 1000)]:
        exact = scipy.stats.binomtest(k, n).proportion_ci(0.9, "wilson")
        low, high = statistics.wilson_interval(k, n, level=0.9)
        np.testing.assert_allclose([low, high], [exact.low, exact.high], atol=1e-12)


def test_wilson_interval_of_arrays():
    """Newcombe, 1998, Stat. Med. 17, table I: 81/263, 15/148, 0/20, 1/29."""
    low, high = statistics.wilson_interval([81, 15, 0, 1], [263, 148, 20, 29])
    np.testing.assert_allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)
    assert np.isnan(statistics.wilson_interval(0, 0)).all()
    low, high = statistics.wilson_interval(0.5, 1)  # a draw
    np.testing.assert_allclose(low + high, 1)


def test_wilson_interval_says_what_is_wrong():
    with pytest.raises(ValueError, match="successes: expected from 0 to num_trials, got 3 of 2"):
        statistics.wilson_interval(3, 2)
    with pytest.raises(ValueError, match="level: expected in"):
        statistics.wilson_interval(1, 2, level=95)
