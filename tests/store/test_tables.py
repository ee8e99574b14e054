import csv

import numpy as np
import pytest
import scipy.stats

from jaxmarl_core.store import tables as lib
from jaxmarl_core.store.tables import Objective, Results

NAN = np.nan


def make_results(finals, num_updates=10, num_seeds=4):
    """Returns one configuration per row of `finals`, whose runs stay at their value."""
    runs = [
        {"run": i, "seed": i % num_seeds, "hparams": {"clip": c, "gamma": 0.9}, "static": {}}
        for i, c in enumerate(np.repeat(np.arange(len(finals)) / 10, num_seeds).tolist())
    ]
    values = np.repeat(np.reshape(finals, (-1, 1)), num_updates, axis=1).astype(np.float32)
    metrics = {"eval_return": values, "finite": np.ones_like(values)}
    num = len(runs)
    return Results(runs, metrics, np.full(num, num_updates), np.full(num, -1))


def test_first_divergence():
    one = np.ones((6, 4), np.float32)
    loss, episode, finite = one.copy(), one.copy(), one.copy()
    loss[1, 2:] = NAN
    loss[2, 3] = np.inf
    finite[3, 0] = 0
    episode[4, 1] = NAN  # no episode ended: no divergence
    episode[5, 1] = np.inf
    kl = np.full_like(one, np.inf)  # may overflow
    metrics = {"loss": loss, "episode_return": episode, "finite": finite, "kl": kl}
    np.testing.assert_array_equal(lib.first_divergence(metrics), [-1, 2, 3, 0, -1, 1])
    nothing = {"loss": np.zeros((2, 0))}
    np.testing.assert_array_equal(lib.first_divergence(nothing), [-1, -1])


def test_final_averages_the_last_values_that_exist():
    results = make_results([[0.0, 0.0]], num_updates=8, num_seeds=2)
    results.metrics["eval_return"][0] = [9, NAN, 1, NAN, 2, 3, NAN, 4]  # values: 9 1 2 3 4
    results.metrics["eval_return"][1] = NAN
    final = lib.final(results, Objective("eval_return", last=0.4))  # 2 of 5
    np.testing.assert_array_equal(final, [3.5, NAN])
    assert lib.final(results, Objective("eval_return", last=0.01))[0] == 4
    assert lib.final(results, Objective("eval_return", last=1.0))[0] == 3.8


def test_bad_objectives_are_refused():
    results = make_results([[0.0, 0.0]], num_seeds=2)
    with pytest.raises(ValueError, match="did you mean 'eval_return'"):
        lib.final(results, Objective("eval_retrun"))
    with pytest.raises(ValueError, match=r"last: expected in \(0, 1\], got 0"):
        lib.final(results, Objective("eval_return", last=0))
    empty = Results(results.runs, {}, np.zeros(2, int), np.full(2, -1))
    with pytest.raises(ValueError, match="results: expected the metrics"):
        lib.final(empty, Objective("eval_return"))


def test_configurations_are_labelled_by_what_varies():
    found = lib.configurations(make_results([[0, 1, 2, 3], [4, 5, 6, 7]]))
    assert [config.label for config in found] == ["clip 0", "clip 0.1"]
    np.testing.assert_array_equal(found[1].runs, [4, 5, 6, 7])
    assert lib.configurations(make_results([[0, 1, 2, 3]]))[0].label == "the configuration"


def test_swept_orders_numbers_and_keeps_words():
    def run(i, network, clip):
        return {"run": i, "seed": 0, "hparams": {"clip": clip}, "static": {"network": network}}

    runs = [run(0, "mlp", 1.0), run(1, "gru", 0.5), run(2, "mlp", 0.25)]
    results = Results(runs, {}, np.zeros(3, int), np.full(3, -1))
    assert lib.swept(results) == {"network": ["mlp", "gru"], "clip": [0.25, 0.5, 1.0]}


def test_table_ranks_and_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    results = make_results(values, num_seeds=8)
    rows = lib.table(results, Objective("eval_return"))
    trimmed = scipy.stats.trim_mean(values.astype(float), 0.25, axis=1)
    order = np.argsort(-trimmed)
    np.testing.assert_allclose([row["iqm"] for row in rows], trimmed[order])
    np.testing.assert_allclose(
        [row["standard_error"] for row in rows],
        scipy.stats.sem(values.astype(float), axis=1)[order],
    )
    assert [row["options"]["clip"] for row in rows] == (order / 10).tolist()
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert all(row["low"] <= row["iqm"] <= row["high"] for row in rows)
    worst_first = lib.table(results, Objective("eval_return", higher_is_better=False))
    assert [row["iqm"] for row in worst_first] == [row["iqm"] for row in rows][::-1]


def test_diverged_runs_are_marked_and_left_out():
    results = make_results([[1, 1, 1, 1], [2, 2, 2, 1000], [9, 9, 9, 9]])
    results.diverged_at[[7, 8, 9, 10, 11]] = 3
    rows = lib.table(results, Objective("eval_return"))
    assert [row["status"] for row in rows] == ["1 of 4 diverged", "ok", "diverged"]
    assert [row["mean"] for row in rows][:2] == [2, 1]
    assert [row["rank"] for row in rows] == [1, 2, None]
    assert np.isnan(rows[2]["iqm"]) and rows[2]["num_diverged"] == 4


def test_csv_round_trips(tmp_path):
    results = make_results([[1, 2, 3, 4], [1 / 3, 0.1, 0.2, 0.7], [5, 5, 5, 5]])
    results.diverged_at[8:] = 0
    rows = lib.table(results, Objective("eval_return"))
    lib.write_csv(tmp_path / "results.csv", rows)
    with open(tmp_path / "results.csv", newline="") as file:
        read = list(csv.DictReader(file))
    for row, cells in zip(rows[:2], read):
        for name in ("iqm", "low", "high", "mean", "standard_error"):
            assert float(cells[name]) == row[name]
        assert float(cells["clip"]) == row["options"]["clip"]
    assert read[2]["status"] == "diverged" and read[2]["iqm"] == read[2]["rank"] == ""


def test_csv_holds_no_formula(tmp_path):
    """A spreadsheet runs what begins with an equals sign; numbers stay numbers."""
    results = make_results([[1, 2, 3, 4]])
    evil = '=HYPERLINK("http://x","y"),\n'
    for run in results.runs:
        run["static"] = {evil: evil, "note": "-1+1", "offset": -1}
    lib.write_csv(tmp_path / "results.csv", lib.table(results, Objective("eval_return")))
    with open(tmp_path / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row[f"'{evil}"] == f"'{evil}" and row["note"] == "'-1+1" and row["offset"] == "-1"
