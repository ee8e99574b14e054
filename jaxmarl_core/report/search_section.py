"""What a search decided, as a section of a sweep's report: rungs, or the schedules it found."""

from typing import Any

import numpy as np

from jaxmarl_core.report.page_elements import cell, number_cell, section, sortable_table
from jaxmarl_core.store.data import env_steps
from jaxmarl_core.store.number_formats import count, plural
from jaxmarl_core.store.tables import Objective, Results, dropped_at


def search_section(results: Results, objective: Objective) -> str:
    """Returns the section as HTML; "" where the sweep has no search."""
    rungs = results.search.get("rungs", [])
    return _rungs(results, objective, rungs) if rungs else ""


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
