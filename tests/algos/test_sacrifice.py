"""A death that pays the team later: learnt by all who do not cut an agent's return at its fall.

Agent 0 may fall for nothing, after which both are paid more at the end: 1.0 each instead of 0.6, or
20 instead of 2. Taking the pay of the fallen away makes the first not worth it (0.5 < 0.6).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Sacrifice

from jaxmarl_core.algos import (
    coma,
    happo,
    hatrpo,
    ia2c,
    ippo,
    iql,
    mappo,
    qmix,
    qplex,
    qtran,
    vdn,
)
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.algos.value_factorisation.options import Config as ValueConfig
from jaxmarl_core.train import Schedule, make_train

NUM_SEEDS = 8
PPO = {"num_envs": 16, "rollout_length": 8, "hidden": (16,)}
RATES = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2}
SEQUENCES = {
    "num_envs": 8,
    "rollout_length": 4,
    "capacity": 128,
    "batch_size": 32,
    "num_gradient_steps": 2,
    "hidden": (16,),
    "memory_size": 0,
}
VALUES = {"learning_rate": 5e-3, "final_epsilon": 0.5, "target_period": 5.0}
LEARNERS = {
    "vdn": (lambda env: vdn(env, ValueConfig(**SEQUENCES)), VALUES),
    "ippo": (lambda env: ippo(env, Config(**PPO)), RATES),
    "mappo, agent": (lambda env: mappo(env, Config(**PPO, critic="agent")), RATES),
    "iql": (lambda env: iql(env, ValueConfig(**SEQUENCES)), VALUES),
    "qmix": (lambda env: qmix(env, ValueConfig(**SEQUENCES)), VALUES),
    "qtran": (lambda env: qtran(env, ValueConfig(**SEQUENCES)), VALUES),
    "qplex": (lambda env: qplex(env, ValueConfig(**SEQUENCES)), VALUES),
    "ia2c": (lambda env: ia2c(env, Config(**PPO)), RATES),
    "mappo": (lambda env: mappo(env, Config(**PPO)), RATES),
    "happo": (lambda env: happo(env, Config(**PPO)), RATES),
    "happo, agent": (lambda env: happo(env, Config(**PPO, critic="agent")), RATES),
    "hatrpo": (lambda env: hatrpo(env, Config(**PPO)), {"critic_learning_rate": 1e-2}),
    "coma": (lambda env: coma(env, Config(**PPO)), RATES),
}
QUICK = ("vdn", "ippo", "mappo, agent")  # the others take a minute together


@pytest.mark.fast("vdn")
@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LEARNERS],
)
def test_all_seeds_find_what_a_sacrifice_is_worth(name):
    build, numbers = LEARNERS[name]
    num_updates = 600 if numbers is VALUES else 150

    @jax.jit
    def returns(worth, otherwise):  # leaves of the environment: one program for both
        env = Sacrifice(worth, otherwise)
        algorithm = build(env)
        hparams = algorithm.hparams.replace(**{n: jnp.float32(x) for n, x in numbers.items()})
        train, _ = make_train(algorithm, env, Schedule(num_updates, num_updates, 8, 4))
        keys = jax.random.split(jax.random.key(0), NUM_SEEDS)
        return jax.vmap(lambda key: train(key, hparams)[1]["eval_return"][-1])(keys)

    np.testing.assert_allclose(returns(1.0, 0.6), np.full(NUM_SEEDS, 1.0), rtol=0.02)
    np.testing.assert_allclose(returns(20.0, 2.0), np.full(NUM_SEEDS, 20.0), rtol=0.02)
