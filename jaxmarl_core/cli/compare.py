"""Compare two sweeps: which options differ, whose runs are better, their curves in one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.cli.running import CONSOLE
from jaxmarl_core.errors import require
from jaxmarl_core.report.page import write_report
from jaxmarl_core.report.terminal_table import terminal_table
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.comparison import best_only, difference, differing, joined
from jaxmarl_core.store.number_formats import number, option
from jaxmarl_core.store.tables import Objective, table
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.spec import from_dict


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core compare`."""
    tyro.cli(compare, args=arguments, prog="jaxmarl-core compare")


def compare(
    first: Annotated[Path, tyro.conf.Positional],
    second: Annotated[Path, tyro.conf.Positional],
    metric: str = "",
    lower_is_better: bool = False,
    all: bool = False,
    out: Path | None = None,
) -> None:
    """Compare two sweeps: which options differ, whose runs are better, their curves in one picture.

    Args:
      first: the folder of a sweep.
      second: that of another.
      metric: what they are compared by; by default the first one's objective.
      lower_is_better: of the metric that is told here.
      all: show all configurations, not the best of each alone.
      out: the page with their curves to write; by default compare-<first>-<second>.html here.
    """
    folders = (first, second)
    ours, theirs = (sweep_folder.read(folder) for folder in folders)
    require(bool(metric) or not lower_is_better, "metric", "one, for lower-is-better", "none")
    goal = objective(from_dict(ours.spec), ours)
    goal = Objective(metric, not lower_is_better) if metric else goal
    names = _names(first, second)
    CONSOLE.print(_options_table(differing(ours.spec, theirs.spec), names))
    best = best_only(ours, goal), best_only(theirs, goal)
    shown = joined(ours, theirs, names) if all else joined(*best, names)
    CONSOLE.print(terminal_table(table(shown, goal), goal))
    CONSOLE.print(_in_words(difference(*best, goal), goal, names), markup=False)
    path = out or Path(f"compare-{names[0]}-{names[1]}.html")
    write_report(path, shown, goal, title=f"{names[0]} and {names[1]}")
    CONSOLE.print(str(path), markup=False, soft_wrap=True)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Returns what two folders are called, told apart where both have one name."""
    names = first.resolve().name, second.resolve().name
    return names if names[0] != names[1] else (f"{names[0]} (1)", f"{names[1]} (2)")


def _options_table(pairs: dict[str, tuple[Any, Any]], names: tuple[str, str]) -> Table:
    shown = Table(title="what differs", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", *names):
        shown.add_column(escape(name), overflow="fold")
    for name, pair in pairs.items():
        shown.add_row(*map(escape, (name, *("–" if x is None else option(x) for x in pair))))
    if not pairs:
        shown.add_row("nothing", "", "")
    return shown


def _in_words(found: Any, goal: Objective, names: tuple[str, str]) -> str:
    """Returns in words how two best configurations differ."""
    interval = f", 95 % interval {number(found.low)} to {number(found.high)}"
    spread = "" if found.low != found.low else interval
    return (
        f"{goal.metric}: {names[1]} less {names[0]} is {number(found.iqm)}{spread}. A run of "
        f"{names[1]} is better than one of {names[0]} with chance {found.chance:.2f}."
    )
