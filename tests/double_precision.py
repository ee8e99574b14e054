"""Worlds and learners in double precision; a program of its own, as JAX reads its setting once.

    JAX_ENABLE_X64=1 python double_precision.py '[["world", "battle", "time is up"], ...]'

prints a line of JSON a case: the case, and what went wrong, or null.
"""

import json
import sys
import traceback

import jax
import numpy as np
from fitting import FITTING as WORLDS
from fitting import PROBES
from test_contract_algorithms import FITTING as LEARNERS

from jaxmarl_core import hparams as hp
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.rollout import acting, begin, rollout
from jaxmarl_core.play.wrappers import AutoReset, episodic
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.train import Schedule, make_train

NUM_STEPS, NUM_UPDATES = 5, 2


def world(name: str, case: str) -> None:
    """Plays a world bare and with automatic reset, through the same scan that learners use."""
    build, _ = (PROBES if name == "probe" else WORLDS[name])[case]
    env = build()
    act = acting(random_policy(env), ())
    ways = [env, AutoReset(env), episodic(env)]

    @jax.jit
    def play(key):
        return [rollout(key, way, act, begin(key, way, ()), NUM_STEPS) for way in ways]

    for _, steps in play(jax.random.key(0)):
        for group_name, group in env.groups.items():
            assert group.observation.contains(steps.timestep.observation[group_name])
            assert group.action.contains(steps.actions[group_name])
            assert np.isfinite(steps.timestep.reward[group_name]).all()


def learner(name: str, case: str) -> None:
    """Trains for two updates, with hparams as a sweep hands them out."""
    build, config = LEARNERS[name][case]
    env = build()
    algorithm = make_algorithm(name, env, **config)
    train, _ = make_train(algorithm, env, Schedule(NUM_UPDATES))
    row = hp.row(hp.table(algorithm.hparams), 0)
    jax.eval_shape(train, jax.random.key(0), algorithm.hparams)  # Python's floats, too
    _, metrics = jax.jit(train)(jax.random.key(0), row)
    np.testing.assert_array_equal(metrics["finite"], np.ones(NUM_UPDATES))


def main() -> None:
    assert jax.config.read("jax_enable_x64"), "wants JAX_ENABLE_X64=1"
    for kind, name, case in json.loads(sys.argv[1]):
        wrong = None
        try:
            {"world": world, "learner": learner}[kind](name, case)
        except ImportError as missing:
            wrong = f"missing: {missing}"
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            wrong = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        print(json.dumps([[kind, name, case], wrong]), flush=True)


if __name__ == "__main__":
    main()
