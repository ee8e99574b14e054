"""Ask and tell on the parts of a sweep: a batch learns, is told of, and the next is asked for.

The runs of a batch are a part, or some, whose hyper-parameters the plan holds: `asked`, by name,
one for each run. The rows of `[random]` only number the configurations. A plan that names the next
batch takes the old one's place in one step; a process that is killed before asks again, and gets
the same.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxmarl_core.store.tables import STATISTICS, final
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.search.asking import Asking, Told, ask
from jaxmarl_core.sweeps.search.rungs import results_of
from jaxmarl_core.sweeps.spec import Spec


def asked_first(spec: Spec, parts: Sequence[Part], new: Sequence[Part]) -> list[Part]:
    """Returns of the runs that no part has those that are to be planned now: the first batch.

    Args:
      spec: of the sweep.
      parts: there are; the batches after the first come by `next_batch`.
      new: whole parts of the runs that the spec asks for.
    """
    if spec.asking is None:
        return list(new)
    if parts:
        return []
    (whole,) = new  # one variant, as `Spec` has it
    return [_batch(spec, whole, [])]


def next_batch(
    spec: Spec, out: Path, parts: Sequence[Part], size_of: Callable[[Part], int]
) -> list[Part]:
    """Returns all parts and those of the next batch, which the plan then names; none at the end.

    Args:
      spec: of the sweep.
      out: its folder, which nobody else writes to.
      parts: of all batches so far, all done.
      size_of: how many of a part's runs to compute together.
    """
    whole = plan.missing(spec, [parts[0].variant], list(parts), out)
    if not whole:
        return []
    batch = _batch(spec, whole[0], told(spec, parts))
    now = [*parts, *plan.cut(batch, size_of(batch), plan.new_folders(out, list(parts)))]
    plan.write(out, now, [])
    return now


def told(spec: Spec, parts: Sequence[Part]) -> list[Told]:
    """Returns the configurations of some parts, in order, with what came of each over its seeds.

    One of which a run has diverged has no figure.
    """
    figures: dict[int, list[float]] = {}
    asked: dict[int, dict[str, float]] = {}
    for part in parts:
        results = results_of(part)
        own = final(results, objective(spec, results))  # NaN where a run has diverged
        for place, row in enumerate(part.rows.tolist()):
            figures.setdefault(row, []).append(float(own[place]))
            numbers = (part.asked or {}).items()
            asked[row] = {name: float(values[place]) for name, values in numbers}
    over_seeds = STATISTICS[spec.statistic]
    known = {
        row: np.nan if np.isnan(own).any() else float(over_seeds(np.array(own)))
        for row, own in figures.items()
    }
    return [(asked[row], known[row]) for row in sorted(known)]


def _batch(spec: Spec, whole: Part, known: Sequence[Told]) -> Part:
    """Returns the runs of the batch after those that are known."""
    options: Asking | None = spec.asking
    assert options is not None
    found = spec.drawn(whole.variant.hparams)
    asked = ask(options, found, known, spec.higher_is_better)
    first = len(known)
    chosen = np.flatnonzero((whole.rows >= first) & (whole.rows < first + options.batch))
    own = whole.rows[chosen] - first
    values = {name: np.array([asked[row][name] for row in own], np.float32) for name in found}
    return whole.some(chosen, whole.folder)._replace(asked=values)
