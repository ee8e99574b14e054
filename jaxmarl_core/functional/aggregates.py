"""One figure for many tasks: what an algorithm is worth over a suite, and how sure that is.

Scores are normalised, so that tasks can be averaged; an algorithm's are one array of runs a task,
[S_1], ..., [S_M], which need not be of one length. Agarwal et al., 2021, arXiv:2108.13264, advise
the interquartile mean of all of them, with an interval for which the runs of every task are drawn
again by themselves (*stratified*): a task is not a sample, its runs are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxmarl_core.errors import require
from jaxmarl_core.functional.statistics import iqm

Scores = Sequence[np.ndarray]  # task -> [..., S] runs
Statistic = Callable[[Scores], np.ndarray]  # -> [...]


class Estimate(NamedTuple):
    """A figure and the ends of its interval, [...] f64."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interquartile_mean(scores: Scores) -> np.ndarray:
    """Returns the mean of the middle half of all runs of all tasks, [...]."""
    return iqm(np.concatenate(list(scores), axis=-1), axis=-1)


def mean_of_tasks(scores: Scores) -> np.ndarray:
    """Returns the mean over tasks of the mean over runs, [...]."""
    return np.mean([runs.mean(-1) for runs in scores], axis=0)


def median_of_tasks(scores: Scores) -> np.ndarray:
    """Returns the median over tasks of the mean over runs, [...]."""
    return np.median([runs.mean(-1) for runs in scores], axis=0)


def optimality_gap(scores: Scores, target: float = 1.0) -> np.ndarray:
    """Returns by how much runs fall short of a target on average, [...]; what is above it is 0."""
    runs = np.concatenate(list(scores), axis=-1)
    return np.mean(np.maximum(target - runs, 0.0), axis=-1)


AGGREGATES: dict[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median_of_tasks,
    "mean": mean_of_tasks,
    "optimality_gap": optimality_gap,
}


def performance_profile(scores: Scores, thresholds: ArrayLike) -> np.ndarray:
    """Returns the share of all runs above each threshold, [..., P]; thresholds [P].

    Agarwal et al., 2021, arXiv:2108.13264, section 4.2 (the run-score distribution); tasks count by
    their runs.
    """
    runs = np.concatenate(list(scores), axis=-1)
    above = [np.mean(runs > threshold, axis=-1) for threshold in np.asarray(thresholds).tolist()]
    return np.stack(above, axis=-1)  # one threshold at a time: resamples times thresholds is much


def probability_of_improvement(scores: Scores, others: Scores) -> np.ndarray:
    """Returns the chance [...] that a run is better than another algorithm's on the same task.

    The mean over tasks of Mann and Whitney's statistic over its largest value, ties half: Agarwal
    et al., 2021, arXiv:2108.13264, section 4.3.

    Args:
      scores: task -> [..., S].
      others: task -> [..., S'], of the other one on the same tasks.
    """
    same = len(scores) == len(others)
    require(same, "others", f"{len(scores)} tasks, as scores has", len(others))
    better = lambda x, y: np.sign(x[..., :, None] - y[..., None, :]).mean((-2, -1)) / 2 + 0.5
    return np.mean([better(x, y) for x, y in zip(scores, others)], axis=0)


def stratified_interval(
    statistic: Callable[..., np.ndarray],
    *groups: Scores,
    level: float = 0.95,
    num_resamples: int = 2000,
) -> Estimate:
    """Returns a statistic and its percentile bootstrap interval, each task's runs drawn again.

    The generator is fixed: the same scores give the same interval. Where no task of a group has two
    runs they say nothing of their spread, and the ends are NaN. With few runs it is too narrow.

    Args:
      statistic: maps as many `Scores` as there are groups to figures [...].
      groups: of scores, task -> [S]; finite, and at least one run a task.
      level: the share of resamples that the interval covers, in (0, 1).
      num_resamples: how often the runs of every task are drawn with replacement, at least 1.

    Raises:
      ValueError: a task has no run, or a run no finite score.
    """
    require(0 < level < 1, "level", "in (0, 1)", level)
    require(num_resamples >= 1, "num_resamples", "at least 1", num_resamples)
    known = [[np.asarray(runs, np.float64) for runs in scores] for scores in groups]
    for scores in known:
        for task, runs in enumerate(scores):
            require(runs.ndim == 1 and len(runs) > 0, f"scores[{task}]", "[S] runs", runs.shape)
            require(bool(np.isfinite(runs).all()), f"scores[{task}]", "finite numbers", runs)
    rng = np.random.default_rng(0)

    def redrawn(runs: np.ndarray) -> np.ndarray:
        return runs[rng.integers(len(runs), size=(num_resamples, len(runs)))]

    drawn = [[redrawn(runs) for runs in scores] for scores in known]
    low, high = np.quantile(statistic(*drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    if any(all(len(runs) < 2 for runs in scores) for scores in known):
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    return Estimate(np.asarray(statistic(*known)), low, high)
