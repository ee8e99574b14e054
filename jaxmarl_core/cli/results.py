"""Write a sweep's results as data: a table of its runs and one of their curves, CSV or parquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.running import CONSOLE
from jaxmarl_core.errors import lookup
from jaxmarl_core.store.data import WRITERS, load_results, write_tables


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core results`."""
    tyro.cli(results, args=arguments, prog="jaxmarl-core results")


def results(
    folder: Annotated[Path, tyro.conf.Positional], out: Path | None = None, format: str = "csv"
) -> None:
    """Write a sweep's results as data: a table of its runs and one of their curves.

    Args:
      folder: of the sweep.
      out: the folder to write `runs` and `curves` to; by default <name of the sweep>-results here.
      format: csv, or parquet (needs the extra: pip install "jaxmarl-core[parquet]").
    """
    lookup(WRITERS, format, "format")
    tables = load_results(folder)
    path = out or Path(f"{folder.resolve().name}-results")
    path.mkdir(parents=True, exist_ok=True)
    for file in write_tables(path, tables, format):
        CONSOLE.print(str(file), markup=False, soft_wrap=True)
