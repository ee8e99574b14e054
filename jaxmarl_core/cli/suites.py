"""Running a suite: a sweep of each algorithm on each world, one after another."""

from collections.abc import Mapping
from pathlib import Path

from jaxmarl_core.cli.plan import show_size
from jaxmarl_core.cli.running import CONSOLE, run_and_show
from jaxmarl_core.errors import require
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.saved_run import named_opponents, trained
from jaxmarl_core.sweeps.spec import check_objective, naming, variants
from jaxmarl_core.sweeps.suite_spec import Pair, load_suite


def run_suite(
    path: Path,
    out: Path | None,
    resume: bool,
    quiet: bool,
    dry_run: bool,
    refused: Mapping[str, bool],
) -> None:
    """Runs the sweeps of a suite that are not done, and says how to read all of them together.

    Each has its folder, as a sweep of its own; a suite that is stopped goes on with the one it was
    at. All are read and checked before the first begins.

    Args:
      path: of the file.
      out: the folder of the suite; by default runs/<name of the file>.
      resume: go on in that folder.
      quiet: show no progress.
      dry_run: say what each sweep asks for, and compute nothing.
      refused: option -> whether it was given, of those that a suite does not take.

    Raises:
      ValueError, TypeError: whatever is wrong with the file, or the folder is there without
        `resume`.
    """
    for name, given in refused.items():
        require(not given, name, "a sweep by itself; a suite runs one after another", path)
    pairs = load_suite(path)
    if dry_run:
        for number, pair in enumerate(pairs, 1):
            CONSOLE.print(_title(pair, number, pairs), markup=False)
            show_size(pair.spec, path)
        return
    folder = out or Path("runs") / path.stem
    free = resume or sweep_folder.is_free(folder)
    require(free, "out", "a new folder", f"{folder} (use --resume or another name)")
    _check_all(pairs, path)
    line = ["jaxmarl-core", "sweep", str(path), "--out", str(folder)]
    for number, pair in enumerate(pairs, 1):
        CONSOLE.print(_title(pair, number, pairs), markup=False)
        place = folder / pair.folder
        # one that has not begun begins; one that is done is shown again
        run_and_show(pair.spec, place, True, quiet, line, source=path)
    CONSOLE.print(f"jaxmarl-core aggregate {folder}", markup=False, soft_wrap=True)


def _title(pair: Pair, number: int, pairs: list[Pair]) -> str:
    return f"{number} of {len(pairs)}: {pair.algorithm} on {pair.environment}"


def _check_all(pairs: list[Pair], path: Path) -> None:
    """Raises what is wrong with any of the sweeps, before the first has cost an hour."""
    for pair in pairs:
        with naming(f"{path}: {pair.algorithm} on {pair.environment}"):
            opponents = trained(named_opponents(pair.spec.against))
            check_objective(pair.spec, variants(pair.spec, opponents))
