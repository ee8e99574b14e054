"""Policies read back from the folder of a sweep: the right run's, with what it had learnt."""

import dataclasses
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from small_sweeps import GAME, trained_game

from jaxmarl_core import load_policy
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import Checkpoints
from jaxmarl_core.store.saved_params import saved_params
from jaxmarl_core.store.tables import Results
from jaxmarl_core.sweeps.plan import read as read_plan
from jaxmarl_core.sweeps.saved_run import find_run, in_world, load_run
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.train import make_train

ROWS = [(7, 0.1), (8, 0.1), (7, 0.2), (8, 0.2)]  # (seed, learning rate) of each run


@pytest.fixture(scope="module")
def game():
    return trained_game()


@pytest.fixture(scope="module")
def trained_alone():
    """Run number -> params, each trained by itself: another program than the sweep's."""
    (variant,) = variants(from_dict(GAME))
    train, _ = make_train(variant.algorithm, variant.env, variant.schedule)
    one = jax.jit(lambda seed, rate: train(
        jax.random.key(seed), dataclasses.replace(variant.algorithm.hparams, learning_rate=rate)
    )[0].params)  # fmt: skip
    return [one(seed, np.float32(rate)) for seed, rate in ROWS]


def assert_same_params(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)


@pytest.mark.parametrize("run", range(4))
def test_a_run_by_number_holds_what_it_learnt(game, trained_alone, run):
    _, params, _ = load_policy(game, run)
    assert_same_params(params, trained_alone[run])


def test_a_run_by_its_options(game, trained_alone):
    found = load_run(game, {"learning_rate": 0.2})
    assert found.description["hparams"]["learning_rate"] == 0.2
    assert_same_params(found.params, trained_alone[found.description["run"]])


def test_the_policy_acts_in_its_environment(game):
    policy, params, env = load_policy(game)
    assert env.num_rounds == 3
    _, timestep = env.reset(jax.random.key(0))
    actions, _ = policy.greedy(params, jax.random.key(0), timestep, policy.memory())
    for name, group in env.groups.items():
        assert group.action.contains(actions[name])


def results_with(finals):
    """Results of runs whose objective stays at its value; NaN: diverged."""
    rates = np.repeat([0.1, 0.2], 2)
    runs = [
        {"run": 10 + i, "seed": 0, "hparams": {"learning_rate": rate}, "static": {"share": "all"}}
        for i, rate in enumerate(rates.tolist())
    ]
    values = np.reshape(finals, (-1, 1)).astype(np.float32)
    diverged = np.where(np.isnan(values[:, 0]), 0, -1)
    return Results(runs, {"eval_return": values}, np.ones(4, int), diverged)


def test_the_best_is_the_best_by_the_objective_of_those_that_fit():
    spec = from_dict({"algorithm": "x", "environment": "y"})
    results = results_with([1.0, 2.0, 5.0, np.nan])
    assert find_run(results, spec, "best") == 2
    assert find_run(results, dataclasses.replace(spec, higher_is_better=False), "best") == 0
    assert find_run(results, spec, {"learning_rate": 0.1}) == 1
    assert find_run(results, spec, {"learning_rate": np.float32(0.1), "share": "all"}) == 1
    assert find_run(results, spec, 13) == 3


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (4, "run: expected one of the 4 runs of the sweep, got 4"),
        ("last", 'run: expected "best", a number'),
        ({"learning_rat": 0.1}, "did you mean 'learning_rate'"),
        ({"learning_rate": 0.3}, r"run: expected options of one .*0\.1.*, got .*0\.3"),
    ],
)
def test_a_run_that_is_not_there_is_named(game, run, message):
    with pytest.raises(ValueError, match=message):
        load_policy(game, run)


