"""What a search decided, as a section of a sweep's report: rungs, or the schedules it found."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.report import svg
from jaxmarl_core.report.page_elements import cell, number_cell, section, sortable_table
from jaxmarl_core.store.data import env_steps
from jaxmarl_core.store.number_formats import count, plural
from jaxmarl_core.store.tables import Objective, Results, dropped_at, final

_MOST_LINES = 2000  # of members, that a picture shows


def search_section(
    results: Results, objective: Objective, scales: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Returns the section as HTML; "" where the sweep has no search."""
    rungs = results.search.get("rungs", [])
    if rungs:
        return _rungs(results, objective, rungs)
    found = lineages(results, objective)
    return _populations(results, objective, found, scales) if found else ""


class Lineage(NamedTuple):
    """A population: what its members learnt with, and the line of those that the best came from."""

    seed: int
    members: np.ndarray  # [N] positions in `Results.runs`
    best: int  # position of the best member at the end
    updates: np.ndarray  # [E + 1], where an interval begins
    hparams: dict[str, np.ndarray]  # name -> [E + 1, N], those that varied
    line: np.ndarray  # [E + 1] positions among the members, from the first ancestor to the best


def lineages(results: Results, objective: Objective) -> list[Lineage]:
    """Returns the populations that have a best member, in the order of their seeds."""
    position = {run["run"]: place for place, run in enumerate(results.runs)}
    figures = final(results, objective) * (1 if objective.higher_is_better else -1)
    found = []
    for numbers, schedule in results.schedules:
        places = np.array([position[number] for number in numbers.tolist()])
        seeds = np.array([results.runs[place]["seed"] for place in places])
        for seed in np.unique(seeds).tolist():
            own = np.flatnonzero(seeds == seed)
            if np.isnan(figures[places[own]]).all():
                continue
            best = own[np.nanargmax(figures[places[own]])]
            began = {
                name: [results.runs[place]["hparams"][name] for place in places[own]]
                for name in schedule.hparams
            }
            values = {
                name: np.concatenate([np.array([began[name]], np.float32), changed[:, own]])
                for name, changed in schedule.hparams.items()
            }
            varied = {name: x for name, x in values.items() if (x != x.flat[0]).any()}
            line = np.searchsorted(own, schedule.ancestors(int(best)))
            updates = np.append(0, schedule.updates)
            found.append(Lineage(seed, places[own], int(places[best]), updates, varied, line))
    return sorted(found, key=lambda one: one.seed)


def _populations(
    results: Results, objective: Objective, found: list[Lineage], scales: Mapping[str, str]
) -> str:
    picture = schedules(found, scales, int(results.num_updates_done.max()))
    figures = final(results, objective)
    names = list(dict.fromkeys(name for one in found for name in one.hparams))
    head = ["seed", "best run", objective.metric, "copies", *(f"{name} at last" for name in names)]
    body = []
    for one in found:
        cells = [cell(one.seed), cell(results.runs[one.best]["run"])]
        cells += [number_cell(figures[one.best]), cell(int((np.diff(one.line) != 0).sum()))]
        last = {name: values[-1, one.line[-1]] for name, values in one.hparams.items()}
        body.append(cells + [number_cell(last.get(name, np.nan)) for name in names])
    note = (
        "Runs copied each other; in the tables they stand by what they began with. Each line is a "
        "member; in colour, what the best of a population and those it descends from learnt with, "
        "whose copies are counted."
    )
    return section("Populations", note, f"<figure>{picture}</figure>{sortable_table(head, body)}")


def schedules(found: list[Lineage], scales: Mapping[str, str], num_updates: int) -> str:
    """Returns what members learnt with over the updates, as SVG; a panel for each number."""
    names = list(dict.fromkeys(name for one in found for name in one.hparams))
    if not names:
        return ""
    with svg.style("schedules"):
        panels = svg.grid(len(names), min(2, len(names)), 1080, 300)
        for axes, name in zip(panels, names):
            for place, one in enumerate(found):
                if name not in one.hparams:
                    continue
                values = one.hparams[name]
                ends = np.append(one.updates, num_updates)
                stretched = np.concatenate([values, values[-1:]])
                if len(found) * values.shape[1] <= _MOST_LINES:
                    axes.step(ends, stretched, where="post", color=svg.MUTED, alpha=0.2, lw=0.6)
                best = values[np.arange(len(values)), one.line]
                colour = svg.PALETTE[place % len(svg.PALETTE)]
                axes.step(ends, np.append(best, best[-1]), where="post", color=colour, lw=1.8)
            positive = all((one.hparams[name] > 0).all() for one in found if name in one.hparams)
            if scales.get(name) == "log" and positive:
                axes.set_yscale("log")
            axes.set_title(name)
            axes.set_xlabel("updates")
        return svg.inline(svg.figure_of(panels[0]), f"Schedules of {', '.join(names)}")


def _rungs(results: Results, objective: Objective, rungs: list[dict[str, Any]]) -> str:
    head = ["bracket", "update", "configurations", "went on", "best", "last that went on",
            "first that did not"]  # fmt: skip
    sign = 1 if objective.higher_is_better else -1
    body = []
    for rung in rungs:
        figures = sign * np.array([np.nan if x is None else x for x in rung["figures"]], float)
        kept = np.array(rung["kept"], bool)
        ends = [_best(figures), -_best(-figures[kept]), _best(figures[~kept])]
        cells = [cell(rung["bracket"]), cell(f"{rung['update']:,}", rung["update"])]
        cells += [cell(len(kept)), cell(int(kept.sum()))]
        body.append(cells + [number_cell(sign * x) for x in ends])
    num = int((dropped_at(results) >= 0).sum())
    note = (
        f"{plural(num, 'run')} of {len(results.runs)} stopped at a rung, seeds of a configuration "
        f"together, ranked by {rungs[0]['metric']} up to there. {_saved(results)}"
    )
    return section("Halving", note, sortable_table(head, body))


def _best(figures: np.ndarray) -> float:
    """Returns the largest figure, NaN where there is none."""
    return float(np.nanmax(figures)) if np.isfinite(figures).any() else np.nan


def _saved(results: Results) -> str:
    """Returns in a sentence which share of the full grid's env steps was played."""
    done = results.num_updates_done
    played = env_steps(results)[np.arange(len(done)), done].astype(float)
    if not played.sum():
        return ""
    full = float(np.sum(played / np.maximum(done, 1) * done.max()))
    share = f"{100 * played.sum() / full:.0f} %"
    return (
        f"{count(played.sum())} env steps in all, {share} of what all runs to the end would take."
    )
