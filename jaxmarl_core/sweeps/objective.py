"""What the runs of a sweep are ranked by."""

from jaxmarl_core.errors import require
from jaxmarl_core.store.tables import Objective, Results
from jaxmarl_core.sweeps.spec import Spec


def objective(spec: Spec, results: Results) -> Objective:
    """Returns what the spec ranks runs by: its objective, or the first return it measured.

    Raises:
      ValueError: nothing was measured yet.
    """
    require(bool(results.metrics), "results", "the metrics of at least one segment", "none yet")
    measured = [name for name in results.metrics if name.startswith(("eval_return", "eval_win"))]
    measured += [name for name in results.metrics if name.startswith("episode_return")]
    metric = spec.objective or (measured[0] if measured else next(iter(results.metrics)))
    return Objective(metric, spec.higher_is_better, spec.last, spec.statistic)