def test_where_all_diverged_none_is_the_best():
    spec = from_dict({"algorithm": "x", "environment": "y"})
    with pytest.raises(ValueError, match="run: expected one that has a final eval_return"):
        find_run(results_with([np.nan] * 4), spec, "best")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(game, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(game, copy)
    newer = load_policy(copy, 0).params
    *_, newest = checkpoints = sorted(copy.glob("part-*/checkpoints/*.npz"))
    newest.write_bytes(newest.read_bytes()[:-100])
    older = load_policy(copy, 0).params
    pairs = zip(jax.tree.leaves(newer.tables), jax.tree.leaves(older.tables))
    assert any((a != b).any() for a, b in pairs)
    for path in checkpoints:
        path.unlink()
    with pytest.raises(ValueError, match=r"run: expected a checkpoint in .*, got none yet"):
        load_policy(copy, 0)


def test_a_folder_that_is_no_sweep_is_named(tmp_path):
    with pytest.raises(ValueError, match="out: expected the folder of a sweep"):
        load_policy(tmp_path)


def test_read_in_a_python_with_one_device(game):
    """Trained on the tests' eight devices, read on one: nothing hangs on who computed it."""
    code = (
        "import sys, jax, numpy as np; from jaxmarl_core import load_policy; "
        "assert len(jax.devices()) == 1; _, params, _ = load_policy(sys.argv[1], 3); "
        "print(float(sum(np.sum(x) for x in jax.tree.leaves(params))))"
    )
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-c", code, str(game)]
    said = subprocess.run(command, capture_output=True, text=True, env=plain, check=True).stdout
    _, params, _ = load_policy(game, 3)
    expected = float(sum(np.sum(x) for x in jax.tree.leaves(params)))
    assert float(said) == pytest.approx(expected, rel=1e-6)
    assert len(sweep_folder.read(game).runs) == 4


def test_of_a_sweep_that_measured_nothing_yet_nothing_is_said(game, tmp_path):
    begun = shutil.copytree(game, tmp_path / "begun")
    for path in begun.glob("part-*/metrics-*"):
        path.unlink()
    with pytest.raises(ValueError, match="results: expected the metrics of at least one segment"):
        load_policy(begun)


def test_the_best_is_among_those_that_were_saved():
    results = Results(
        [{"run": i, "seed": i, "hparams": {}, "static": {}} for i in range(3)],
        {"eval_return": np.float32([[1.0], [3.0], [2.0]])},
        np.ones(3, int),
        np.full(3, -1),
    )
    spec = from_dict({**GAME, "objective": "eval_return"})
    assert find_run(results, spec, "best") == 1
    assert find_run(results, spec, "best", saved={0, 2}) == 2
    with pytest.raises(ValueError, match="none; say which by number"):
        find_run(results, spec, "best", saved=())


def test_a_plan_leads_nowhere_else(game, tmp_path):
    folder = shutil.copytree(game, tmp_path / "sent")
    plan = folder / "plan.json"
    plan.write_text(plan.read_text().replace("part-000", "../part-000"))
    spec = from_dict(sweep_folder.read_spec(folder))
    with pytest.raises(ValueError, match=r'expected folders as "part-000", got .*part-000'):
        read_plan(folder, variants(spec))


def test_parameters_may_be_one_array(tmp_path):
    """As an algorithm of one's own that is a table has them."""
    like = {"params": jax.ShapeDtypeStruct((2, 3), np.float32),
            "params_before": jax.ShapeDtypeStruct((2, 3), np.float32)}  # fmt: skip
    state = {"params": np.arange(6, dtype=np.float32).reshape(2, 3),
             "params_before": np.zeros((2, 3), np.float32)}  # fmt: skip
    Checkpoints(tmp_path / "checkpoints", {}, like).save(1, state)
    found = saved_params(tmp_path, 1, jax.ShapeDtypeStruct((3,), np.float32))
    np.testing.assert_array_equal(found, [3, 4, 5])


def test_a_policy_plays_in_another_world_that_its_parameters_fit(game):
    run = load_run(game, 1)
    longer = in_world(run, {"num_rounds": 5})
    assert (run.env.num_rounds, longer.env.num_rounds) == (3, 5)
    assert longer.description["environment_options"]["num_rounds"] == 5
    assert longer.params is run.params and in_world(run, {}) is run
    with pytest.raises(ValueError, match=r"world: expected one where q_learning has the same"):
        in_world(run, {"name": "climbing"})  # three actions
    with pytest.raises(ValueError, match="rounds"):
        in_world(run, {"num_round": 5})
