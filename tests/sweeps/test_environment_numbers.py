"""Numbers of a world swept in one program: the same as a program for each."""

import numpy as np
import pytest

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.data import load_results
from jaxmarl_core.sweeps.saved_run import load_run
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import run

SQUEEZE = {
    "algorithm": "q_learning",
    "environment": "gaussian_squeeze",
    "environment_options": {"num_agents": 3, "num_actions": 4, "max_steps": 5},
    "config": {"rollout_length": 4},
    "updates": 4,
    "segment": 2,
    "evaluation": {"every": 2, "episodes": 2, "length": 5},
}
NUMBERS = {"grid": {"environment_numbers": {"mu": [5.0, 7.0], "sigma": [2.0, 4.0]}}}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return run(from_dict(SQUEEZE | NUMBERS), tmp_path_factory.mktemp("numbers") / "x")


def test_one_program_learns_in_all_worlds(swept, tmp_path):
    results = sweep_folder.read(swept)
    assert len(sweep_folder.part_folders(swept)) == 1
    numbers = [(r["hparams"]["mu"], r["hparams"]["sigma"]) for r in results.runs]
    assert numbers == [(5, 2), (5, 4), (7, 2), (7, 4)]
    static = {"environment_options": {"mu": [5.0, 7.0], "sigma": [2.0, 4.0]}}
    each = sweep_folder.read(run(from_dict(SQUEEZE | {"grid": static}), tmp_path / "each"))
    assert [tuple(r["static"].values()) for r in each.runs] == numbers
    for name, values in each.metrics.items():
        np.testing.assert_allclose(results.metrics[name], values, rtol=1e-5, err_msg=name)
    name = next(name for name in results.metrics if name.startswith("eval_return"))
    returns = results.metrics[name][:, -1]
    assert len(set(returns.tolist())) > 1  # evaluated each in its own world


def test_a_run_is_read_back_in_its_own_world(swept):
    found = load_run(swept, 2)
    assert (found.env.mu, found.env.sigma) == (7.0, 2.0)
    assert found.description["environment_options"]["mu"] == 7.0
    assert "mu" not in found.description["hparams"]
    runs = load_results(swept).runs
    assert runs["environment.mu"].tolist() == [5, 5, 7, 7] and "hparams.mu" not in runs


def test_numbers_are_drawn_beside_hparams():
    drawn = {"num": 6, "learning_rate": [0.01, 0.1], "environment_numbers": {"mu": [4.0, 8.0]}}
    (variant,) = variants(from_dict(SQUEEZE | {"random": drawn}))
    mu = np.asarray(variant.hparams.mu)
    assert mu.shape == (6,) and (mu > 4).all() and (mu < 8).all() and len(set(mu.tolist())) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"environment_numbers": {"nu": [1.0]}}}, "environment_numbers: .* 'mu'"),
        (
            {"grid": {"environment_numbers": {"max_steps": [2]}}, "environment_options": {}},
            "environment_numbers.max_steps: expected a number of the world; .*for each value",
        ),
        ({"grid": {"environment_numbers": {"sigma": [1.0, -1.0]}}}, "sigma: expected above 0"),
        (
            NUMBERS | {"environment_options": {"mu": 3.0}},
            "environment_options.mu|environment_numbers.mu: expected fixed or in the grid",
        ),
        (
            {"random": {"num": 2, "environment_numbers": [1, 2]}},
            "random.environment_numbers: expected a table",
        ),
    ],
)
def test_what_is_no_number_of_the_world_is_told(changes, message):
    with pytest.raises(ValueError, match=message):
        variants(from_dict(SQUEEZE | changes))


def test_a_budget_in_env_steps_is_as_many_for_every_program(tmp_path):
    """17 steps are 5 updates of 4, and 3 of 8: as many as asked for, in whole updates."""
    asked = {k: v for k, v in SQUEEZE.items() if k not in ("updates", "segment", "evaluation")}
    asked |= {"env_steps": 17, "grid": {"config": {"rollout_length": [4, 8]}}, "config": {}}
    folder = run(from_dict(asked), tmp_path / "x")
    results = sweep_folder.read(folder)
    assert results.num_updates_done.tolist() == [5, 3]
    assert load_results(folder).runs["state"].tolist() == ["done", "done"]
    with pytest.raises(ValueError, match="updates: expected either updates or env_steps"):
        from_dict(SQUEEZE | {"env_steps": 10})
    search = {
        "random": {"num": 4, "gamma": [0.1, 0.9]},
        "search": {"kind": "halving", "min_updates": 1},
    }
    with pytest.raises(ValueError, match="env_steps: expected configurations whose updates play"):
        run(from_dict(asked | search), tmp_path / "y")
