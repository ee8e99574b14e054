"""The table of a sweep's configurations, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from jaxmarl_core.store.number_formats import count, number, option
from jaxmarl_core.store.tables import Objective, interval, key_of


def terminal_table(
    rows: Sequence[Mapping[str, Any]], objective: Objective, limit: int = 20
) -> Table:
    """Returns the first `limit` rows of `table` for a terminal; diverged runs stand out."""
    names = list(dict.fromkeys(name for row in rows for name in row["options"]))
    values = {name: {key_of(row["options"].get(name)) for row in rows} for name in names}
    names = [name for name in names if len(values[name]) > 1]
    shown = Table(title=f"final {objective.metric}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", *names, "IQM", "95 % interval", "seeds"):
        shown.add_column(name, justify="right", overflow="fold")
    for row in rows[:limit]:
        own = [row["options"].get(name, "–") for name in names]
        seeds = str(row["num_seeds"])
        shown.add_row(
            option(row["rank"] or "–"),
            *map(option, own),
            number(row["iqm"], 3),
            interval(row, 3),
            seeds if row["status"] == "ok" else f"[bold red]{row['status']}[/]",
        )
    if len(rows) > limit:
        shown.caption = f"and {count(len(rows) - limit)} more"
    return shown
