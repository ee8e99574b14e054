"""Opponents that a spec names: found, learnt against, kept in the folder, and met again later."""

import shutil

import jax
import numpy as np
import pytest
from commands import called

from jaxmarl_core import load_policy
from jaxmarl_core.cli.trained import load_match
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.registry import make_algorithm, make_environment
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.opponents import Opponents, Trained, algorithm_against, learnt_policy
from jaxmarl_core.sweeps.saved_run import load_run
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import load_run_state, run

RPS = {"name": "rock_paper_scissors", "num_rounds": 2}
GAME = {
    "algorithm": "q_learning",
    "environment": "matrix_game",
    "environment_options": RPS,
    "updates": 4,
    "segment": 2,
    "config": {"rollout_length": 8},
}
SCRIPT = """
import jax.numpy as jnp
from jaxmarl_core import Environment, Player, Policy


def rock(env: Environment) -> Player:
    act = lambda params, key, timestep, memory: ({"player_1": jnp.zeros(1, jnp.int32)}, memory)
    return Player(Policy(tuple, act, act), ())


def nobody(env: Environment):
    return None
"""


def spec(**changes):
    return from_dict(GAME | changes)


def greedy(policy, params, env):
    timestep = env.reset(jax.random.key(0))[1]
    return policy.greedy(params, jax.random.key(0), timestep, policy.memory())[0]


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_players.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.slow
def test_a_pool_is_saved_and_gone_on_with(tmp_path):
    said = {"opponents": {"player_1": "pool"}, "pool": {"every": 1, "size": 3, "draw": "uniform"}}
    out = run(spec(**said), tmp_path / "out")
    _, state = load_run_state(out, 0)
    assert sorted(state.pool.entries.tolist()) == [2, 3, 4]
    whole = run(spec(**said, updates=8), tmp_path / "whole")
    run(spec(**said, updates=8), out, resume=True)
    for name in ("episode_return_player_0", "pool_win_rate"):
        ours, theirs = (sweep_folder.read(each).metrics[name] for each in (out, whole))
        np.testing.assert_array_equal(ours, theirs)
    assert_same(load_policy(out).params, load_policy(whole).params)
    with pytest.raises(ValueError, match=r"pool: expected .* that of the sweep"):
        run(spec(opponents=said["opponents"], pool={"every": 1}, updates=8), out, resume=True)


def test_self_is_one_copy(tmp_path):
    (variant,) = variants(spec(opponents={"player_1": "self"}, pool={"every": 2}))
    state = jax.eval_shape(variant.algorithm.init, jax.random.key(0), variant.algorithm.hparams)
    assert state.pool.size == 1


def test_a_scripted_one_is_learnt_against(here):
    found = spec(
        opponents={"player_1": "own_players:rock"}, updates=20, segment=20,
        hparams={"learning_rate": 0.5, "gamma": 0.0, "final_epsilon": 1.0},
    )  # fmt: skip
    out = run(found, "runs/rocks")
    policy, params, env = load_policy(out)
    # paper beats rock, which goes on playing
    assert {n: int(x[0]) for n, x in greedy(policy, params, env).items()} == {
        "player_0": 1, "player_1": 0,
    }  # fmt: skip
    # in the other's seat the learner plays paper, too
    seated = load_run(out)
    assert seated.learnt == {"player_0", "player_1"}
    assert greedy(seated.policy, params, env)["player_1"][0] == 1
    with pytest.raises(ValueError, match=r'own_players:nobody: expected .* "-> Player"'):
        variants(spec(opponents={"player_1": "own_players:nobody"}))


@pytest.fixture(scope="module")
def against_a_run(tmp_path_factory):
    """The folder of a sweep against the best run of another, which is gone by now."""
    folder = tmp_path_factory.mktemp("against")
    first = run(spec(seeds=2), folder / "first")
    said = spec(opponents={"player_1": str(first)}, updates=4)
    out = run(said, folder / "second")
    policy, params, _ = load_policy(first)
    shutil.rmtree(first)
    return out, said, policy, params


