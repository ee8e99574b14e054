"""The pictures of a sweep: learning curves, and what each hyper-parameter does to the result."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from jaxmarl_core.functional import statistics
from jaxmarl_core.report import svg
from jaxmarl_core.report.facets import Facet, facets
from jaxmarl_core.store import number_formats
from jaxmarl_core.store.tables import Objective, Results, final, options, swept

NUM_HIGHLIGHTED = len(svg.PALETTE)
_WIDTH = 1080.0  # CSS pixels
_MOST_PANELS = 60
MOST_GREY = 200  # lines behind those in colour, evenly chosen by rank where there are more
MOST_DOTS = 1500  # runs drawn against an option, chosen at random where there are more
_MOST_LEVELS = 12  # values of an option up to which it counts as a grid

Rows = Sequence[Mapping[str, Any]]  # of results.table


class Curve(NamedTuple):
    """The interquartile mean of some runs over time, and its 95 % bootstrap interval."""

    x: np.ndarray  # [P] updates, or environment steps where the runs know them
    line: np.ndarray  # [P]
    low: np.ndarray  # [P]
    high: np.ndarray  # [P]


def curve(results: Results, name: str, runs: np.ndarray, num_points: int = 160) -> Curve:
    """Returns the curve of metric `name` over the given runs.

    Long curves are averaged in bins; straight lines bridge what was not measured.

    Args:
      results: [R] runs.
      name: of a metric.
      runs: [S] int, positions of the runs to summarise.
      num_points: P, at most.
    """
    done = results.num_updates_done[runs]
    values, updates = statistics.bin_means(results.metrics[name][runs, : done.max()], num_points)
    values = np.where(updates <= done[:, None], statistics.bridge_gaps(values), np.nan)
    low, high = statistics.bootstrap_interval(values, num_resamples=300)
    return Curve(time_axis(results, runs)[updates], statistics.iqm(values), low, high)


def knows_steps(results: Results) -> bool:
    """Returns whether it is known how many environment steps the updates of every run played."""
    if "env_steps" in results.metrics:
        return True
    return all(run.get("env_steps_per_update") for run in results.runs)


def steps_in_all(results: Results) -> float:
    """Returns the environment steps of all runs together; see `time_axis`."""
    done = results.num_updates_done
    told = np.array([run.get("env_steps_per_update", 1) for run in results.runs], float)
    played = results.metrics.get("env_steps", np.full((len(results.runs), 1), np.nan))
    known = np.isfinite(played).any(axis=1)
    return float(np.where(known, np.nansum(played, axis=1), told * done).sum())


def time_axis(results: Results, runs: np.ndarray) -> np.ndarray:
    """Returns [U + 1] f64, the environment steps after 0 ... U updates, a mean over runs.

    Steps that were played, where the metric `env_steps` tells of them; else all that updates are
    made of, among them those after an end; updates where not even that is known.
    """
    played = results.metrics.get("env_steps", np.full((len(results.runs), 1), np.nan))[runs]
    if np.isfinite(played).any():
        each = statistics.mean(played)
    else:
        num_updates = next(iter(results.metrics.values())).shape[1]
        one = results.runs[runs[0]].get("env_steps_per_update", 1) if knows_steps(results) else 1
        each = np.full(num_updates, one)
    return np.append(0.0, np.nancumsum(each))


def sound_runs(results: Results, row: Mapping[str, Any]) -> np.ndarray:
    """Returns the positions of a configuration's runs that did not diverge."""
    return row["runs"][results.diverged_at[row["runs"]] < 0]


def learning_curves(results: Results, objective: Objective, rows: Rows) -> str:
    """Returns the objective over time as SVG: the best rows in colour, the others in grey.

    One panel for each choice of environment options, see `facets`.
    """
    found = facets(results, rows)
    name = objective.metric
    with svg.style("learning curves"):
        alone = len(found) == 1
        num_columns = 1 if alone else _columns(len(found))
        panels = svg.grid(len(found), num_columns, _WIDTH, 420 if alone else 300)
        for axes, facet in zip(panels, found):
            grey = [row for row, colour in zip(facet.rows, facet.colours) if colour is None]
            for row in evenly(grey, MOST_GREY):
                if len(runs := sound_runs(results, row)):
                    line = curve(results, name, runs, 80)
                    axes.plot(line.x, line.line, color=svg.MUTED, alpha=0.25, linewidth=0.8)
            if len(facet.rows) == 1:
                _draw_seeds(axes, results, name, facet.rows[0]["runs"], facet.colours[0])
            seen = _draw_curves(axes, results, name, facet)
            _mark_divergence(axes, results, name, facet)
            _limit(axes, seen)
            axes.set_title(facet.label)
        panels[0].set_ylabel(name)
        for axes in panels[-num_columns:]:
            axes.set_xlabel("environment steps" if knows_steps(results) else "updates")
        return svg.inline(svg.figure_of(panels[0]), f"Learning curves of {name}")


