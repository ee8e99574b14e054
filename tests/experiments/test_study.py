"""Studies: a published experiment done again, and what is written about it."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated.engine import Config
from jaxmarl_core.algos.repeated.gradient import giga
from jaxmarl_core.algos.repeated.replicator import replicator
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.errors import lookup
from jaxmarl_core.experiments import study
from jaxmarl_core.experiments.studies import names
from jaxmarl_core.experiments.study import Claim, Findings, Study

# runs of minutes, not of seconds
DEEP = {
    "battle_twins",
    "gaussian_squeeze",
    "half_cheetah",
    "ising_order",
    "maac_attention",
    "maddpg_cross_play",
    "particles_harl",
    "population_nash_conv",
    "skirmish",
    "spread_jaxmarl",
    "team_value",
}


def test_each_study_is_described_and_asks_for_a_hundred_seeds():
    for name in names():
        module = study.module_of(name)
        assert module.STUDY.seeds >= (4 if name in DEEP else 100), name
        assert (module.__doc__ or "").splitlines()[0].endswith("."), name
        for said in (module.STUDY.published, module.STUDY.rule):
            assert said.endswith("."), name


def test_a_study_is_written_once_and_never_over_another(tmp_path, monkeypatch):
    asked = []

    def measure(num_seeds):
        asked.append(num_seeds)
        return Findings(
            [
                Claim("a", "1.0", "paper", "0.5", False),
                Claim("b", "", "exact", "2", "told for scale"),
            ]
        )

    module = type(
        "Module", (), {"STUDY": Study("Title", "Somebody, 1999", measure, "1.0.", "half of it.", 7)}
    )
    monkeypatch.setattr(study, "module_of", lambda name: lookup({"mine": module}, name, "study"))
    monkeypatch.chdir(tmp_path)
    text, folder = study.run("mine")
    assert asked == [7] and "Title" in text and "Somebody, 1999" in text
    assert "| a | 1.0 | paper | 0.5 | **no** |" in text.splitlines()
    assert "| b |  | exact | 2 | not judged: told for scale |" in text.splitlines()
    assert "Published: 1.0.\nMet: half of it." in text
    assert (folder / "study.md").read_text() == text
    _, second = study.run("mine", 3)
    assert second != folder and second.exists() and asked == [7, 3]
    _, third = study.run("mine", 3)
    assert len({folder, second, third}) == 3
    with pytest.raises(ValueError, match=r"out: expected a new folder, got .*exists"):
        study.run("mine", 3, folder)
    with pytest.raises(ValueError, match="seeds: expected at least 1, got 0"):
        study.run("mine", 0)
    with pytest.raises(ValueError, match="mine"):
        study.run("mein")


def test_an_origin_is_one_of_those_known_and_no_verdict_has_a_reason():
    with pytest.raises(ValueError, match="origin"):
        study.markdown([Claim("a", "1", "hearsay", "1", True)])
    with pytest.raises(ValueError, match="met: expected a verdict, or why there is none, got a"):
        study.markdown([Claim("a", "1", "paper", "1", "")])


def test_figures_of_runs():
    """3 of 4: 0.75, with standard error sqrt(0.75 0.25 / 4) = 0.217."""
    assert study.percentage(jnp.array([True, True, True, False])) == "75.0 ± 21.7 %"
    assert study.mean_std(jnp.array([1.0, 3.0]), 1) == "2.0 ± 1.0"


def test_runs_differ_in_their_seeds_alone():
    """From (1/2, 1/2) the replicator climbs to the dominant action on every seed."""
    env = matrix_game("prisoners_dilemma", num_rounds=None)
    algorithm = replicator(env)
    tables = study.over_seeds(
        algorithm, env, 2000, 3, lambda state, metrics: state.params.tables, step_size=0.1
    )
    for row in tables.values():
        assert row.x.shape == (3, 1, 1, 2)
        assert (row.x[..., 1] > 0.99).all()


@pytest.mark.slow
def test_what_is_kept_over_time_passes_where_shorter_runs_end():
    """GIGA draws no actions, so that the key of an update makes no difference."""
    env = matrix_game("matching_pennies", num_rounds=None)
    algorithm = giga(env, Config(5))
    x = lambda state: state.params.tables["player_0"].x[0, 0]
    path = study.over_time(algorithm, 18, 3, x, first_seed=2, step_size=0.3)
    assert path.shape == (3, 4, 2)
    for num_steps in (10, 20):
        last = study.over_seeds(
            algorithm, env, num_steps, 3, lambda state, _: x(state), 2, step_size=0.3
        )
        np.testing.assert_allclose(last, path[:, num_steps // 5 - 1], rtol=1e-5)
    assert abs(path[:, 3] - path[:, 1]).max() > 0.1


def test_a_learning_curve_is_read_at_even_steps():
    """Gradient ascent in the prisoner's dilemma ends on defection, worth 1 in each of 3 rounds."""
    env = matrix_game("prisoners_dilemma", num_rounds=3)
    algorithm = giga(env, Config(40))
    curve = lambda num_points: study.learning_curve(
        algorithm, env, 250, num_points, 3, (4, 3), "eval_return_player_0"
    )
    steps, found = curve(2)
    # 6 whole updates of 40 steps, read every third; of 4 steps the one after an end plays nothing
    np.testing.assert_array_equal(steps, [90, 180])
    np.testing.assert_array_equal(found, np.full((3, 2), 3.0))
    with pytest.raises(ValueError, match="num_points: expected at least an update to each, got 7"):
        curve(7)