def test_a_trained_one_is_copied_and_what_becomes_of_its_folder_changes_nothing(
    against_a_run, tmp_path
):
    made, said, _, params = against_a_run
    out = tmp_path / "out"
    shutil.copytree(made, out)
    kept = load_run(out).opponents["player_1"]
    assert_same(kept.params, params)
    longer = from_dict(said.to_dict() | {"updates": 8, "evaluation": {}})
    run(longer, out, resume=True)  # where nobody is any more
    assert sweep_folder.read(out).metrics["episode_return_player_0"].shape == (1, 8)
    assert_same(load_run(out).opponents["player_1"].params, params)
    with pytest.raises(ValueError, match=r"opponents: expected .* that of the sweep"):
        run(spec(opponents={"player_1": "random"}, updates=8), out, resume=True)
    with pytest.raises(ValueError, match=r"opponents.player_1: expected one of .*folder"):
        run(said, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_its_policy_plays_all_groups_the_opponents_by_theirs(against_a_run):
    out, _, theirs, params = against_a_run
    found = load_run(out)
    actions = greedy(found.algorithm.policy, found.params, found.env)
    expected = greedy(theirs, params, found.env)
    assert actions["player_1"] == expected["player_1"]
    assert greedy(found.policy, found.params, found.env)["player_0"] == actions["player_0"]


@pytest.mark.slow
@pytest.mark.fast("evaluate")
@pytest.mark.parametrize("command", ["evaluate", "play", "tournament", "export"])
def test_commands_work_on_its_folder(against_a_run, capsys, here, command):
    out, *_ = against_a_run
    if command == "tournament":
        arguments = [out, "random", "--episodes", "4", "--out", "cup"]
    elif command == "export":
        arguments = [out, "--out", "policy"]
    elif command == "play":
        arguments = [out, "--out", "film.html"]
    else:
        arguments = [out, "--episodes", "4"]
    code, said, err = called(capsys, command, *arguments)
    assert code == 0, err
    if command == "evaluate":
        assert "player_1:" in said
    if command == "export":
        ours, theirs = load_run(out), load_run("policy")
        assert_same(ours.params, theirs.params)
        assert_same(ours.opponents["player_1"].params, theirs.opponents["player_1"].params)
        assert_same(*(greedy(x.algorithm.policy, x.params, x.env) for x in (ours, theirs)))


def test_who_has_learnt_one_role_plays_that_alone(tmp_path):
    """Predators and prey are of different kinds: no copy of one takes the place of the other."""
    env = make_environment("simple_tag")
    told = Opponents({"agents": "random"})
    options = {"num_envs": 2, "rollout_length": 4, "hidden": [4], "num_minibatches": 1}
    make = lambda world: make_algorithm("ippo", world, **options)
    algorithm = algorithm_against(make, env, told, {})
    _, learnt = learnt_policy(algorithm, make, env, told, {})
    assert learnt == {"adversaries"}


def test_opponents_of_another_world_are_refused():
    env = make_environment("matrix_game", **RPS)
    other = make_environment("matrix_game", name="matching_pennies")
    trained = {"player_1": Trained(random_policy(other), (), other)}
    with pytest.raises(ValueError, match=r'opponents.player_1: expected a policy of a group "play'):
        variants(spec(opponents={"player_1": "runs/pennies"}), trained)
    assert env.groups["player_1"][:3] != other.groups["player_1"][:3]


def test_train_takes_them_by_name(capsys, here):
    few = ["--env.name", "rock_paper_scissors", "--updates", "2", "--segment", "1", "--quiet",
           "--config.rollout-length", "4", "--out", "out"]  # fmt: skip
    told = ["--opponents", "player_1=pool", "--pool.size", "2", "--pool.every", "1"]
    code, _, err = called(capsys, "train", "q_learning", "matrix_game", *few, *told)
    assert code == 0, err
    saved = sweep_folder.read_spec("out")
    assert saved["opponents"] == {"player_1": "pool"}
    assert saved["pool"] == {"size": 2, "every": 1}
    code, _, err = called(
        capsys, "train", "q_learning", "matrix_game", *few[:-1], "two", "--opponents", "pool"
    )
    assert code == 2 and "opponents: expected group=who" in err


def test_matches_name_whom_it_learnt_against(against_a_run):
    out, *_ = against_a_run
    _, (match,) = load_match(out, "best")
    assert "against player_1: " in match.title
    _, sides = load_match(out, "best", "random")
    assert len(sides) == 2
