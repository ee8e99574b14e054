"""Successive halving on the parts of a sweep: who learns up to which rung, and who goes on.

The runs of a bracket learn in parts up to its next rung. When all have come there, the figures that
their saved metrics give decide, configuration by configuration, seeds together. Those that go on
are gathered into parts of their own, as wide as the device takes, and those that do not into
others, which stay as they are: each with its metrics and its state. The plan that names the new
parts says what was decided and takes the old one's place in one step, so that a process that is
killed leaves a rung undecided or decided. Undecided, the same metrics decide the same.

Worlds that a spec has beside each other (`[grid.environment_options]`) are searched each by itself:
a figure of one says nothing about another.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.store import segments
from jaxmarl_core.store.tables import STATISTICS, Results, final, first_divergence, key_of
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.plan import Part, Stage
from jaxmarl_core.sweeps.regroup import Behind, joined, move
from jaxmarl_core.sweeps.search import halving as search
from jaxmarl_core.sweeps.search.halving import Halving, best
from jaxmarl_core.sweeps.spec import Spec, Variant

Configuration = tuple[int, int]  # index of a variant, row of its hparams


class Course(NamedTuple):
    """A stage of a search, in a world, and what it costs."""

    world: str  # its options, as JSON
    stage: search.Stage
    num_runs: int
    env_steps: float  # of all its runs; a mean where variants differ in those of an update


def courses(spec: Spec, choices: Sequence[Variant]) -> list[Course]:
    """Returns the stages that a spec with halving plans, world after world."""
    halving, found = spec.halving, []
    assert halving is not None
    for world, own in worlds(spec, choices).items():
        each = float(np.mean([choices[index].algorithm.env_steps for index, _ in own]))
        for stage in halving.course(len(own), updates_of(choices, own)):
            runs = spec.seeds * stage.num_configurations
            found.append(Course(world, stage, runs, runs * (stage.end - stage.start) * each))
    return found


def updates_of(choices: Sequence[Variant], own: Sequence[Configuration]) -> int:
    """Returns the updates of a run of some configurations, which must have as many as each other.

    Raises ValueError where a budget of env steps is another number of updates for some of them.
    """
    found = sorted({choices[index].schedule.num_updates for index, _ in own})
    expected = "configurations whose updates play as many steps, or a budget in updates"
    require(len(found) == 1, "env_steps", expected, f"runs of {found} updates")
    return found[0]


def full_steps(spec: Spec, choices: Sequence[Variant]) -> float:
    """Returns the env steps of all runs of a spec, had all of them learnt to the end."""
    return spec.seeds * sum(
        hp.num_rows(v.hparams) * v.schedule.num_updates * float(v.algorithm.env_steps)
        for v in choices
    )


def total_updates(spec: Spec, choices: Sequence[Variant]) -> int:
    """Returns the updates of all runs of a sweep, as a search lets them learn."""
    if spec.halving is None:
        rows = ((v.schedule.num_updates, hp.num_rows(v.hparams)) for v in choices)
        return spec.seeds * sum(updates * num for updates, num in rows)
    found = courses(spec, choices)
    return sum(one.num_runs * (one.stage.end - one.stage.start) for one in found)


def worlds(spec: Spec, choices: Sequence[Variant]) -> dict[str, list[Configuration]]:
    """Returns the configurations of each world that a spec has, in order."""
    found: dict[str, list[Configuration]] = {}
    for index, variant in enumerate(choices):
        rows = [(index, row) for row in range(hp.num_rows(variant.hparams))]
        found.setdefault(_world(spec, variant), []).extend(rows)
    return found


def _world(spec: Spec, variant: Variant) -> str:
    names = spec.grid.get("environment_options", {})
    return key_of({name: variant.static[name] for name in names})


def staged(spec: Spec, choices: Sequence[Variant], parts: Sequence[Part]) -> list[Part]:
    """Returns parts of runs to come, divided among the brackets of the spec, each at its start."""
    if spec.halving is None:
        return list(parts)
    brackets: dict[Configuration, int] = {}
    for own in worlds(spec, choices).values():
        brackets |= zip(own, spec.halving.deal(len(own), updates_of(choices, own)).tolist())
    found = []
    for part in parts:
        dealt = np.array([brackets[part.index, row] for row in part.rows.tolist()])
        for bracket in np.unique(dealt).tolist():
            end = spec.halving.ends(bracket, part.variant.schedule.num_updates)[0]
            runs = part._replace(stage=Stage(bracket, 0, 0, end))
            found.append(runs.some(np.flatnonzero(dealt == bracket), part.folder))
    return found


def next_stage(
    spec: Spec,
    out: Path,
    parts: list[Part],
    size_of: Callable[[Part], int],
    say: Callable[[str], None],
) -> list[Part]:
    """Decides the rungs that all runs of a bracket have come to.

    Args:
      spec: of the sweep.
      out: its folder, which nobody else writes to.
      parts: of the sweep, those that are not dropped at the end of their stage.
      size_of: how many of a part's runs to compute together.
      say: is told of what was decided.

    Returns:
      The parts that the plan now names; none where nobody has a rung before them.
    """
    halving = spec.halving
    assert halving is not None
    brackets: dict[tuple[str, int], list[Part]] = {}
    for part in parts:
        if not _stage(part).dropped and part.end < part.variant.schedule.num_updates:
            key = _world(spec, part.variant), _stage(part).bracket
            brackets.setdefault(key, []).append(part)
    if not brackets:
        return []
    folders, now, old, decisions = plan.new_folders(out, parts), list(parts), [], []
    for sources in brackets.values():
        decision = decide(spec, halving, sources)
        try:
            targets = list(_gathered(spec, sources, decision, folders, size_of, say))
        except Behind as behind:
            say(f"{behind}; going back to the checkpoint before it")
            continue
        kept = {part.folder for part in targets}
        old += [part.folder for part in sources if part.folder not in kept]
        now = [part for part in now if part.folder not in {p.folder for p in sources}] + targets
        decisions.append(decision.record())
        say(decision.sentence())
    plan.write(out, now, [], decisions)
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return now


def _stage(part: Part) -> Stage:
    assert part.stage is not None
    return part.stage


class Decision(NamedTuple):
    """What was decided at a rung."""

    stage: Stage  # that ended there
    metric: str
    configurations: list[Configuration]  # [C]
    figures: np.ndarray  # [C] f64, over the seeds; NaN where no run has one
    lost: np.ndarray  # [C] int, runs that had diverged
    kept: np.ndarray  # [C] bool
    runs: list[list[int]]  # [C], the numbers of their runs

    def record(self) -> dict[str, Any]:
        """Returns what the plan says of it."""
        figures = [None if np.isnan(x) else float(x) for x in self.figures]
        return {
            "bracket": self.stage.bracket,
            "rung": self.stage.rung,
            "update": self.stage.end,
            "metric": self.metric,
            "figures": figures,
            "runs": self.runs,
            "kept": self.kept.tolist(),
        }

    def sentence(self) -> str:
        """Returns it in words."""
        return (
            f"bracket {self.stage.bracket}, update {self.stage.end}: {self.kept.sum()} of "
            f"{len(self.kept)} configurations go on"
        )


def decide(spec: Spec, halving: Halving, parts: Sequence[Part]) -> Decision:
    """Returns which configurations of some parts go on, by what is saved of their metrics.

    A configuration of which a run has diverged comes after all that lost none; of those that lost
    as many the better one, by the objective's statistic over its other seeds, comes first.
    """
    found = [results_of(part) for part in parts]
    goal = objective(spec, found[0])
    figures = np.concatenate([final(results, goal) for results in found])
    lost = np.concatenate([results.diverged_at >= 0 for results in found])
    owners = [(part.index, row) for part in parts for row in part.rows.tolist()]
    numbers = np.concatenate([part.numbers for part in parts])
    places: dict[Configuration, list[int]] = {}
    for place, owner in enumerate(owners):
        places.setdefault(owner, []).append(place)
    places = {owner: places[owner] for owner in sorted(places)}
    over_seeds = STATISTICS[goal.statistic]
    own = np.array([float(over_seeds(figures[runs])) for runs in places.values()])
    num_lost = np.array([int(lost[runs].sum()) for runs in places.values()])
    num_kept = halving.kept(len(places))
    kept = np.zeros(len(places), bool)
    for losses in np.unique(num_lost):
        group = np.flatnonzero(num_lost == losses)
        most = min(num_kept - int(kept.sum()), len(group))
        kept[group] = best(own[group], most, goal.higher_is_better)
    runs = [numbers[own_runs].tolist() for own_runs in places.values()]
    stage = _stage(parts[0])
    return Decision(stage, goal.metric, list(places), own, num_lost, kept, runs)


def results_of(part: Part) -> Results:
    """Returns what is saved of a part up to the end of its stage."""
    metrics = {name: x[:, : part.end] for name, x in segments.read(part.folder).metrics.items()}
    done = np.full(part.num_runs, segments.length(metrics))
    return Results(plan.run_records(part), metrics, done, first_divergence(metrics))


def _gathered(
    spec: Spec,
    sources: Sequence[Part],
    decision: Decision,
    folders: Iterator[Path],
    size_of: Callable[[Part], int],
    say: Callable[[str], None],
) -> Iterator[Part]:
    """Yields the parts that some parts become after a decision, once they are written."""
    halving, stage = spec.halving, decision.stage
    assert halving is not None
    num_updates = sources[0].variant.schedule.num_updates
    end = halving.ends(stage.bracket, num_updates)[stage.rung + 1]
    following = Stage(stage.bracket, stage.rung + 1, stage.end, end)
    if decision.kept.all():  # nothing to gather
        yield from (part._replace(stage=following) for part in sources)
        return
    kept = {o for o, go_on in zip(decision.configurations, decision.kept) if go_on}
    for index in sorted({part.index for part in sources}):
        own = [part for part in sources if part.index == index]
        numbers, rows, seeds = (
            joined([getattr(part, name) for part in own]) for name in ("numbers", "rows", "seeds")
        )
        whole = Part(own[0].folder, index, own[0].variant, numbers, rows, seeds, stage)
        goes_on = np.array([(index, row) in kept for row in whole.rows.tolist()])
        targets = []
        for chosen, then in ((goes_on, following), (~goes_on, stage._replace(dropped=True))):
            if chosen.any():
                runs = whole.some(np.flatnonzero(chosen), whole.folder)._replace(stage=then)
                widest = max(part.num_runs for part in own)  # as states of so many were held
                targets += plan.cut(runs, widest if then.dropped else size_of(runs), folders)
        move(spec, own, targets, say, at=stage.end)
        yield from targets
