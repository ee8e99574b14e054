"""Say which of several algorithms is better over several tasks, and how sure that is."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.cli.running import CONSOLE
from jaxmarl_core.errors import require
from jaxmarl_core.report.suite_page import TITLES, write_suite_page
from jaxmarl_core.store import atomic, sweep_folder
from jaxmarl_core.store.number_formats import plural
from jaxmarl_core.store.suite import Estimates, Suite, Sweep, collect, estimates, marl_eval
from jaxmarl_core.store.tables import Objective, write_rows
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.spec import from_dict


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core aggregate`."""
    tyro.cli(aggregate, args=arguments, prog="jaxmarl-core aggregate")


def aggregate(
    folders: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER...")],
    /,
    metric: str = "",
    lower_is_better: bool = False,
    bounds: tuple[str, ...] = (),
    out: Path = Path("aggregate"),
) -> None:
    """Say which of several algorithms is better over several tasks, and how sure that is.

    Writes `report.html`, `aggregates.csv`, `scores.csv` and `marl_eval.json`.

    Args:
      folders: of sweeps, every algorithm once on every task; LABEL=FOLDER for a name of one's own.
        A folder that holds sweeps, as that of a suite, stands for all of them.
        Each brings the runs of its best configuration.
      metric: what all are measured by; by default each sweep's objective.
      lower_is_better: of the metric that is told here.
      bounds: what is worth 0 and 1 of a task, as in simple_spread=-80:-40; by default the worst and
        the best that any of these runs measured.
      out: the folder to write, new or empty.
    """
    free = sweep_folder.is_free(out)
    require(free, "out", "a new or empty folder", out)
    told = Objective(metric, not lower_is_better) if metric else None
    require(bool(metric) or not lower_is_better, "metric", "one, for lower-is-better", "none")
    folders = [one for folder in folders for one in within(folder)]
    suite = collect([_sweep(folder, told) for folder in folders], dict(map(_bounds, bounds)))
    found = estimates(suite)
    write(out, suite, found, folders)
    CONSOLE.print(terminal_table(found))
    CONSOLE.print(str(out / "report.html"), markup=False, soft_wrap=True)


def within(argument: str) -> list[str]:
    """Returns a folder of sweeps as theirs, labelled as a suite labels them; others as they are."""
    folder = Path(argument)
    if not folder.is_dir() or sweep_folder.is_sweep(folder):
        return [argument]
    found = sorted(path for path in folder.iterdir() if sweep_folder.is_sweep(path))
    require(bool(found), "folders", "that of a sweep, or one of sweeps", argument)
    return [_labelled(path) for path in found]


def _labelled(folder: Path) -> str:
    """Returns LABEL=FOLDER of a suite's sweep, which is called by its labels."""
    label = sweep_folder.read_spec(folder).get("label", "")
    return f"{label}={folder}" if label else str(folder)


def _sweep(argument: str, told: Objective | None) -> Sweep:
    label, separator, folder = argument.rpartition("=")
    if separator and Path(argument).exists():  # a folder may have such a name
        label, folder = "", argument
    results = sweep_folder.read(folder)
    spec = from_dict(results.spec)
    return Sweep(label or spec.algorithm, results, told or objective(spec, results), folder)


def _bounds(text: str) -> tuple[str, tuple[float, float]]:
    task, _, ends = text.rpartition("=")
    expected = "TASK=WORST:BEST, two numbers, as in simple_spread=-80:-40"
    try:
        worst, best = map(float, ends.split(":"))
    except ValueError:
        worst = best = math.nan
    require(bool(task) and math.isfinite(worst) and math.isfinite(best), "bounds", expected, text)
    return task, (worst, best)


def write(out: Path, suite: Suite, found: Estimates, folders: Sequence[str]) -> None:
    """Writes the page, the tables and the file for marl-eval."""
    out.mkdir(parents=True, exist_ok=True)
    title = f"{plural(len(suite.algorithms), 'algorithm')}, {plural(len(suite.tasks), 'task')}"
    facts = {
        "folders": ", ".join(folders),
        "scores": "runs of each sweep's best configuration, the mean of their last tenth",
        "intervals": "95 %, percentile bootstrap, 2,000 draws (500 of curves), stratified by task",
        "method": "Agarwal et al., 2021, arXiv:2108.13264; bounds as Gorsane et al., 2022",
    }
    write_suite_page(out / "report.html", suite, found, title, facts)
    write_rows(out / "aggregates.csv", aggregate_rows(found))
    write_rows(out / "scores.csv", score_rows(suite))
    atomic.write(out / "marl_eval.json", json.dumps(marl_eval(suite)))


def aggregate_rows(found: Estimates) -> list[dict[str, Any]]:
    """Returns a row for each algorithm: its aggregates and their intervals."""
    rows = []
    for name, own in found.items():
        row: dict[str, Any] = {"algorithm": name}
        for key, estimate in own.items():
            value, low, high = map(float, estimate)
            row |= {key: value, f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return rows


def score_rows(suite: Suite) -> list[dict[str, Any]]:
    """Returns a row for each run: its figure as measured, and its score."""
    return [
        {
            "algorithm": algorithm,
            "task": task,
            "seed": seed,
            "metric": suite.objectives[task].metric,
            "figure": float(figure),
            "score": float(score),
        }
        for (algorithm, task), entry in suite.entries.items()
        for seed, figure, score in zip(entry.seeds, entry.figures, entry.scores)
    ]


def terminal_table(found: Estimates) -> Table:
    """Returns the aggregates as a table for a terminal."""
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("algorithm", overflow="fold")
    for title in TITLES.values():
        shown.add_column(title, justify="right")
    for name, own in found.items():
        cells = [own[key] for key in TITLES]
        shown.add_row(escape(name), *(f"{x.value:.3f} [{x.low:.3f}, {x.high:.3f}]" for x in cells))
    return shown