def evenly(rows: Rows, most: int) -> Rows:
    """Returns the rows, or `most` of them at equal distances, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, most).astype(int)]


def other_metrics(results: Results, objective: Objective, rows: Rows) -> str:
    """Returns small multiples of every other metric as SVG; "" where there is none."""
    others = ("finite", "env_steps")  # a mark, and the axis
    names = [name for name in results.metrics if name not in (objective.metric, *others)]
    names = [name for name in names if np.isfinite(results.metrics[name]).any()]
    if not names:
        return ""
    pairs = [(name, facet) for name in names for facet in facets(results, rows)][:_MOST_PANELS]
    with svg.style("other metrics"):
        panels = svg.grid(len(pairs), _columns(len(pairs)), _WIDTH, 230)
        for axes, (name, facet) in zip(panels, pairs):
            _limit(axes, _draw_curves(axes, results, name, facet, num_points=80))
            axes.set_title(", ".join(filter(None, [name, facet.label])))
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        return svg.inline(svg.figure_of(panels[0]), f"Learning curves of {', '.join(names)}")


def _columns(num_panels: int) -> int:
    return min(3, max(2, num_panels))


def _draw_curves(
    axes: Axes, results: Results, name: str, facet: Facet, num_points: int = 160
) -> list[np.ndarray]:
    """Draws the highlighted rows and returns the lines that ought to be seen."""
    seen = []
    for row, colour in reversed(list(zip(facet.rows, facet.colours))):
        if colour is not None and len(runs := sound_runs(results, row)):
            line = curve(results, name, runs, num_points)
            axes.fill_between(
                line.x, line.low, line.high, color=colour, alpha=0.11, linewidth=0, zorder=2
            )
            axes.plot(line.x, line.line, color=colour, linewidth=1.8, zorder=3)
            seen += [line.line, line.low, line.high]
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_formats.number(value)))
    axes.margins(x=0.01)
    return seen


def _draw_seeds(
    axes: Axes, results: Results, name: str, runs: np.ndarray, colour: str | None
) -> None:
    for run in runs:
        line = curve(results, name, np.array([run]))
        axes.plot(line.x, line.line, color=colour or svg.MUTED, alpha=0.35, linewidth=0.8)


def _mark_divergence(axes: Axes, results: Results, name: str, facet: Facet) -> None:
    """Draws the highlighted runs that diverged as broken lines that end in a cross."""
    for row, colour in zip(facet.rows, facet.colours):
        if colour is None:
            continue
        for run in row["runs"][results.diverged_at[row["runs"]] >= 0]:
            last = int(results.diverged_at[run])
            values = results.metrics[name][run, :last].astype(np.float64)[None]
            if np.isfinite(values).any():
                values = statistics.bridge_gaps(values)[0]
                x = time_axis(results, np.array([run]))[1 : last + 1]
                axes.plot(x, values, color=colour, linewidth=0.9, linestyle=(0, (3, 2)))
                axes.plot(x[-1:], values[-1:], color=colour, marker="x", markersize=8, zorder=4)


def _limit(axes: Axes, lines: list[np.ndarray]) -> None:
    """Sets the y axis to nearly all of every line, and to where each ends.

    One spike shall not flatten the rest, and no curve shall leave the picture.
    """
    lines = [line[np.isfinite(line)] for line in lines]
    lines = [line for line in lines if len(line)]
    if lines:
        ends = [[line[-1], *np.quantile(line, [0.02, 0.98])] for line in lines]
        low, high = np.min(ends), np.max(ends)
        margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)


def _short(value: float) -> str:
    """Returns a tick of a time axis: 500, 20k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def effects(results: Results, objective: Objective, scales: Mapping[str, str]) -> str:
    """Returns, as SVG, the objective against each swept option; "" where none is swept.

    Dots are runs, dashes the interquartile mean of all runs at a value, crosses at the foot
    are runs that diverged. With exactly two swept options a heat map of both follows.

    Args:
      results: [R] runs.
      objective: what the dots show.
      scales: hparam -> "log" or "linear", as declared; linear where absent.
    """
    varying = swept(results)
    if not varying:
        return ""
    figures = final(results, objective)
    crossed = _crossed(results, varying)
    num_panels = len(varying) + crossed
    with svg.style("effects"):
        panels = svg.grid(num_panels, _columns(num_panels), _WIDTH, 330)
        for axes, (name, values) in zip(panels, varying.items()):
            is_log = scales.get(name) == "log"
            _draw_effect(axes, results, figures, name, values, is_log)
            axes.set_title(name)
        panels[0].set_ylabel(objective.metric)
        if crossed:
            _draw_heat_map(panels[-1], results, figures, varying, objective.higher_is_better)
        return svg.inline(
            svg.figure_of(panels[0]), f"{objective.metric} against {', '.join(varying)}"
        )


