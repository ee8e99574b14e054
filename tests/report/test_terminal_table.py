import numpy as np
from rich.console import Console

from jaxmarl_core.report.terminal_table import terminal_table
from jaxmarl_core.store.tables import Objective, Results, table


def make_results(finals, num_updates=10, num_seeds=4):
    """Returns one configuration per row of `finals`, whose runs stay at their value."""
    runs = [
        {"run": i, "seed": i % num_seeds, "hparams": {"clip": c, "gamma": 0.9}, "static": {}}
        for i, c in enumerate(np.repeat(np.arange(len(finals)) / 10, num_seeds).tolist())
    ]
    values = np.repeat(np.reshape(finals, (-1, 1)), num_updates, axis=1).astype(np.float32)
    metrics = {"eval_return": values, "finite": np.ones_like(values)}
    return Results(runs, metrics, np.full(len(runs), num_updates), np.full(len(runs), -1))


def test_terminal_table_names_what_matters():
    results = make_results([[1, 2, 3, 4], [5, 6, 7, 8], [5, 5, 5, 5]])
    results.diverged_at[8:] = 0
    rows = table(results, Objective("eval_return"))
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(terminal_table(rows, Objective("eval_return"), limit=2))
        console.print(terminal_table(rows, Objective("eval_return")))
    text = console.export_text()
    assert "6.5" in text and "2.5" in text and "diverged" in text and "and 1 more" in text
    assert "gamma" not in text  # the same everywhere


def test_many_options_fit_eighty_columns():
    """Where columns of their own would not, options share one, and nothing is cut in a word."""
    names = [f"a_rather_long_option_{i}" for i in range(6)]
    results = make_results([[1, 2, 3, 4], [5, 6, 7, 8]])
    for run in results.runs:
        run["hparams"] |= dict.fromkeys(names, run["hparams"]["clip"])
    rows = table(results, Objective("eval_return"))
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(terminal_table(rows, Objective("eval_return")))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"{name} 0.1" in " ".join(text.split()) for name in names)
    assert "4.5 to" not in text and "6.5" in text
