"""Two sweeps side by side: what differs, and by how much."""

import re
import shutil

import numpy as np
import pytest
import scipy.stats
from small_sweeps import trained_game

from jaxmarl_core.cli import main
from jaxmarl_core.store.comparison import best_only, difference, differing, joined
from jaxmarl_core.store.tables import Objective, Results, configurations

GOAL = Objective("eval_return")


def make_results(finals, clip=0.1, metric="eval_return", updates=4):
    """Runs of one configuration that stay at their value."""
    runs = [
        {"run": i, "seed": i, "hparams": {"clip": clip}, "static": {}} for i in range(len(finals))
    ]
    values = np.repeat(np.reshape(finals, (-1, 1)), updates, axis=1).astype(np.float32)
    num = len(runs)
    return Results(runs, {metric: values}, np.full(num, updates), np.full(num, -1))


def test_what_two_specs_say_differently():
    first = {"algorithm": "ippo", "name": "a", "config": {"share": "all"}, "hparams": {"clip": 0.1}}
    second = {"algorithm": "happo", "name": "b", "config": {}, "hparams": {"clip": 0.1}}
    assert differing(first, second) == {
        "algorithm": ("ippo", "happo"), "config.share": ("all", None)
    }  # fmt: skip
    assert differing(first, first | {"config": {"share": "all"}}) == {}


def test_runs_of_both_keep_their_metrics():
    first, second = make_results([1.0, 2.0], updates=2), make_results([5.0], metric="loss")
    both = joined(first, second, ("a", "b"))
    assert [run["run"] for run in both.runs] == [0, 1, 2]
    assert [run["static"]["sweep"] for run in both.runs] == ["a", "a", "b"]
    np.testing.assert_array_equal(both.metrics["eval_return"][:, :3], [[1, 1, np.nan], [2, 2, np.nan], [np.nan] * 3])  # fmt: skip # noqa: E501
    np.testing.assert_array_equal(both.metrics["loss"][2], [5] * 4)
    np.testing.assert_array_equal(both.num_updates_done, [2, 2, 4])
    assert [config.label for config in configurations(both)] == ["sweep a", "sweep b"]


def test_the_best_configuration_alone():
    low, high = make_results([1.0, 2.0]), make_results([5.0, 6.0], clip=0.2)
    best = best_only(joined(low, high, ("a", "b")), GOAL)
    assert {run["hparams"]["clip"] for run in best.runs} == {0.2}
    np.testing.assert_array_equal(best.metrics["eval_return"][:, 0], [5, 6])


@pytest.mark.parametrize("higher", [True, False])
def test_the_chance_is_mann_and_whitneys(higher):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=9).round(1), rng.normal(0.5, size=7).round(1)
    found = difference(make_results(a), make_results(b), Objective("eval_return", higher))
    sign = 1 if higher else -1
    u = scipy.stats.mannwhitneyu(sign * b, sign * a).statistic
    assert found.chance == pytest.approx(u / (len(a) * len(b)), abs=1e-6)
    assert found.low < found.iqm < found.high
    expected = scipy.stats.trim_mean(b, 0.25) - scipy.stats.trim_mean(a, 0.25)
    assert found.iqm == pytest.approx(expected, abs=1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of 200 pairs of samples from the same distribution about 95 in 100 hold 0."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        a, b = rng.normal(size=(2, 20))
        found = difference(make_results(a), make_results(b), GOAL)
        held.append(found.low <= 0 <= found.high)
    assert 0.88 <= np.mean(held) <= 0.99


def test_one_run_has_no_interval_and_unknown_metrics_are_refused():
    found = difference(make_results([1.0]), make_results([3.0]), GOAL)
    assert found.iqm == 2 and found.chance == 1 and np.isnan(found.low)
    with pytest.raises(ValueError, match="objective: expected one of loss; got 'eval_return'"):
        difference(make_results([1.0]), make_results([1.0], metric="loss"), GOAL)


def test_the_command_shows_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_game(), "other")
    main(["compare", "other", "other"])
    out = capsys.readouterr().out
    assert "nothing" in out and "other (1)" in out
    assert re.search(r"with\s+chance 0.50", out)
    (page,) = tmp_path.glob("*.html")
    assert "sweep other (2)" in page.read_text("utf-8")
    main(["results", "other"])
    assert {path.name for path in (tmp_path / "other-results").iterdir()} == {
        "runs.csv", "curves.csv"
    }  # fmt: skip