def _draw_effect(
    axes: Axes, results: Results, figures: np.ndarray, name: str, values: list, is_log: bool
) -> None:
    owners = [run for run, row in enumerate(results.runs) if name in options(row)]
    own = [options(results.runs[run])[name] for run in owners]
    figures, diverged = figures[owners], results.diverged_at[owners] >= 0
    is_number = any(name in row["hparams"] for row in results.runs)
    x = np.array(own, float) if is_number else np.array([values.index(value) for value in own])
    if is_number and is_log and x.min() > 0:
        axes.set_xscale("log")
    num_drawn = min(len(x), MOST_DOTS)
    drawn = np.random.default_rng(0).choice(len(x), num_drawn, replace=False)
    dot = {"color": svg.BLUE, "alpha": 0.55, "markersize": 6, "markeredgewidth": 0}
    axes.plot(x[drawn], figures[drawn], "o", **dot)
    centres, middles = _marginal(x, figures)
    dash = {"marker": "_", "markersize": 16, "markeredgewidth": 2.0}
    line = "-" if is_number else "none"  # between words there is nothing
    axes.plot(centres, middles, color=svg.INK, linewidth=1.6, linestyle=line, **dash)
    diverged = diverged & np.isin(np.arange(len(x)), drawn)
    foot = np.full(int(diverged.sum()), 0.03)
    cross = {"color": svg.VERMILLION, "markersize": 8, "markeredgewidth": 1.8}
    axes.plot(x[diverged], foot, "x", **cross, transform=axes.get_xaxis_transform())
    axes.margins(x=0.12, y=0.12)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_formats.number(value)))
    labels = values if is_number else [number_formats.option(value) for value in values]
    _set_ticks(axes, x, labels, is_number)


def _set_ticks(axes: Axes, x: np.ndarray, labels: list, is_number: bool) -> None:
    """Puts the ticks at the values themselves where these are few and stand apart."""
    places = np.unique(x)
    unit = np.log(places) if axes.get_xscale() == "log" else places
    apart = len(unit) == 1 or np.diff(unit).min() > 0.13 * np.ptp(unit)
    if not is_number:
        axes.set_xticks(np.arange(len(labels)), labels)
    elif len(places) <= 6 and apart:
        axes.xaxis.set_major_locator(FixedLocator(places.tolist()))
    elif axes.get_xscale() == "log":
        is_wide = np.ptp(np.log10(places)) > 2
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
    if is_number:
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_formats.number(value)))


def _marginal(x: np.ndarray, figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places on the axis and the interquartile mean at each; eighths of a cloud."""
    places = np.unique(x)
    if len(places) <= _MOST_LEVELS:
        groups = [x == place for place in places]
        return places, np.array([statistics.iqm(figures[group]) for group in groups])
    groups = np.array_split(np.argsort(x, kind="stable"), 8)
    centres = np.array([np.median(x[group]) for group in groups])
    return centres, np.array([statistics.iqm(figures[group]) for group in groups])


def _crossed(results: Results, varying: Mapping[str, list]) -> bool:
    """Returns whether exactly two options vary and every pair of their values was run."""
    if len(varying) != 2 or max(map(len, varying.values())) > _MOST_LEVELS:
        return False
    (first, left), (second, right) = varying.items()
    rows = [options(run) for run in results.runs]
    pairs = {(str(row.get(first)), str(row.get(second))) for row in rows}
    return len(pairs) == len(left) * len(right)


def _draw_heat_map(
    axes: Axes, results: Results, figures: np.ndarray, varying: Mapping[str, list], higher: bool
) -> None:
    (x_name, x_values), (y_name, y_values) = varying.items()
    cells = np.full((len(y_values), len(x_values)), np.nan)
    rows = [options(run) for run in results.runs]
    for i, y in enumerate(y_values):
        for j, x in enumerate(x_values):
            here = [row.get(x_name) == x and row.get(y_name) == y for row in rows]
            cells[i, j] = statistics.iqm(figures[here])
    colours = matplotlib.colormaps["cividis" if higher else "cividis_r"]
    mesh = axes.pcolormesh(cells, cmap=colours, edgecolors=svg.GRID, linewidth=1.0)
    for (i, j), value in np.ndenumerate(cells):
        is_dark = not np.isnan(value) and sum(colours(mesh.norm(value))[:3]) < 1.5
        text = "diverged" if np.isnan(value) else number_formats.number(value, 3)
        colour = svg.MUTED if np.isnan(value) else "#ffffff" if is_dark else "#111111"
        axes.text(j + 0.5, i + 0.5, text, color=colour, ha="center", va="center", fontsize=11)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(np.arange(len(x_values)) + 0.5, map(number_formats.option, x_values))
    axes.set_yticks(np.arange(len(y_values)) + 0.5, map(number_formats.option, y_values))
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.set_title("together")
