"""A suite as a page to look at: aggregates, profiles, who improves on whom, curves, tasks."""

import html
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxmarl_core.functional import statistics
from jaxmarl_core.functional.aggregates import AGGREGATES, Estimate
from jaxmarl_core.report import svg
from jaxmarl_core.report.page_elements import (
    cell,
    document,
    facts_table,
    section,
    sortable_table,
    word_cell,
)
from jaxmarl_core.store import atomic
from jaxmarl_core.store.number_formats import count, number, plural
from jaxmarl_core.store.suite import (
    Estimates,
    Suite,
    efficiency,
    improvements,
    profiles,
    unequal_budgets,
)

TITLES = {
    "iqm": "interquartile mean",
    "median": "median of tasks",
    "mean": "mean of tasks",
    "optimality_gap": "optimality gap",
}
SHARES = np.linspace(0.0, 1.0, 41)  # of a task's env steps
_WIDTH = 1080.0  # CSS pixels


def write_suite_page(
    path: str | os.PathLike, suite: Suite, found: Estimates, title: str, facts: Mapping[str, Any]
) -> None:
    """Writes the page, one self-contained HTML file.

    Args:
      path: of the file.
      suite, found: from `store.suite.collect`, and its `estimates`.
      title: its heading.
      facts: how it was made, for the foot of the page.
    """
    atomic.write(path, suite_page(suite, found, title, facts))


def suite_page(suite: Suite, found: Estimates, title: str, facts: Mapping[str, Any]) -> str:
    """Returns the page as HTML text; see `write_suite_page`."""
    return document(
        title,
        [
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="summary">{_summary(suite, found)}</p>',
            _aggregates(suite, found),
            _profiles(suite),
            _improvements(suite),
            _efficiency(suite),
            _tasks(suite),
            f"<h2>How it was made</h2>\n{facts_table(facts)}",
        ],
    )


def colours(suite: Suite) -> dict[str, str]:
    """Returns a colour for each algorithm; where there are many they come round again."""
    palette = svg.PALETTE
    return {name: palette[i % len(palette)] for i, name in enumerate(suite.algorithms)}


def _summary(suite: Suite, found: Mapping[str, Mapping[str, Estimate]]) -> str:
    best = max(suite.algorithms, key=lambda name: float(found[name]["iqm"].value))
    num_runs = sum(len(entry.figures) for entry in suite.entries.values())
    size = (
        f"{plural(len(suite.algorithms), 'algorithm')} on {plural(len(suite.tasks), 'task')}, "
        f"{plural(num_runs, 'run')}."
    )
    lost = sum(entry.num_diverged for entry in suite.entries.values())
    apart = unequal_budgets(suite)
    warning = (
        f' <span class="warn">{plural(lost, "run")} diverged, left out.</span>' if lost else ""
    )
    unequal = "Not all have played as many env steps: " + ", ".join(apart)
    unequal = f' <span class="warn">{html.escape(unequal)}.</span>' if apart else ""
    return (
        f"{size} {html.escape(best)} has the highest interquartile mean, "
        f"<b>{_in_words(found[best]['iqm'])}</b>.{warning}{unequal}"
    )


def _in_words(estimate: Estimate) -> str:
    value, low, high = map(float, estimate)
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _aggregates(suite: Suite, found: Mapping[str, Mapping[str, Estimate]]) -> str:
    note = (
        "Scores are 0 at the worst and 1 at the best of each task, see the tasks below. Dots are "
        "what was found, bars its 95 % interval, the runs of each task drawn again by themselves. "
        "The optimality gap is how far runs fall short of 1: less is better."
    )
    heads = ("algorithm", *TITLES.values())
    body = [
        [
            word_cell(name),
            *(cell(_in_words(found[name][key]), float(found[name][key].value)) for key in TITLES),
        ]
        for name in suite.algorithms
    ]
    with svg.style("aggregates"):
        size = 46 * len(suite.algorithms) + 70
        panels = svg.grid(len(AGGREGATES), len(AGGREGATES), _WIDTH, size)
        for axes, key in zip(panels, AGGREGATES):
            _bars(axes, [found[name][key] for name in suite.algorithms], suite)
            axes.set_title(TITLES[key])
            axes.set_yticks(range(len(suite.algorithms)), suite.algorithms)
            if axes is not panels[0]:
                axes.set_yticklabels([])
        picture = svg.inline(svg.figure_of(panels[0]), "Aggregates with 95 % intervals")
    table = sortable_table(heads, body, {heads[0]})
    return section("Over all tasks", note, f"<figure>{picture}</figure>\n{table}")


