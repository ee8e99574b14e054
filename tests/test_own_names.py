"""Worlds and algorithms of one's own, by name: found, checked, trained, and refused in words."""

import os
import subprocess
import sys

import pytest
from own_folder import EXAMPLES, own_folder

from jaxmarl_core import load_policy, own_names, registry
from jaxmarl_core.checks.algorithm import check_algorithm
from jaxmarl_core.checks.environment import check_environment
from jaxmarl_core.cli import main
from jaxmarl_core.types import Algorithm, Environment


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder one is in, outside of the package, with the examples in it."""
    with own_folder(tmp_path, monkeypatch) as folder:
        yield folder


def trained(algorithm, environment, *more):
    few = ["--updates", "2", "--segment", "1", "--quiet", "--out", "out", *more]
    main(["train", algorithm, environment, *few])
    return load_policy("out")


def test_the_examples_are_short():
    assert len((EXAMPLES / "maze.py").read_text().splitlines()) <= 60
    assert len((EXAMPLES / "reinforce.py").read_text().splitlines()) <= 100


PPO = ("--config.num-envs", "2", "--config.num-minibatches", "1", "--config.hidden", "4")
QMIX = ("--config.num-envs", "2", "--config.hidden", "4")


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("q_learning", ()),
        pytest.param("ippo", PPO, marks=pytest.mark.slow),
        pytest.param("qmix", QMIX, marks=pytest.mark.slow),
    ],
)
def test_a_world_of_ones_own_is_trained(here, algorithm, more):
    _, _, env = trained(algorithm, "maze:Maze", "--env.size", "3", *more)
    assert type(env).__name__ == "Maze" and env.size == 3
    assert (here / "out" / "report.html").exists()


@pytest.mark.slow
def test_an_algorithm_of_ones_own_is_trained(here):
    policy, params, _ = trained(
        "reinforce:reinforce", "matrix_game", "--config.num-envs", "2",
        "--config.rollout-length", "4", "--hparams.gamma", "0.5",
    )  # fmt: skip
    assert set(params) == {"player_0", "player_1"} and policy.memory() == ()


@pytest.mark.slow
def test_both_of_ones_own_keep_all_promises(here):
    env = registry.make_environment("maze:Maze", size=2, max_steps=5)
    assert check_environment(env) == []
    config = {"num_envs": 2, "rollout_length": 6, "hidden": 4}
    assert check_algorithm(registry.make_algorithm("reinforce:reinforce", env, **config), env) == []


def test_options_are_checked_as_ours_are(here):
    with pytest.raises(ValueError, match="did you mean 'size'"):
        registry.make_environment("maze:Maze", sise=3)
    with pytest.raises(TypeError, match="num_envs: expected int, got float"):
        registry.make_algorithm("reinforce:reinforce", None, num_envs=2.5)
    assert registry.make_environment("maze:Maze", step_cost=1).step_cost == 1.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mazes:Maze", "environment: expected a module mazes in .* or installed, got 'mazes:Maze'"),
        ("maze:Mace", "environment in maze: expected one of .*; got 'Mace'; did you mean 'Maze'"),
        ("maze.py:Maze", "environment: expected a module maze.py in"),
        ("maze:", 'environment: expected a name of the list, or "module:name"'),
        ("../maze:Maze", 'environment: expected a name of the list, or "module:name"'),
        ("maze:MazeState", "environment maze:MazeState: expected a function that says"),
        ("os:system", "environment os:system: expected a function that says"),
        ("subprocess:Popen", "environment subprocess:Popen: expected a function that says"),
        ("reinforce:reinforce", "environment reinforce:reinforce: expected a function that says"),
    ],
)
def test_what_is_no_world_is_refused_and_never_called(here, name, message):
    with pytest.raises(ValueError, match=message):
        registry.make_environment(name)


def test_what_is_no_algorithm_is_refused(here):
    for name in ("maze:Maze", "os:system"):
        with pytest.raises(ValueError, match=rf"algorithm {name}: expected a function of an env"):
            registry.config_type(name)


def test_an_error_inside_the_module_is_the_users_own(here):
    (here / "broken.py").write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        registry.make_environment("broken:world")


def test_what_a_function_says_it_returns():
    def world() -> Environment: ...
    def learner(env: Environment) -> Algorithm: ...
    def neither(env): ...

    assert own_names.builds_environment(world) and not own_names.builds_algorithm(world)
    assert own_names.builds_algorithm(learner) and not own_names.builds_environment(learner)
    assert not own_names.builds_algorithm(neither) and not own_names.builds_environment(neither)


def test_the_current_folder_is_seen_by_an_installed_command(here):
    """A program's own folder comes first on the path of a command, not the one it is called in."""
    code = "import sys; sys.path.remove(''); from jaxmarl_core.cli import main; main(sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parents[1])}
    command = [sys.executable, "-c", code, "check", "maze:Maze"]
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert said.returncode == 0, said.stderr
    assert "maze:Maze: nothing to complain of" in said.stdout


POSTPONED = """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jaxmarl_core.algos import q_learning
from jaxmarl_core.types import Algorithm
if TYPE_CHECKING:
    from jaxmarl_core.types import Environment

@dataclass(frozen=True)
class Config:
    kind: Literal["plain", "other"] = "plain"

def mine(env: Environment, config: Config = Config()) -> Algorithm:
    return q_learning(env)
"""


def test_annotations_may_be_postponed(here, capsys):
    (here / "later.py").write_text(POSTPONED)
    assert own_names.builds_algorithm(own_names.load("later:mine", "algorithm"))
    with pytest.raises(SystemExit, match="0"):
        main(["train", "later:mine", "matrix_game", "--help"])
    assert "{plain,other}" in capsys.readouterr().out
