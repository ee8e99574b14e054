"""The table of a sweep's configurations, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.store.number_formats import count, number, option
from jaxmarl_core.store.tables import Objective, interval, key_of


def terminal_table(
    rows: Sequence[Mapping[str, Any]], objective: Objective, limit: int = 20, width: int = 80
) -> Table:
    """Returns the first `limit` rows of `table` for a terminal; diverged runs stand out.

    Each option that varies has a column; where these would be wider than `width`, all share one.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["options"]))
    values = {name: {key_of(row["options"].get(name)) for row in rows} for name in names}
    names = [name for name in names if len(values[name]) > 1]
    wide = _drawn(rows[:limit], objective, names)
    measured = wide.__rich_measure__(Console(width=10_000), Console(width=10_000).options)
    shown = wide if measured.maximum <= width else _drawn(rows[:limit], objective, None, names)
    if len(rows) > limit:
        shown.caption = f"and {count(len(rows) - limit)} more"
    return shown


def _drawn(
    rows: Sequence[Mapping[str, Any]],
    objective: Objective,
    columns: Sequence[str] | None,
    names: Sequence[str] = (),
) -> Table:
    """Returns a table with a column for each option, or with one for all of `names`."""
    shown = Table(title=escape(f"final {objective.metric}"), title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("", justify="right")
    if columns is None:
        shown.add_column("configuration", overflow="fold")
    for name in columns or ():
        shown.add_column(escape(name), justify="right", overflow="fold")
    for name in ("IQM", "95 % interval", "seeds"):
        shown.add_column(name, justify="right", no_wrap=name != "seeds")
    for row in rows:
        own = {name: option(row["options"].get(name, "–")) for name in columns or names}
        own = {name: escape(value) for name, value in own.items()}
        together = ", ".join(f"{escape(name)} {value}" for name, value in own.items())
        seeds = str(row["num_seeds"])
        shown.add_row(
            option(row["rank"] or "–"),
            *([together] if columns is None else own.values()),
            number(row["iqm"], 3),
            interval(row, 3),
            seeds if row["status"] == "ok" else f"[bold red]{row['status']}[/]",
        )
    return shown
