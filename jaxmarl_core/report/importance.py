"""How much each option mattered: the share of the variance between configurations that hangs on it.

A random forest learns the figure from the options; then one option at a time is exchanged between
configurations, and how far that moves the forest's answer is that option's share: half the mean
square of the move, over the variance. Where options act together each of them has the whole of what
they do, so that shares may sum to more than 1. Of a forest that cannot foretell configurations it
was not shown nothing is said, as its answers would be about noise; nor where a search chose the
configurations, as options then go together.

Sobol's total index, by the estimator of Jansen, 1999; Saltelli et al., 2010. The forest is
scikit-learn's (the extra `search`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxmarl_core.errors import package
from jaxmarl_core.report.figures import evenly
from jaxmarl_core.store.tables import Objective, Results, key_of, swept

FEWEST = 16  # configurations from which a forest can learn anything
MOST = 2000  # that it learns from, evenly chosen where there are more
NUM_TREES = 100
LEAST_FORETOLD = 0.3  # of the variance between configurations that each tree was not shown


def importances(
    results: Results,
    objective: Objective,
    rows: Sequence[Mapping[str, Any]],
    scales: Mapping[str, str],
) -> dict[str, float]:
    """Returns option -> share of the variance that hangs on it, in [0, 1], the largest first.

    Nothing where there are too few configurations, or fewer than two options, a search chose them,
    the forest foretells too little, or the extra is not installed.

    Args:
      results: of a sweep.
      objective: what the runs are ranked by.
      rows: of `store.tables.table`.
      scales: hparam -> "log" or "linear".
    """
    told = [row for row in rows if np.isfinite(row[objective.statistic])]
    told = [row for row in told if row["dropped_at"] is None]
    told = evenly(told, MOST)
    values = {name: [row["options"].get(name) for row in told] for name in swept(results)}
    values = {name: own for name, own in values.items() if len({*map(key_of, own)}) > 1}
    if len(told) < FEWEST or len(values) < 2 or results.spec.get("search"):
        return {}
    try:
        ensemble = package("sklearn.ensemble", "search", "importance")
    except ValueError:
        return {}
    figures = np.array([row[objective.statistic] for row in told])
    if figures.min() == figures.max():
        return {}
    known = np.stack([_column(own, scales.get(name)) for name, own in values.items()], axis=1)
    forest = ensemble.RandomForestRegressor(NUM_TREES, oob_score=True, random_state=0)
    forest.fit(known, figures)
    if forest.oob_score_ < LEAST_FORETOLD:
        return {}
    found = dict(zip(values, total_indices(forest.predict, known)))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def total_indices(
    predict: Callable[[np.ndarray], np.ndarray], known: np.ndarray, num_exchanges: int = 16
) -> list[float]:
    """Returns Sobol's total index of each column of a function's arguments.

    Args:
      predict: from arguments [n, D] to values [n].
      known: [n, D], whose columns are taken to be independent.
      num_exchanges: random exchanges that are averaged over.
    """
    draw, values = np.random.default_rng(0), predict(known)
    found = []
    for column in range(known.shape[1]):
        moves = []
        for _ in range(num_exchanges):
            exchanged = known.copy()
            exchanged[:, column] = draw.permutation(known[:, column])
            moves.append(np.mean((predict(exchanged) - values) ** 2) / 2)
        found.append(float(min(np.mean(moves) / max(np.var(values), 1e-30), 1.0)))
    return found


def sentence(shares: Mapping[str, float]) -> str:
    """Returns the shares in words; "" for none."""
    if not shares:
        return ""
    each = ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in shares.items())
    return f"Share of the variance between configurations that hangs on it: {each}."


def _column(own: Sequence[Any], scale: str | None) -> np.ndarray:
    """Returns an option as numbers that a tree can cut: itself, its logarithm, or its place."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in own)
    if not numbers or not all(map(np.isfinite, own)):
        places = {key: place for place, key in enumerate(sorted({*map(key_of, own)}))}
        return np.array([float(places[key_of(x)]) for x in own])
    return np.log(own) if scale == "log" and min(own) > 0 else np.array(own, float)