def _bars(axes: Axes, found: list[Estimate], suite: Suite) -> None:
    """Draws one estimate below the other."""
    for place, (estimate, colour) in enumerate(zip(found, colours(suite).values())):
        if np.isfinite(estimate.low):
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, lw=7, alpha=0.3)
        axes.plot(estimate.value, place, color=colour, marker="o", markersize=7)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x")
    axes.grid(False, axis="y")


def _profiles(suite: Suite) -> str:
    note = (
        "The share of all runs with a score above the number below; higher is better everywhere, "
        "and lines that cross say that neither is better throughout. Bands are 95 % intervals."
    )
    scores = np.concatenate([entry.scores for entry in suite.entries.values()])
    low, high = min(0.0, float(scores.min())), max(1.0, float(scores.max()))
    thresholds = np.linspace(low, high, 101)
    with svg.style("profiles"):
        (axes,) = svg.grid(1, 1, _WIDTH, 360)
        _lines(axes, thresholds, profiles(suite, thresholds), suite)
        axes.set(xlabel="score", ylabel="share of runs above", ylim=(0, 1.02), xlim=(low, high))
        picture = svg.inline(svg.figure_of(axes), "Performance profiles")
    return section("Performance profiles", note, f"<figure>{picture}</figure>")


def _lines(axes: Axes, x: np.ndarray, found: Mapping[str, Estimate], suite: Suite) -> None:
    for name, colour in colours(suite).items():
        estimate = found[name]
        axes.fill_between(x, estimate.low, estimate.high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(x, estimate.value, color=colour, linewidth=2, label=name)
    axes.legend(frameon=False)


def _improvements(suite: Suite) -> str:
    if len(suite.algorithms) < 2:
        return ""
    found = improvements(suite)
    note = (
        "The chance that a run of the row is better than one of the column on the same task, ties "
        "half, with its 95 % interval. With few seeds that is too narrow: of equal algorithms with "
        "four seeds on a task, one in twelve leaves out 0.5."
    )
    heads = ("", *suite.algorithms)
    body = [
        [word_cell(row)]
        + [
            cell("–", "")
            if row == column
            else cell(_in_words(found[row, column]), float(found[row, column].value))
            for column in suite.algorithms
        ]
        for row in suite.algorithms
    ]
    return section("Who improves on whom", note, sortable_table(heads, body, {heads[0]}))


def _efficiency(suite: Suite) -> str:
    if min(len(v) for entry in suite.entries.values() for v in entry.values) < 2:
        return ""  # measured at the end alone
    note = (
        "The interquartile mean of all runs after equal env steps: 1 is, for each task, what every "
        "algorithm has played of it. Bands are 95 % intervals."
    )
    with svg.style("efficiency"):
        (axes,) = svg.grid(1, 1, _WIDTH, 360)
        _lines(axes, SHARES, efficiency(suite, SHARES), suite)
        axes.set(xlabel="share of the env steps", ylabel="interquartile mean", xlim=(0, 1))
        picture = svg.inline(svg.figure_of(axes), "Sample efficiency")
    return section("Sample efficiency", note, f"<figure>{picture}</figure>")


def _tasks(suite: Suite) -> str:
    note = (
        "Each algorithm by its best configuration, of as many as were tried: with more tried, the "
        "best looks better than it is. Figures as measured, the interquartile mean over seeds. "
        "Bounds that nobody told are the worst and the best that any of these runs measured. Runs "
        "that diverged have no figure and are left out of all averages."
    )
    heads = ("task", "metric", "0 is", "1 is", *suite.algorithms)
    body = []
    for task in suite.tasks:
        goal, bounds = suite.objectives[task], suite.bounds[task]
        found = "" if bounds.told else " (found)"
        body.append([
            word_cell(task),
            word_cell(goal.metric),
            cell(number(bounds.worst) + found, bounds.worst),
            cell(number(bounds.best) + found, bounds.best),
            *(_figure(suite, algorithm, task) for algorithm in suite.algorithms),
        ])  # fmt: skip
    return section("Tasks", note, sortable_table(heads, body, {heads[0], heads[1]}))


def _figure(suite: Suite, algorithm: str, task: str) -> str:
    entry = suite.entries[algorithm, task]
    value = float(statistics.iqm(entry.figures))
    low, high = map(float, statistics.bootstrap_interval(entry.figures))
    spread = "" if np.isnan(low) else f" ({number(low)} to {number(high)})"
    steps = f", {count(max(float(x[-1]) for x in entry.steps))} env steps"
    tried = f", {plural(entry.num_tried, 'configuration')}" if entry.num_tried > 1 else ""
    lost = f", {entry.num_diverged} diverged" if entry.num_diverged else ""
    return cell(f"{number(value)}{spread}{steps}{tried}{lost}", value)
