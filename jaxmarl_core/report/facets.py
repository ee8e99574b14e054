"""Which configurations are drawn in one panel, and in which colour.

Returns of different worlds do not share an axis: where a sweep varies options of the environment,
each choice of them has a panel of its own, and what is one algorithm's configuration has one colour
in all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxmarl_core.report import svg
from jaxmarl_core.store.number_formats import option
from jaxmarl_core.store.tables import Results, key_of, swept

MOST_PANELS = 12  # more would be too small to read: then all share one

Row = Mapping[str, Any]  # of results.table


class Facet(NamedTuple):
    """The configurations of one choice of environment options, the best first."""

    label: str  # that choice, "map_size 40"; "" where there is no choice
    rows: Sequence[Row]
    colours: Sequence[str | None]  # of each row; None: it is not among the highlighted


def facets(results: Results, rows: Sequence[Row]) -> list[Facet]:
    """Returns the panels, in the order of the options' values.

    Args:
      results: of a sweep.
      rows: its table, the best first.
    """
    names, shades = facet_names(results, rows), colours(results, rows)
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(_words(row, names), []).append(place)
    first_run = lambda label: min(int(rows[i]["runs"][0]) for i in groups[label])
    return [
        Facet(label, [rows[i] for i in groups[label]], [shades[i] for i in groups[label]])
        for label in sorted(groups, key=first_run)
    ]


def facet_names(results: Results, rows: Sequence[Row]) -> list[str]:
    """Returns the environment options that panels are told apart by; none where they are many."""
    told = results.spec.get("grid", {}).get("environment_options", {})
    names = [name for name in swept(results) if name in told]
    return names if len({_words(row, names) for row in rows}) <= MOST_PANELS else []


def colours(results: Results, rows: Sequence[Row]) -> list[str | None]:
    """Returns each row's colour: the palette's, in the order in which configurations rank first."""
    names = facet_names(results, rows)
    palette, given = iter(svg.PALETTE), {}
    for row in rows:
        name = _without(row, names)
        if name not in given:
            given[name] = next(palette, None)
    return [given[_without(row, names)] for row in rows]


def legend(results: Results, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Returns (colour, words) of every highlighted configuration, facets apart."""
    names = facet_names(results, rows)
    varying = [name for name in swept(results) if name not in names]
    found = {}
    for row, colour in zip(rows, colours(results, rows)):
        if colour:
            found.setdefault(colour, _words(row, varying) or "all")
    return list(found.items())


def _words(row: Row, names: Sequence[str]) -> str:
    own = row["options"]
    return ", ".join(f"{name} {option(own[name])}" for name in names if name in own)


def _without(row: Row, names: Sequence[str]) -> str:
    """Returns a configuration's options but for these, as text that is equal where they are."""
    return key_of({name: value for name, value in row["options"].items() if name not in names})
