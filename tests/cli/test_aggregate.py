"""The command `aggregate`, on a finished sweep that is two algorithms by name."""

import csv
import json

import pytest
from commands import called
from small_sweeps import trained_game

from jaxmarl_core.cli import main


@pytest.fixture(scope="module")
def game():
    return trained_game()


def read(path):
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_suite_becomes_a_page_tables_and_a_file_for_marl_eval(game, tmp_path, capsys):
    out = tmp_path / "suite"
    main(["aggregate", f"one={game}", f"two={game}", "--bounds", "matrix_game=-20:20",
          "--out", str(out)])  # fmt: skip
    assert str(out / "report.html") in capsys.readouterr().out.replace("\n", "")
    rows = read(out / "aggregates.csv")
    assert [row["algorithm"] for row in rows] == ["one", "two"]
    assert rows[0]["iqm"] == rows[1]["iqm"] and float(rows[0]["iqm_low"]) <= float(rows[0]["iqm"])
    scores = read(out / "scores.csv")
    assert [row["seed"] for row in scores] == ["7", "8"] * 2  # of the best configuration
    for row in scores:
        assert float(row["score"]) == pytest.approx((float(row["figure"]) + 20) / 40)
    exported = json.loads((out / "marl_eval.json").read_text())["jaxmarl_core"]["matrix_game"]
    assert list(exported) == ["one", "two"] and list(exported["one"]) == ["seed_7", "seed_8"]
    page = (out / "report.html").read_text()
    for title in ("Over all tasks", "Performance profiles", "Who improves on whom", "Tasks"):
        assert title in page
    assert "2 configurations" in page  # a best of two is said to be one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{game}", "{game}"], "expected each algorithm once on each task, or names of one's own"),
        (["{game}", "--bounds", "matrix_game"], "bounds: expected TASK=WORST:BEST, two numbers"),
        (["{game}", "--bounds", "matrix_game=1:x"], "bounds: expected TASK=WORST:BEST"),
        (["{game}", "--bounds", "game=0:1"], "bounds: expected one of matrix_game; got 'game'"),
        (["{game}", "--metric", "eval_win"], "metric: expected one of"),
        (["{game}", "--lower-is-better"], "metric: expected one, for lower-is-better, got none"),
        (["{tmp}/none"], "none"),
        (["{game}", "--out", "{game}"], "out: expected a new or empty folder"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(game, tmp_path, capsys, arguments, message):
    arguments = [text.format(game=game, tmp=tmp_path) for text in arguments]
    if "--out" not in arguments:
        arguments += ["--out", str(tmp_path / "out")]
    status, _, error = called(capsys, "aggregate", *arguments)
    assert status == 2 and error.startswith("error: ") and message in error
    assert len(error.splitlines()) == 1 and not (tmp_path / "out").exists()
