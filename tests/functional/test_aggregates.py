"""Figures over a suite: against closed forms, and what rliable and SciPy say of the same scores."""

import numpy as np
import pytest
import scipy.stats

from jaxmarl_core.functional import aggregates

RAGGED = [np.array([0.1, 0.4, 0.9]), np.array([0.5, 0.6]), np.array([1.2, 0.0, 0.3, 0.7])]


def drawn(seed: int, shape=(7, 5)) -> list[np.ndarray]:
    """Scores of seven runs on five tasks, as rliable has them in a matrix, here by task."""
    return list(np.random.default_rng(seed).normal(0.5, 0.3, shape).T)


def test_aggregates_are_those_of_their_definitions():
    matrix = np.stack(drawn(0), 1)
    found = {name: float(of(drawn(0))) for name, of in aggregates.AGGREGATES.items()}
    # the definitions of rliable 1.2, metrics.py
    np.testing.assert_allclose(found["iqm"], scipy.stats.trim_mean(matrix, 0.25, axis=None))
    np.testing.assert_allclose(found["mean"], matrix.mean(0).mean())
    np.testing.assert_allclose(found["median"], np.median(matrix.mean(0)))
    np.testing.assert_allclose(found["optimality_gap"], 1 - np.minimum(matrix, 1).mean())


def test_tasks_may_have_different_numbers_of_runs():
    # nine runs, two cut at either end: .3 .4 .5 .6 .7
    np.testing.assert_allclose(aggregates.interquartile_mean(RAGGED), 0.5)
    np.testing.assert_allclose(aggregates.mean_of_tasks(RAGGED), (1.4 / 3 + 0.55 + 0.55) / 3)
    np.testing.assert_allclose(aggregates.median_of_tasks(RAGGED), 0.55)
    # shortfalls of .9 .6 .1, .5 .4, 0 1 .7 .3
    np.testing.assert_allclose(aggregates.optimality_gap(RAGGED), 4.5 / 9)


def test_a_profile_is_the_share_of_runs_above():
    found = aggregates.performance_profile(RAGGED, [-1.0, 0.5, 0.65, 1.2])
    np.testing.assert_allclose(found, [1, 4 / 9, 3 / 9, 0])  # above, not at


@pytest.mark.parametrize("seed", range(3))
def test_the_chance_of_improvement_is_mann_and_whitneys(seed):
    ours, theirs = drawn(seed), drawn(seed + 10, (4, 5))
    theirs[2][:2] = ours[2][:2]  # ties, which count half
    each = [scipy.stats.mannwhitneyu(x, y).statistic / 28 for x, y in zip(ours, theirs)]
    np.testing.assert_allclose(aggregates.probability_of_improvement(ours, theirs), np.mean(each))
    swapped = aggregates.probability_of_improvement(theirs, ours)
    np.testing.assert_allclose(swapped, 1 - np.mean(each))


def test_an_interval_draws_the_runs_of_each_task_by_themselves():
    """Tasks that differ much and runs that do not: a bootstrap over both would be wide."""
    apart = [np.array([0.0, 0.01, 0.02]), np.array([10.0, 10.01, 10.02])]
    found = aggregates.stratified_interval(aggregates.mean_of_tasks, apart)
    np.testing.assert_allclose(found.value, 5.01)
    assert 5.0 <= found.low < found.value < found.high <= 5.02


@pytest.mark.parametrize("name", aggregates.AGGREGATES)
def test_an_interval_agrees_with_a_bootstrap_of_scipys(name):
    scores, statistic = drawn(4, (12, 3)), aggregates.AGGREGATES[name]
    ours = aggregates.stratified_interval(statistic, scores, num_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        tuple(scores),
        lambda *tasks, axis: statistic([np.moveaxis(task, axis, -1) for task in tasks]),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(7),
    )
    # SciPy draws the samples it is given independently, which is what a stratum is; a 2.5 %
    # quantile of so many draws is known to 0.02 standard errors, each of both
    width = 0.1 * theirs.standard_error
    np.testing.assert_allclose(ours.low, theirs.confidence_interval.low, atol=width)
    np.testing.assert_allclose(ours.high, theirs.confidence_interval.high, atol=width)


def test_one_run_a_task_tells_no_interval():
    one = [np.array([0.3]), np.array([0.5])]
    found = aggregates.stratified_interval(aggregates.mean_of_tasks, one)
    assert found.value == 0.4 and np.isnan(found.low) and np.isnan(found.high)


def test_an_interval_covers_what_it_promises():
    """Of 300 suites with a known mean of 0.5, about 95 % (here of few runs, so a little fewer)."""
    covered = []
    for seed in range(300):
        found = aggregates.stratified_interval(
            aggregates.mean_of_tasks, drawn(seed, (10, 4)), num_resamples=500
        )
        covered.append(found.low <= 0.5 <= found.high)
    assert 0.88 <= np.mean(covered) <= 0.98


def test_scores_that_are_none_are_refused():
    interval = aggregates.stratified_interval
    with pytest.raises(ValueError, match=r"scores\[1\]: expected finite numbers"):
        interval(aggregates.mean_of_tasks, [np.ones(2), np.array([1.0, np.nan])])
    with pytest.raises(ValueError, match=r"scores\[0\]: expected \[S\] runs"):
        interval(aggregates.mean_of_tasks, [np.ones(0), np.ones(2)])
    with pytest.raises(ValueError, match="others: expected 3 tasks"):
        aggregates.probability_of_improvement(RAGGED, RAGGED[:2])
