"""Results as tables: every run and every update once, with all that is known of it."""

import csv
import dataclasses

import numpy as np
import pytest

from jaxmarl_core import load_results, registry
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.data import curve_table, run_table, write_tables
from jaxmarl_core.store.tables import Results

NAN = np.nan
SPEC = {
    "algorithm": "ippo",
    "updates": 3,
    "config": {"hidden": [8, 8], "share": "all"},
    "environment_options": {"map_size": 12},
    "grid": {"config": {"num_envs": [2, 4]}, "environment_options": {"fog": [True, False]}},
}
RUNS = [
    {"run": 3, "seed": 7, "hparams": {"clip": 0.1}, "static": {"num_envs": 2, "fog": True},
     "env_steps_per_update": 20},
    {"run": 5, "seed": 8, "hparams": {"clip": 0.2}, "static": {"num_envs": 4, "fog": False},
     "env_steps_per_update": 40},
    {"run": 6, "seed": 8, "hparams": {"clip": 0.3}, "static": {"num_envs": 4, "fog": True},
     "env_steps_per_update": 40},
]  # fmt: skip
METRICS = {
    "loss": np.array([[1, 2, 3], [4, 5, NAN], [7, NAN, 9]], np.float32),
    "eval_return": np.array([[NAN, 1, 2], [NAN, NAN, NAN], [NAN, 5, 6]], np.float32),
}
RESULTS = Results(RUNS, METRICS, np.array([3, 2, 3]), np.array([-1, -1, 1]), SPEC)


def test_a_row_for_each_run():
    table = run_table(RESULTS)
    expected = {
        "run": [3, 5, 6],
        "seed": [7, 8, 8],
        "state": ["done", "stopped", "diverged"],
        "num_updates": [3, 2, 3],
        "env_steps": [60, 80, 120],
        "diverged_at": [-1, -1, 1],
        "hparams.clip": [0.1, 0.2, 0.3],
        "config.hidden": ["[8, 8]"] * 3,
        "config.share": ["all"] * 3,
        "config.num_envs": [2, 4, 4],
        "config.activation": ["tanh"] * 3,  # by default
        "environment.map_size": [12] * 3,
        "environment.fog": [True, False, True],
        "final.loss": [3.0, 5.0, NAN],
        "final.eval_return": [2.0, NAN, NAN],
    }
    others = set(table) - set(expected)  # defaults of ours
    config = registry.config_type("ippo")
    assert others == {f"config.{f.name}" for f in dataclasses.fields(config)} - set(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name], np.array(column), err_msg=name)


def test_of_an_algorithm_that_is_not_here_what_was_told_is_known():
    table = run_table(dataclasses.replace(RESULTS, spec={**SPEC, "algorithm": "gone:mine"}))
    told = {name for name in table if name.startswith("config.")}
    assert told == {"config.hidden", "config.share", "config.num_envs"}


def test_a_row_for_each_update_done():
    table = curve_table(RESULTS)
    assert {len(column) for column in table.values()} == {8}
    np.testing.assert_array_equal(table["run"], [3, 3, 3, 5, 5, 6, 6, 6])
    np.testing.assert_array_equal(table["update"], [0, 1, 2, 0, 1, 0, 1, 2])
    np.testing.assert_array_equal(table["env_steps"], [20, 40, 60, 40, 80, 40, 80, 120])
    np.testing.assert_array_equal(table["loss"], [1, 2, 3, 4, 5, 7, NAN, 9])
    np.testing.assert_array_equal(table["eval_return"], [NAN, 1, 2, NAN, NAN, NAN, 5, 6])


def test_steps_that_were_played_are_told_by_their_metric():
    """An update is made of 20 steps, some of which come after an end and play nothing."""
    played = np.array([[20, 18, 20], [40, 30, NAN], [1, 1, 1]], np.float32)
    results = Results(RUNS, METRICS | {"env_steps": played}, *vars_of(RESULTS))
    assert run_table(results)["env_steps"].tolist() == [58, 70, 3]
    curves = curve_table(results)
    assert curves["env_steps"].tolist() == [20, 38, 58, 40, 70, 1, 2, 3]
    assert "final.env_steps" not in run_table(results)


def vars_of(results):
    return results.num_updates_done, results.diverged_at, results.spec


@pytest.fixture
def folder(tmp_path):
    out = sweep_folder.create(tmp_path / "sweep", SPEC)
    sweep_folder.write_runs(out / "part-000", RUNS[:1])
    sweep_folder.write_segment(out / "part-000", 0, {k: v[:1] for k, v in METRICS.items()})
    sweep_folder.write_runs(out / "part-001", RUNS[1:2])
    return out


def test_a_folder_that_is_not_finished(folder):
    runs, curves = load_results(folder)
    assert runs["state"].tolist() == ["done", "stopped"]
    assert runs["num_updates"].tolist() == [3, 0]
    assert curves["run"].tolist() == [3, 3, 3]


def test_a_folder_with_nothing_in_it(tmp_path):
    runs, curves = load_results(sweep_folder.create(tmp_path / "sweep", SPEC))
    assert {len(x) for x in (*runs.values(), *curves.values())} == {0}


def test_csv_reads_back(folder, tmp_path):
    tables = load_results(folder)
    for path, table in zip(write_tables(tmp_path, tables), tables):
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == list(table) and len(rows) == len(table["run"])
    assert rows[0]["eval_return"] == "" and rows[1]["eval_return"] == "1.0"
    with pytest.raises(ValueError, match="did you mean 'parquet'"):
        write_tables(tmp_path, tables, "parket")


def test_tables_are_what_pandas_polars_and_parquet_take(folder, tmp_path):
    pandas = pytest.importorskip("pandas")
    tables = load_results(folder)
    frame = pandas.DataFrame(tables.curves).groupby("run")["loss"].mean()
    assert frame.to_dict() == {3: 2.0}
    parquet = pytest.importorskip("pyarrow.parquet")
    for path, table in zip(write_tables(tmp_path, tables, "parquet"), tables):
        read = parquet.read_table(path).to_pydict()
        assert list(read) == list(table)
        for name in table:
            np.testing.assert_array_equal(np.array(read[name], table[name].dtype), table[name])
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(tables.runs)["config.hidden"].to_list() == ["[8, 8]"] * 2
