"""JaxMARL's own training programs on our worlds, from a checkout of JaxMARL at JAXMARL_CHECKOUT.

The programs are not in its package. What they want of Weights & Biases, Hydra and OmegaConf is told
by stand-ins here; their figures are what they would have logged.
"""

import importlib.util
import math
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
import pytest

from jaxmarl_core.envs import (
    battle,
    matrix_game,
    predator_prey,
    simple_spread,
    smax,
    torus_coordination,
    two_step_game,
)
from jaxmarl_core.envs.interop import to_jaxmarl
from jaxmarl_core.envs.interop.extras import undisturbed

CHECKOUT = os.environ.get("JAXMARL_CHECKOUT")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what the programs are warned of is not ours
    pytest.mark.skipif(not CHECKOUT, reason="JAXMARL_CHECKOUT names no checkout of JaxMARL"),
]

with undisturbed():
    pytest.importorskip("jaxmarl", reason="needs the extra jaxmarl")
    from jaxmarl.wrappers.baselines import LogWrapper, SMAXLogWrapper

yaml = pytest.importorskip("yaml")

WORLDS = {
    "battle": lambda: battle(map_size=12, num_red=4, num_blue=4, max_steps=8),
    "matrix_game": lambda: matrix_game("stag_hunt", num_rounds=4, memory=True),
    "predator_prey": lambda: predator_prey(5, depth=2, max_steps=8),
    "simple_spread": lambda: simple_spread(max_steps=8),
    "smax": lambda: smax(max_steps=8),
    "torus_coordination": lambda: torus_coordination(max_steps=8),
    "two_step_game": lambda: two_step_game(),
}
NUM_UPDATES, NUM_ENVS, NUM_STEPS = 6, 4, 16


class Program(NamedTuple):
    file: str
    settings: str
    worlds: tuple[str, ...]


ON_POLICY = [
    Program(
        "IPPO/ippo_ff_mpe.py",
        "IPPO/config/ippo_ff_mpe.yaml",
        ("simple_spread", "matrix_game", "battle", "predator_prey"),
    ),
    Program(
        "IPPO/ippo_rnn_mpe.py",
        "IPPO/config/ippo_rnn_mpe.yaml",
        ("simple_spread", "torus_coordination"),
    ),
    Program(
        "MAPPO/mappo_rnn_mpe.py",
        "MAPPO/config/mappo_homogenous_rnn_mpe.yaml",
        ("simple_spread", "two_step_game", "predator_prey"),
    ),
]
OF_SMAX = [
    Program("IPPO/ippo_rnn_smax.py", "IPPO/config/ippo_rnn_smax.yaml", ("smax", "simple_spread")),
    Program(
        "MAPPO/mappo_rnn_smax.py",
        "MAPPO/config/mappo_homogenous_rnn_smax.yaml",
        ("smax", "two_step_game"),
    ),
]
Q_LEARNING = [
    Program(
        "QLearning/iql_rnn.py",
        "QLearning/config/alg/ql_rnn_mpe.yaml",
        ("simple_spread", "predator_prey"),
    ),
    Program(
        "QLearning/vdn_rnn.py",
        "QLearning/config/alg/ql_rnn_mpe.yaml",
        ("two_step_game", "matrix_game"),
    ),
    Program("QLearning/vdn_ff.py", "QLearning/config/alg/vdn_ff_mpe.yaml", ("torus_coordination",)),
    Program(
        "QLearning/qmix_rnn.py",
        "QLearning/config/alg/ql_rnn_mpe.yaml",
        ("simple_spread", "two_step_game"),
    ),
    Program(
        "QLearning/pqn_vdn_ff.py", "QLearning/config/alg/pqn_vdn_ff_mpe.yaml", ("predator_prey",)
    ),
    Program(
        "QLearning/pqn_vdn_rnn.py",
        "QLearning/config/alg/pqn_vdn_rnn_mpe.yaml",
        ("simple_spread", "battle"),
    ),
]
Q_LEARNING_OF_SMAX = [
    Program(f"QLearning/{name}_rnn.py", "QLearning/config/alg/ql_rnn_smax.yaml", ("smax",))
    for name in ("vdn", "qmix")
] + [Program("QLearning/pqn_vdn_rnn.py", "QLearning/config/alg/pqn_vdn_rnn_smax.yaml", ("smax",))]


