"""The commands that take a trained policy: evaluate and play."""

import re

import numpy as np
import pytest
from commands import called
from PIL import Image
from small_sweeps import trained_game

from jaxmarl_core.cli.evaluate import figures
from jaxmarl_core.cli.trained import load_match, which


@pytest.fixture(scope="module")
def game():
    return trained_game()


def test_runs_as_they_are_written():
    assert which("best") == "best"
    assert which("12") == 12
    assert which("learning-rate=3e-4,share=all,squash=False,num_envs=8") == {
        "learning_rate": 3e-4, "share": "all", "squash": False, "num_envs": 8
    }  # fmt: skip
    for wrong in ("bets", "-1", "a=", "=1", ""):
        with pytest.raises(ValueError, match='run: expected "best", a number, or options'):
            which(wrong)


def test_evaluate_counts_whole_episodes(game):
    env, (match,) = load_match(game, "0")
    found = figures(env, match, 5)
    assert set(found) >= {"length", "return_player_0", "return_player_1"}
    np.testing.assert_array_equal(found["length"], [3] * 5)  # rounds
    assert found["return_player_0"].shape == (5,)
    assert match.title == "q_learning (game, run 0), in all roles"


def test_evaluate_in_another_world(game):
    env, (match,) = load_match(game, "0", world="num-rounds=4")
    np.testing.assert_array_equal(figures(env, match, 2)["length"], [4] * 2)
    env, matches = load_match(game, "0", str(game), "num_rounds=2")
    np.testing.assert_array_equal(figures(env, matches[1], 2)["length"], [2] * 2)


def test_sides_change_when_two_policies_meet(game):
    """What one earns as the first player, it earns as the second when the roles are told apart."""
    _, (one, two) = load_match(game, "0", str(game))
    assert one.title.startswith("player_0: q_learning (game, run 0); player_1: q_learning")
    assert re.search(r"player_1: q_learning \(game, run 0\)$", two.title)
    assert one.player.params["player_0"] is two.player.params["player_1"]
    assert one.player.params["player_1"] is two.player.params["player_0"]


def test_evaluate_prints_a_table(capsys, game):
    code, out, err = called(capsys, "evaluate", game, "--episodes", "4", "--against", "random")
    assert code == 0, err
    assert "return_player_0" in out and "95 % interval" in out and "4 episodes" in out
    assert out.count("random") == 2  # once on either side
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("ending", ["gif", "html"])
def test_play_writes_a_film(capsys, game, tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    code, out, err = called(capsys, "play", game, "--run", "1", "--out", path)
    assert code == 0, err
    assert "run 1" in out and "3 steps" in out
    if ending == "gif":
        with Image.open(path) as image:
            assert 2 <= image.n_frames <= 4  # equal frames are stored once
    else:
        page = path.read_text("utf-8")
        assert "step 3, return player_0" in page and "<canvas" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "9"], "run: expected one of the 4 runs"),
        (["--run", "rate=1"], "run: expected one of .*learning_rate"),
        (["--against", "nowhere"], "out: expected the folder of a sweep"),
        (["--world", "5"], "world: expected options of the environment as map_size=80"),
        (["--world", "name=climbing"], "world: expected one where q_learning has the same"),
    ],
)
def test_mistakes_are_one_line(capsys, game, arguments, message):
    code, _, err = called(capsys, "evaluate", game, *arguments)
    assert code == 2
    assert err.startswith("error: ") and len(err.strip().splitlines()) == 1
    assert re.search(message, err)


def test_a_film_of_an_unknown_kind_is_refused(capsys, game):
    code, _, err = called(capsys, "play", game, "--out", "film.avi")
    assert code == 2 and "expected one of .gif, .html, .mp4; got '.avi'" in err
