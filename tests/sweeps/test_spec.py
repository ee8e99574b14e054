"""Specs: every mistake is told by name before anything runs, and every choice becomes a variant."""

import numpy as np
import pytest

from jaxmarl_core import hparams as hp
from jaxmarl_core.sweeps.spec import Spec, from_dict, load, variants

GAME = {"algorithm": "q_learning", "environment": "matrix_game"}


def build(**changes):
    return variants(from_dict(GAME | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "q_lerning"}, "algorithm: .* got 'q_lerning'; did you mean 'q_learning'"),
        ({"environment": "matrixgame"}, "environment: .* did you mean 'matrix_game'"),
        ({"algorithm": "mfq"}, "mfq: needs a mean-field environment"),
        ({"seed": 3}, "spec: .* got 'seed'; did you mean 'seeds'"),
        ({"seeds": 0}, "seeds: expected at least 1, got 0"),
        ({"updates": 0}, "updates: expected at least 1, got 0"),
        ({"updates": 6, "segment": 4}, r"segment: expected a divisor of updates \(6\), got 4"),
        ({"segment": -1}, "segment: expected a divisor"),
        ({"environment_options": {"num_round": 2}}, "did you mean 'num_rounds'"),
        ({"environment_options": {"name": "chiken"}}, "did you mean 'chicken'"),
        ({"environment_options": {"num_rounds": 0}}, "num_rounds: expected at least 1"),
        ({"config": {"rollout_len": 2}}, "q_learning option: .* did you mean 'rollout_length'"),
        ({"config": {"rollout_length": 0}}, "rollout_length: expected at least 1, got 0"),
        ({"hparams": {"gama": 0.9}}, "hparams: .* got 'gama'; did you mean 'gamma'"),
        ({"hparams": {"gamma": 1.5}}, r"gamma: expected in \[0, 1\], got 1.5$"),
        ({"hparams": {"gamma": float("nan")}}, "gamma: expected in .* got nan"),
        ({"grid": {"hparams": {"gamma": [0.9, 0.5, 1.2]}}}, "gamma: .* got 1.2 in row 2"),
        ({"grid": {"hparams": {"gama": [0.9]}}}, "did you mean 'gamma'"),
        ({"grid": {"hparam": {"gamma": [0.9]}}}, "grid: .* did you mean 'hparams'"),
        ({"grid": {"hparams": {"gamma": []}}}, "grid.hparams.gamma: expected a list of values"),
        ({"grid": {"hparams": {"gamma": 0.9}}}, "grid.hparams.gamma: expected a list of values"),
        ({"grid": {"hparams": 0.9}}, "grid.hparams: expected a table of lists, got 0.9"),
        ({"grid": {"config": {"rollout_length": [4, 0]}}}, "rollout_length: expected at least 1"),
        ({"grid": {"config": {"width": [4]}}}, "q_learning option: expected one of"),
        ({"random": {"gamma": [0.1, 0.9]}}, "random.num: expected at least 1, got None"),
        ({"random": {"num": 0, "gamma": [0.1, 0.9]}}, "random.num: expected at least 1, got 0"),
        ({"random": {"num": True}}, "random.num: expected at least 1, got True"),
        ({"random": {"num": 2, "gamma": [0.1, 1.9]}}, "gamma: expected a range within"),
        ({"random": {"num": 2, "gamma": [0.9, 0.1]}}, "gamma: expected a range .*low < high"),
        ({"random": {"num": 2, "gamma": 0.1}}, r"random.gamma: expected a range \[low, high\]"),
        ({"random": {"num": 2, "gamme": [0.1, 0.2]}}, "did you mean 'gamma'"),
        (
            {"random": {"num": 2}, "grid": {"hparams": {"gamma": [0.1]}}},
            r"random: expected a range \[low, high\] for some hparam, got 2 equal rows",
        ),
        ({"evaluation": {"evry": 2}}, "evaluation: .* did you mean 'every'"),
        ({"evaluation": {"every": -1}}, "evaluation.every: expected at least 0"),
        ({"evaluation": {"episodes": 0}}, "evaluation.episodes: expected at least 1"),
        ({"evaluation": {"opponents": {"player_2": "random"}}}, "did you mean 'player_"),
        ({"evaluation": {"opponents": {"player_1": "rand"}}}, "did you mean 'random'"),
        ({"evaluation": {"opponents": {"player_1": 3}}}, "opponents: expected names, got 3"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "three"}, "seeds: expected int, got 'three'"),
        ({"seeds": 1.5}, "seeds: expected int, got 1.5"),
        ({"seeds": True}, "seeds: expected int, got True"),
        ({"higher_is_better": 1}, "higher_is_better: expected bool, got 1"),
        ({"config": [1]}, "config: expected Mapping"),
        ({"evaluation": 3}, "evaluation: expected Mapping, got 3"),
        ({"evaluation": {"every": 0.5}}, "evaluation.every: expected int, got 0.5"),
        ({"config": {"rollout_length": 2.5}}, "rollout_length: expected int, got float 2.5"),
        ({"config": {"rollout_length": True}}, "rollout_length: expected int, got bool True"),
        ({"environment_options": {"name": 3}}, "name: expected str, got int 3"),
        ({"hparams": {"gamma": "high"}}, "hparams.gamma: expected a number, got 'high'"),
        ({"hparams": {"gamma": [0.9]}}, r"hparams.gamma: expected a number, got \[0.9\]"),
        ({"grid": {"hparams": {"gamma": ["a"]}}}, "grid.hparams.gamma: expected a number"),
        ({"random": {"num": 2, "gamma": ["a", 1]}}, "random.gamma: expected a number, got 'a'"),
    ],
)
def test_wrong_kinds_are_named(changes, message):
    with pytest.raises(TypeError, match=message):
        build(**changes)


