"""The command `tournament`, on policies of a finished sweep."""

import csv
import json
import re

import numpy as np
import pytest
from commands import called
from small_sweeps import GAME, trained_game

from jaxmarl_core.cli.tournament import participants
from jaxmarl_core.play.tournament import kinds_of
from jaxmarl_core.store import policy_file
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import run


@pytest.fixture(scope="module")
def game():
    return trained_game()


def one_team(folder):
    spec = GAME | {"environment_options": {"name": "climbing"}, "seeds": 1, "grid": {}}
    return run(from_dict(spec), folder / "climbing")


def test_all_runs_of_a_sweep_share_a_program(game):
    who = participants([str(game), "random"], "all")
    assert who.names == ["game:0", "game:1", "game:2", "game:3", "random"]
    assert who.world == "matrix_game"
    assert kinds_of(who.players) == [[0, 1, 2, 3], [4]]


def test_the_best_of_each_and_names_that_differ(game):
    who = participants([str(game), str(game), "random", "random"])
    assert len(set(who.names)) == 4 and who.names[2:] == ["random", "random (2)"]
    assert re.fullmatch(r"game:\d", who.names[0]) and who.names[1] == f"{who.names[0]} (2)"


@pytest.mark.slow
def test_it_prints_writes_and_adds_up(capsys, game, tmp_path):
    out = tmp_path / "cup"
    code, said, err = called(
        capsys, "tournament", game, "random", "--run", "all", "--episodes", "3", "--out", out
    )
    assert code == 0, err
    lines = [line for line in said.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80
    for word in ("win rate", "95 % interval", "Elo", "Nash", "alpha-rank", "game:3", "random"):
        assert word in said
    assert {path.name for path in out.iterdir()} == {
        "results.csv", "tournament.json", "win_rates.svg", "report.html"
    }  # fmt: skip
    told = json.loads((out / "tournament.json").read_text())
    wins, draws, losses = (np.array(told[name]) for name in ("wins", "draws", "losses"))
    np.testing.assert_array_equal(wins + draws + losses, 3 * np.ones((2, 5, 5)) - 3 * np.eye(5))
    np.testing.assert_array_equal(wins[0], losses[1].T)
    assert told["win_rate"][0][0] is None and told["players"][4] == "random"
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [int(row["place"]) for row in rows] == [1, 2, 3, 4, 5]
    assert sum(int(row["wins"]) for row in rows) == sum(int(row["losses"]) for row in rows)
    assert abs(sum(float(row["elo"]) for row in rows)) < 0.1
    for name in ("nash_mass", "alpha_rank"):
        np.testing.assert_allclose(sum(float(row[name]) for row in rows), 1, atol=1e-5)
    page = (out / "report.html").read_text()
    assert "<svg" in page and "Who beats whom" in page and "http" not in page.split("</style>")[1]
    assert (out / "win_rates.svg").read_text().count("<text") > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["GAME"], "folders: expected at least two players, got 1"),
        (["random", "random"], "folders: expected at least one sweep or policy, got random random"),
        (["GAME", "nowhere"], "expected the folder of a sweep"),
        (["GAME", "random", "--run", "bets"], 'run: expected "best", a number'),
        (["GAME", "random", "--run", "77"], "run: expected one of the 4 runs"),
        (["GAME", "random", "--episodes", "0"], "episodes: expected at least 1, got 0"),
        (["GAME", "random", "--at-once", "0"], "at-once: expected at least 1, got 0"),
        (["GAME", "random", "--alpha", "0"], "alpha: expected above 0"),
    ],
)
def test_mistakes_are_one_line(capsys, game, arguments, message, tmp_path):
    words = [game if word == "GAME" else word for word in arguments]
    code, _, err = called(capsys, "tournament", *words, "--out", tmp_path / "cup")
    assert code == 2
    assert err.startswith("error: ") and len(err.strip().splitlines()) == 1
    assert message in err
    assert not (tmp_path / "cup").exists()


@pytest.mark.slow
def test_worlds_must_agree_and_have_two_teams(capsys, game, tmp_path):
    team = one_team(tmp_path)
    code, _, err = called(capsys, "tournament", team, "random")
    assert code == 2 and "folders: expected a world of two teams, got matrix_game with 1" in err
    code, _, err = called(capsys, "tournament", game, team)
    assert code == 2 and "expected a policy for the same agents" in err
    assert not policy_file.holds_policy(team)


def test_every_option_has_help(capsys):
    code, out, _ = called(capsys, "tournament", "--help")
    assert code == 0
    for option in ("run", "episodes", "out", "seed", "length", "sample", "alpha", "at-once"):
        assert f"--{option}" in out
    assert "FOLDER..." in out and "random" in out


def test_an_earlier_tournament_is_not_overwritten(capsys, game, tmp_path):
    (tmp_path / "results.csv").write_text("kept")
    code, _, error = called(capsys, "tournament", game, "random", "--out", tmp_path)
    assert code == 2 and f"out: expected a new or empty folder, got {tmp_path}" in error
    assert (tmp_path / "results.csv").read_text() == "kept"
