"""A tournament as a page to look at: the standings, and who beats whom as a heat map."""

import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxmarl_core.play.standings import Standings
from jaxmarl_core.play.tournament import Tournament, pair_win_rates
from jaxmarl_core.report import svg
from jaxmarl_core.report.page_elements import (
    document,
    facts_table,
    number_cell,
    section,
    sortable_table,
    word_cell,
)
from jaxmarl_core.store import atomic
from jaxmarl_core.store.number_formats import plural

MOST_NUMBERED = 24  # players up to which each cell of the heat map has its number
_LOSES, _EVEN, _WINS = svg.VERMILLION, "#f7f7f7", svg.BLUE

HEADS = ("player", "win rate", "95 % interval", "Elo", "Nash mass", "Nash rating", "alpha-rank")


def write_tournament_page(
    path: str | os.PathLike,
    names: Sequence[str],
    found: Tournament,
    table: Standings,
    title: str,
    facts: Mapping[str, Any],
) -> None:
    """Writes the page, one self-contained HTML file.

    Args:
      path: of the file.
      names: of the P players.
      found, table: the tournament, and how they stand.
      title: its heading.
      facts: how it was played, for the foot of the page.
    """
    atomic.write(path, tournament_page(names, found, table, title, facts))


def tournament_page(
    names: Sequence[str],
    found: Tournament,
    table: Standings,
    title: str,
    facts: Mapping[str, Any],
) -> str:
    """Returns the page as HTML text; see `write_tournament_page`."""
    games = int(sum(x.sum() for x in found[:3])) // 2
    best = int(table.order[0])
    rate = f"{100 * table.win_rates.rate[best]:.1f} %"
    summary = (
        f"{plural(len(names), 'player')}, {plural(games, 'episode')}, on both sides. "
        f"{html.escape(names[best])} won most: <b>{rate}</b> of the points."
    )
    return document(
        title,
        [
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="summary">{summary}</p>',
            _standings(names, table),
            _heat_map(names, found, table),
            _sides(names, found, table),
            f"<h2>How it was played</h2>\n{facts_table(facts)}",
        ],
    )


def _standings(names: Sequence[str], table: Standings) -> str:
    note = (
        "Points over episodes, a draw half a point, with Wilson's interval. Elo: 400 points are "
        "odds of ten to one, the mean is 0. Nash mass: what a player weighs in the mixture that "
        "nobody beats; Nash rating: log-odds against it, 0 at best. alpha-rank: how long a "
        "population that imitates the better stays with it. Click a heading to sort."
    )
    body = []
    for i in map(int, table.order):
        low, high = table.win_rates.low[i], table.win_rates.high[i]
        body.append([
            word_cell(names[i]),
            number_cell(float(table.win_rates.rate[i]), 3),
            f'<td data-value="{low}">{low:.3f} to {high:.3f}</td>',
            f'<td data-value="{table.elo[i]}">{table.elo[i]:.0f}</td>',
            *(f'<td data-value="{x[i]}">{_plain(float(x[i]))}</td>'
              for x in (table.nash_mass, table.nash_rating, table.alpha_rank)),
        ])  # fmt: skip
    return section("Standings", note, sortable_table(HEADS, body, {HEADS[0]}))


def _sides(names: Sequence[str], found: Tournament, table: Standings) -> str:
    """Returns each player's points and mean return by side."""
    heads = ("player", "first side", "second side", "return, first", "return, second")
    rate, paid = table.side_win_rates.rate, np.nanmean(found.returns, axis=2)
    body = [
        [word_cell(names[i]), *(number_cell(float(x), 4) for x in (*rate[:, i], *paid[:, i]))]
        for i in map(int, table.order)
    ]
    note = "Win rate and mean return as the first team of the world, and as the second."
    return section("Sides", note, sortable_table(heads, body, {heads[0]}))


def _plain(value: float) -> str:
    """Returns three decimals, without a sign before zeros."""
    text = f"{value:.3f}"
    return text.lstrip("-") if float(text) == 0 else text


def _heat_map(names: Sequence[str], found: Tournament, table: Standings) -> str:
    note = "Win rate of the row against the column, draws half, over both sides; best on top."
    picture = svg.inline(heat_map(names, found, table.order), "Win rates of row against column")
    return section("Who beats whom", note, f"<figure>{picture}</figure>")


def heat_map(names: Sequence[str], found: Tournament, order: np.ndarray) -> Figure:
    """Returns a figure of the win rates [P, P], players in the order given.

    Args:
      names: of the P players.
      found: the tournament.
      order: [P] int.
    """
    size, rates = len(names), pair_win_rates(found).rate[np.ix_(order, order)]
    side = float(np.clip(900 / size, 18, 84))
    labels = [_short(names[i]) for i in map(int, order)]
    margin = 8 * max(map(len, labels)) + 30
    colours = LinearSegmentedColormap.from_list("wins", [_LOSES, _EVEN, _WINS])
    with svg.style("win rates"):
        (axes,) = svg.grid(1, 1, margin + side * size + 40, side * size + margin)
        axes.grid(False)
        axes.set_aspect("equal")
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        for i, j in np.ndindex(size, size):
            if i == j:
                continue
            shade = colours(float(rates[i, j]))
            axes.add_patch(_cell(j, i, shade))
            if size <= MOST_NUMBERED:
                far = abs(rates[i, j] - 0.5) > 0.35
                axes.text(j + 0.5, i + 0.5, f"{rates[i, j]:.2f}".lstrip("0") if rates[i, j] < 1
                          else "1", ha="center", va="center", color="#ffffff" if far else "#222222",
                          fontsize=min(12.0, side / 2.6))  # fmt: skip
        ticks = np.arange(size) + 0.5
        axes.set_xticks(ticks, labels, rotation=90 if size > 6 or margin > 130 else 0)
        axes.set_yticks(ticks, labels)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return svg.figure_of(axes)


def write_heat_map(
    path: str | os.PathLike, names: Sequence[str], found: Tournament, order: np.ndarray
) -> None:
    """Writes the heat map as an SVG file of its own, on white."""
    with svg.style("win rates alone"), atomic.writing(path) as file:
        figure = heat_map(names, found, order)
        figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})


def _cell(x: float, y: float, colour: Any) -> Rectangle:
    """Returns a unit square with a little room around it."""
    return Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, facecolor=colour, linewidth=0)


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