@pytest.mark.parametrize("name", ["algorithm", "environment"])
def test_both_names_are_needed(name):
    given = {other: value for other, value in GAME.items() if other != name}
    with pytest.raises(ValueError, match=f"{name}: expected a name, got nothing"):
        from_dict(given)


def test_grids_are_multiplied():
    """Static choices make variants, the last one running fastest; hparams make rows."""
    choices = build(
        grid={
            "config": {"rollout_length": [2, 4]},
            "environment_options": {"num_rounds": [1, 2, 3]},
            "hparams": {"gamma": [0.1, 0.2], "learning_rate": [0.3]},
        }
    )
    static = [(v.static["rollout_length"], v.static["num_rounds"]) for v in choices]
    assert static == [(r, n) for r in (2, 4) for n in (1, 2, 3)]
    for variant in choices:
        assert variant.env.num_rounds == variant.static["num_rounds"]
        assert variant.algorithm.env_steps == variant.static["rollout_length"]
        np.testing.assert_allclose(variant.hparams.gamma, [0.1, 0.2])
        np.testing.assert_allclose(variant.hparams.learning_rate, [0.3, 0.3])


def test_random_rows_lie_in_their_ranges_and_repeat():
    draw = lambda **also: (
        build(random={"num": 50, "learning_rate": [0.01, 0.1], **also}, hparams={"gamma": 0.5})[
            0
        ].hparams
    )
    rows = draw()
    assert hp.num_rows(rows) == 50
    assert 0.01 <= rows.learning_rate.min() < 0.02
    assert 0.07 < rows.learning_rate.max() <= 0.1
    np.testing.assert_array_equal(rows.gamma, 0.5)
    np.testing.assert_array_equal(rows.learning_rate, draw().learning_rate)
    assert (rows.learning_rate != draw(seed=1).learning_rate).any()


def test_evaluation_becomes_a_schedule():
    evaluation = {"every": 5, "episodes": 3, "opponents": {"player_1": "random"}, "greedy": False}
    schedule = build(updates=20, evaluation=evaluation)[0].schedule
    assert (schedule.num_updates, schedule.evaluate_every, schedule.num_episodes) == (20, 5, 3)
    assert list(schedule.opponents) == ["player_1"]
    assert not schedule.greedy


def test_a_spec_survives_its_dict():
    spec = from_dict(GAME | {"evaluation": {"every": 2}, "grid": {"hparams": {"gamma": [0.5]}}})
    assert from_dict(spec.to_dict()) == spec


def test_segments_divide_the_updates():
    for updates, expected in ((1, 1), (7, 1), (100, 2), (300, 6), (1000, 20)):
        assert Spec("a", "b", updates=updates).segment_length == expected
    assert Spec("a", "b", updates=100, segment=25).segment_length == 25


def test_loads_a_file_and_names_it_in_errors(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text('algorithm = "q_learning"\nenvironment = "matrix_game"\n')
    assert load(path).folder_name == "small"
    path.write_text("seeds = 3 3")
    with pytest.raises(ValueError, match=r"small\.toml: "):
        load(path)
    path.write_text('algorithm = "q_learning"\nenvironment = "matrix_game"\nseeds = "3"')
    with pytest.raises(ValueError, match=r"small\.toml: seeds: expected int"):
        load(path)
    with pytest.raises(ValueError, match="spec: expected a TOML file"):
        load(tmp_path / "none.toml")
