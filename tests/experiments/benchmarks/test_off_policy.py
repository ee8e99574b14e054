"""The benchmark beside HARL: equal work is read from its file, and both sides are printed."""

import json
import sys

import numpy as np
import pytest

from jaxmarl_core.experiments.benchmarks import off_policy as bench
from jaxmarl_core.registry import make_algorithm

FILE = {
    "algo_args": {
        "algo": {"batch_size": 300, "buffer_size": 6000, "expl_noise": 0.3, "gamma": 0.97}
        | {"n_step": 5, "noise_clip": 0.4, "policy_freq": 3, "policy_noise": 0.1, "polyak": 0.01},
        "model": {"activation_func": "tanh", "critic_lr": 2e-3, "hidden_sizes": [32], "lr": 7e-4},
        "train": {"n_rollout_threads": 10, "train_interval": 40, "update_per_train": 0.5}
        | {"warmup_steps": 2000},
    }
}


@pytest.fixture
def checkout(tmp_path):
    for learner in bench.LEARNERS:
        path = tmp_path / bench.TUNED.format(learner)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(FILE))
    return tmp_path


@pytest.mark.parametrize("learner", bench.LEARNERS)
def test_ours_do_the_same_work_as_the_file_says(checkout, learner):
    """20 gradient steps of 300 transitions to 400 env steps, whoever is asked."""
    args = bench.told(checkout, learner)
    config, hparams = bench.ours(learner, args)
    assert config["num_envs"] * config["rollout_length"] == 400
    assert config["num_gradient_steps"] == 20 and config["batch_size"] == 300
    assert config["buffer_length"] * config["num_envs"] == 6000
    assert (config["hidden"], config["activation"], config["n_step"]) == ((32,), "tanh", 5)
    assert hparams["learning_rate"] == 7e-4 and hparams["tau"] == 0.01
    assert ("target_noise" in hparams) == (learner == "hatd3")
    made = make_algorithm(learner, bench.spread(), **config)
    assert made.env_steps == 400
    made.hparams.replace(**hparams)  # no number that the learner does not have
    lines = list(bench.side_by_side(args, config))
    said = [line.split("HARL")[1].split("ours") for line in lines]
    assert all(theirs.strip() == mine.strip() for theirs, mine in said)
    np.testing.assert_allclose(float(said[1][0]), 20)


def test_without_a_checkout_a_gradient_step_is_taken_every_20_env_steps():
    config, hparams = bench.ours("hatd3", bench.told(None, "hatd3"))
    assert config["num_envs"] * config["rollout_length"] / config["num_gradient_steps"] == 20
    assert config["actor_period"] == 2 and hparams["learning_starts"] == 10_000


def test_ratios_are_of_what_a_step_costs():
    """100 steps in 1 s of the clock and 2 of processors, beside 50 in 5 and 15."""
    mine, theirs = bench.Cost(1.0, 2.0), bench.Cost(5.0, 15.0)
    assert mine.per(100) == "100 env steps/s (20.00 ms of a processor each)"
    assert bench.beside(mine, 100, None, 50) == ""
    assert bench.beside(mine, 100, theirs, 50).endswith("ratio 10.00 (15.00)")
    assert theirs - mine == bench.Cost(4.0, 13.0)


def test_the_peer_is_run_as_it_is_with_its_own_file(checkout):
    """A stand-in for its program, which says what it was told and spends some time."""
    script = checkout / "examples" / "train.py"
    script.parent.mkdir()
    script.write_text(
        "import pathlib, sys\n"
        "pathlib.Path('told').write_text(' '.join(sys.argv[1:]))\n"
        "sum(range(2_000_000))\n"
    )
    cost = bench.harl_run(checkout, sys.executable, "haddpg", 1234)
    assert cost.clock > 0 and cost.processors > 0
    words = (checkout / "told").read_text()
    assert f"--load_config {bench.TUNED.format('haddpg')} " in words
    assert "--num_env_steps 1234 --use_eval False --cuda False" in words
