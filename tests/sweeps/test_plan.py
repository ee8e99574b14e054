"""Parts: which runs they hold, what is new in a sweep, and what the plan on disk says."""

import numpy as np
import pytest

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.spec import from_dict, variants

GAME = {"algorithm": "q_learning", "environment": "matrix_game", "seeds": 2, "first_seed": 7}
GRID = {"config": {"rollout_length": [2, 4]}, "hparams": {"gamma": [0.1, 0.2]}}


@pytest.fixture
def asked():
    """(spec, variants) of two programs with two rows of hparams and two seeds each."""
    spec = from_dict(GAME | {"grid": GRID})
    return spec, variants(spec)


def runs(parts):
    """(variant, gamma, seed) of each run, by its number."""
    found = {}
    for part in parts:
        gammas = np.asarray(part.hparams.gamma)
        for number, gamma, seed in zip(part.numbers, gammas, part.seeds):
            assert number not in found
            found[int(number)] = (part.index, round(float(gamma), 3), int(seed))
    return found


def test_rows_are_slow_and_seeds_are_fast(tmp_path, asked):
    whole = plan.missing(*asked, [], tmp_path)
    assert [part.num_runs for part in whole] == [4, 4]
    assert list(runs(whole).values()) == [
        (variant, gamma, seed) for variant in (0, 1) for gamma in (0.1, 0.2) for seed in (7, 8)
    ]
    assert list(runs(whole)) == list(range(8))


def test_cutting_keeps_every_run(tmp_path, asked):
    whole = plan.missing(*asked, [], tmp_path)
    folders = plan.new_folders(tmp_path, [])
    parts = [piece for part in whole for piece in plan.cut(part, 3, folders)]
    assert [part.num_runs for part in parts] == [3, 1, 3, 1]
    assert [part.folder.name for part in parts] == [f"part-00{i}" for i in range(4)]
    assert runs(parts) == runs(whole)
    plan.write(tmp_path, parts, [{"bytes_per_device": 3}])
    again = plan.read(tmp_path, asked[1])
    assert runs(again) == runs(whole)
    assert [part.folder for part in again] == [part.folder for part in parts]
    assert plan.missing(*asked, again, tmp_path) == []


def test_more_seeds_are_numbered_on(tmp_path, asked):
    spec, choices = asked
    folders = plan.new_folders(tmp_path, [])
    parts = [
        piece
        for part in plan.missing(spec, choices, [], tmp_path)
        for piece in plan.cut(part, 4, folders)
    ]
    more = from_dict(GAME | {"grid": GRID, "seeds": 3})
    new = plan.missing(more, choices, parts, tmp_path)
    assert runs(new) == {8: (0, 0.1, 9), 9: (0, 0.2, 9), 10: (1, 0.1, 9), 11: (1, 0.2, 9)}
    assert next(plan.new_folders(tmp_path, parts)).name == "part-002"


def test_a_plan_of_another_spec_is_named(tmp_path, asked):
    folders = plan.new_folders(tmp_path, [])
    parts = [plan.cut(part, 4, folders)[0] for part in plan.missing(*asked, [], tmp_path)]
    plan.write(tmp_path, parts, [])
    with pytest.raises(ValueError, match=r"plan\.json: expected variants of the spec, got 1"):
        plan.read(tmp_path, asked[1][:1])
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"plan\.json: expected JSON, got a damaged file"):
        sweep_folder.read_plan(tmp_path)
