"""Suites: what each pair of a file is told, and a folder of sweeps that goes on and is read."""

import pytest

from jaxmarl_core.cli import main
from jaxmarl_core.sweeps.suite_spec import is_suite, load_suite, merge, pairs

SUITE = """
seeds = 2
updates = 2
[config]
rollout_length = 4
[algorithms.q_learning]
[algorithms.slow]
algorithm = "q_learning"
hparams = { learning_rate = 0.01 }
[environments.climbing]
environment = "matrix_game"
environment_options = { name = "climbing" }
seeds = 3
[environments.matrix_game]
hparams = { gamma = 0.5, learning_rate = 0.3 }
[[pairs]]
algorithm = "slow"
environment = "matrix_game"
updates = 4
config = { rate = "constant" }
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "four.toml"
    path.write_text(SUITE)
    return path


def test_what_is_told_of_a_pair_counts_before_what_is_told_of_all(suite):
    assert is_suite(suite)
    found = {pair.folder: pair.spec for pair in load_suite(suite)}
    assert list(found) == ["q_learning-climbing", "q_learning-matrix_game", "slow-climbing",
                           "slow-matrix_game"]  # fmt: skip
    climbing, plain, slow, last = found.values()
    assert climbing.environment == plain.environment == "matrix_game"
    assert climbing.environment_options == {"name": "climbing"} and not plain.environment_options
    assert (climbing.seeds, plain.seeds) == (3, 2)  # of the world, of all
    assert plain.hparams == {"gamma": 0.5, "learning_rate": 0.3}
    assert slow.algorithm == "q_learning" and slow.label == "slow" and climbing.label == ""
    assert last.hparams == {"gamma": 0.5, "learning_rate": 0.01}  # algorithm before world
    assert (last.updates, plain.updates) == (4, 2)
    assert last.config == {"rollout_length": 4, "rate": "constant"}


def test_tables_are_merged_entry_by_entry():
    assert merge({"a": 1, "b": {"c": 1, "d": [1]}}, {"b": {"d": [2]}, "e": 3}) == {
        "a": 1, "b": {"c": 1, "d": [2]}, "e": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algorithms": {"a": {}}}, "environments: expected a table for each label"),
        ({"algorithms": ["a"], "environments": {"b": {}}}, "algorithms: expected a table for each"),
        (
            {"algorithms": {"vdn": {}}, "environments": {"b": {}}, "pairs": [{"algorithm": "vdm"}]},
            r"pairs\[0\].algorithm: .* did you mean 'vdn'",
        ),
        (
            {"algorithms": {"vdn": {}}, "environments": {"b": {}}, "pairs": [{"algorithm": "vdn"}]},
            r"pairs\[0\].environment: expected a label, got nothing",
        ),
        (
            {"algorithms": {"vdn": {"sedes": 2}}, "environments": {"b": {}}},
            "vdn on b: spec: .* did you mean 'seeds'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(values, message):
    with pytest.raises(ValueError, match=message):
        pairs(values)


@pytest.mark.slow
def test_a_suite_runs_goes_on_and_is_read_as_one(suite, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["sweep", str(suite), "--dry-run"])
    assert "4 of 4: slow on matrix_game" in capsys.readouterr().out
    main(["sweep", str(suite), "--quiet"])
    folder = tmp_path / "runs" / "four"
    assert len(list(folder.iterdir())) == 4
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    with pytest.raises(SystemExit):
        main(["sweep", str(suite), "--quiet"])
    assert "use --resume or another name" in capsys.readouterr().err
    main(["sweep", str(suite), "--quiet", "--resume"])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")} == before
    capsys.readouterr()
    main(["aggregate", "runs/four", "--out", str(tmp_path / "all")])
    said = capsys.readouterr().out
    assert "q_learning" in said and "slow" in said
    assert (tmp_path / "all" / "marl_eval.json").exists()
