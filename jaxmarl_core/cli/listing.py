"""List the algorithms, the environments and the studies."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.experiments.studies import descriptions


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core list`: names and first lines, read from the files; nothing is imported."""
    parser = argparse.ArgumentParser("jaxmarl-core list", description=__doc__)
    parser.parse_args(arguments)
    console = Console()
    for title, names in (
        ("algorithms", ALGORITHMS.descriptions()),
        ("environments", ENVIRONMENTS.descriptions()),
        ("studies", descriptions()),
    ):
        table = Table(title=title, title_justify="left", box=None, show_header=False)
        for name, line in names.items():
            table.add_row(f"  [bold]{name}[/]", line)
        console.print(table)
