"""Statistics over the seeds of one configuration.

A handful of seeds says little, and one lucky seed can carry a mean. Agarwal et al., 2021,
arXiv:2108.13264, advise the interquartile mean with a bootstrap interval: nearly as robust as the
median, nearly as efficient as the mean. NaN stands for "no value" and is left out.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from jaxmarl_core.errors import require


def iqm(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns the interquartile mean along `axis`: the mean of the middle half of the values.

    Of n values, floor(n / 4) are cut at either end, so that up to three are averaged whole.
    Agarwal et al., 2021, arXiv:2108.13264, section 4.

    Args:
      values: floats of any shape; NaN is no value.
      axis: the axis to average over.

    Returns:
      Floats without that axis, NaN where there was no value.
    """
    ordered = np.sort(np.moveaxis(np.asarray(values, np.float64), axis, 0), axis=0)  # NaN last
    num = np.sum(~np.isnan(ordered), axis=0)
    cut = num // 4
    rank = np.arange(len(ordered)).reshape(-1, *[1] * (ordered.ndim - 1))
    middle = np.where((rank >= cut) & (rank < num - cut), ordered, 0.0)
    return np.where(num > 0, middle.sum(axis=0) / np.maximum(num - 2 * cut, 1), np.nan)


def mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns the mean along `axis` of what is not NaN, NaN where there was no value."""
    values = np.asarray(values, np.float64)
    num = np.sum(~np.isnan(values), axis=axis)
    return np.where(num > 0, np.nansum(values, axis=axis) / np.maximum(num, 1), np.nan)


def median(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns the median along `axis` of what is not NaN, NaN where there was no value."""
    ordered = np.sort(np.moveaxis(np.asarray(values, np.float64), axis, 0), axis=0)  # NaN last
    ordered = np.concatenate([ordered, np.full((1, *ordered.shape[1:]), np.nan)])
    num = np.sum(~np.isnan(ordered), axis=0)
    middle = lambda rank: np.take_along_axis(ordered, np.maximum(rank, 0)[None], axis=0)[0]
    return (middle((num - 1) // 2) + middle(num // 2)) / 2


def standard_error(values: np.ndarray) -> float:
    """Returns the standard error of the mean of [S] values; NaN for fewer than two."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[..., np.ndarray] = iqm,
    level: float = 0.95,
    num_resamples: int = 2000,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the percentile bootstrap interval of a statistic over seeds, as (low, high).

    Agarwal et al., 2021, arXiv:2108.13264, section 4.1, resample the seeds of each task by itself
    (a stratum); one configuration in one environment is one stratum. The generator is fixed: the
    same values give the same interval.

    Args:
      values: [S, ...]; the seeds stand on the first axis and are drawn together.
      statistic: maps (values, axis) to the values without that axis.
      level: the share of resamples that the interval covers.
      num_resamples: how often S seeds are drawn with replacement.

    Returns:
      Two arrays [...]; NaN for fewer than two seeds, which say nothing about their spread.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    draw = np.random.default_rng(0).integers(len(values), size=(num_resamples, len(values)))
    estimates = statistic(values[draw], axis=1)
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def wilson_interval(
    successes: ArrayLike, num_trials: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the score interval of a share of successes, as (low, high), within [0, 1].

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n),   p = successes / n

    Wilson, 1927, J. Am. Stat. Assoc. 22. Unlike p -+ z sqrt(p (1 - p) / n) it covers what it
    promises also where n is small or p near 0 or 1. Draws may count half a success: a game then
    varies less than a coin does, and the interval is on the safe side.

    Args:
      successes: [...] in [0, num_trials], not necessarily whole.
      num_trials: [...], broadcast against it.
      level: the share of intervals that hold the true one, in (0, 1).

    Returns:
      Two arrays [...] f64, NaN where there was no trial.
    """
    require(0 < level < 1, "level", "in (0, 1)", level)
    won, num = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (successes, num_trials)))
    fits = bool(np.all((won >= 0) & (won <= num)))
    require(fits, "successes", "from 0 to num_trials", f"{successes} of {num_trials}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    n = np.where(num > 0, num, np.nan)
    p = won / n
    middle = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    # the ends are exactly 0 and 1 there, but for rounding
    return np.where(won == 0, 0.0 * n, low), np.where(won == num, 1.0 + 0.0 * n, high)


def bin_means(values: np.ndarray, num_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns curves thinned to at most `num_bins` points, and where each bin ends.

    Args:
      values: [R, U]; NaN is no value.
      num_bins: how many points to keep; fewer where U is smaller.

    Returns:
      [R, P] means of what is not NaN in each bin, NaN for an empty one, and [P] int, the number
      of updates made by the end of each bin.
    """
    num_updates = values.shape[1]
    edges = np.linspace(0, num_updates, min(num_bins, num_updates) + 1).astype(int)
    valued = ~np.isnan(values)
    total = np.add.reduceat(np.where(valued, values, 0.0), edges[:-1], axis=1, dtype=np.float64)
    num = np.add.reduceat(valued, edges[:-1], axis=1, dtype=np.int64)
    return np.where(num > 0, total / np.maximum(num, 1), np.nan), edges[1:]


def bridge_gaps(values: np.ndarray) -> np.ndarray:
    """Returns [R, P] curves with straight lines through the NaN between two values.

    Before a curve's first value NaN stays, after its last one that value is repeated.
    """
    filled = np.full(values.shape, np.nan)
    place = np.arange(values.shape[1])
    for row, curve in zip(filled, values):
        known = ~np.isnan(curve)
        if known.any():
            row[:] = np.interp(place, place[known], curve[known], left=np.nan)
    return filled