class StandIn(ModuleType):
    """A module any of whose functions, called with anything, decorates with nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: lambda function: function


def cases(programs):
    pairs = [(program, world) for program in programs for world in program.worlds]
    name = lambda program, world: f"{Path(program.file).stem}-{world}"
    return pytest.mark.parametrize(("program", "world"), pairs, ids=[name(*pair) for pair in pairs])


@pytest.fixture
def logged(monkeypatch):
    """What a program logs, one dict an update."""
    records = []
    for name in ("hydra", "omegaconf", "wandb"):
        monkeypatch.setitem(sys.modules, name, StandIn(name))
    log = lambda metrics, **_: records.append(flat(metrics))
    monkeypatch.setattr(sys.modules["wandb"], "log", log, raising=False)
    return records


def flat(metrics):
    """Their figures as floats, in one dict."""
    found = {}
    for name, x in metrics.items():
        found |= flat(x) if isinstance(x, dict) else {name: float(np.mean(x))}
    return found


def number(x):
    """YAML takes 5e-4, without a point, for a string."""
    try:
        return float(x) if isinstance(x, str) else x
    except ValueError:
        return x


def load(file):
    path = Path(CHECKOUT) / "baselines" / file
    spec = importlib.util.spec_from_file_location(f"jaxmarls_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    with undisturbed():
        spec.loader.exec_module(module)
    return module


def settings(program, **own):
    text = (Path(CHECKOUT) / "baselines" / program.settings).read_text()
    config = {name: number(x) for name, x in yaml.safe_load(text).items()}
    small = {"NUM_ENVS": NUM_ENVS, "NUM_STEPS": NUM_STEPS, "NUM_MINIBATCHES": 2, "NUM_EPOCHS": 2}
    small |= {"TOTAL_TIMESTEPS": NUM_UPDATES * NUM_ENVS * NUM_STEPS, "UPDATE_EPOCHS": 2}
    small |= {"HIDDEN_SIZE": 8}
    if program not in OF_SMAX:  # one of which has the 128 of its settings in its code, too
        small |= {"FC_DIM_SIZE": 8, "GRU_HIDDEN_DIM": 8}
    small |= {"BUFFER_SIZE": 512, "BUFFER_BATCH_SIZE": 4, "LEARNING_STARTS": 64}
    small |= {"TARGET_UPDATE_INTERVAL": 2, "WANDB_MODE": "stand-in"}
    small |= {"TEST_NUM_ENVS": 2, "TEST_NUM_STEPS": 10, "TEST_INTERVAL": 0.5}
    return config | small | own


def run(train):
    key = jax.random.key_data(jax.random.key(0))  # the raw keys that the programs pass on
    with undisturbed():
        out = jax.jit(train)(key)
        jax.effects_barrier()
    return out


def check(out, logged, loss):
    assert len(logged) == NUM_UPDATES
    for metrics in logged:
        assert math.isfinite(metrics[loss])
    assert any(metrics[loss] != 0 for metrics in logged)
    leaves = jax.tree.leaves(out["runner_state"])
    leaves = [x for x in leaves if np.issubdtype(x.dtype, np.floating)]
    assert leaves
    assert all(np.isfinite(x).all() for x in leaves)


@cases(ON_POLICY)
def test_actor_critics_train(program, world, logged):
    module = load(program.file)
    module.jaxmarl = SimpleNamespace(make=lambda name, **_: to_jaxmarl(WORLDS[world]()))
    out = run(module.make_train(settings(program)))
    check(out, logged, "total_loss")


@cases(OF_SMAX)
def test_actor_critics_of_smax_train(program, world, logged):
    module = load(program.file)
    module.HeuristicEnemySMAX = lambda **_: to_jaxmarl(WORLDS[world](), world_state=True)
    out = run(module.make_train(settings(program, MAP_NAME="3m", ENV_KWARGS={})))
    check(out, logged, "total_loss")


@cases(Q_LEARNING)
def test_q_learners_train(program, world, logged):
    env = LogWrapper(to_jaxmarl(WORLDS[world]()))
    out = run(load(program.file).make_train(settings(program), env))
    check(out, logged, "loss")


@cases(Q_LEARNING_OF_SMAX)
def test_q_learners_of_smax_train(program, world, logged):
    env = SMAXLogWrapper(to_jaxmarl(WORLDS[world](), world_state=True, name="smax"))
    out = run(load(program.file).make_train(settings(program), env))
    check(out, logged, "loss")
