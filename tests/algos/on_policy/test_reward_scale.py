"""By default a policy is learnt alike whatever the unit of rewards."""

import jax
import numpy as np
import pytest
from flax import struct
from probes import DyingAgents

from jaxmarl_core.algos import coma, haa2c, happo, hatrpo, ia2c, ippo, maa2c, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.train import Schedule, make_train

NUM_SEEDS = 4


@struct.dataclass
class InUnits(DyingAgents):
    """DyingAgents with every reward multiplied by `unit`: what is best does not depend on it."""

    unit: float = 1.0

    def observe(self, state):
        timestep = DyingAgents.observe(self, state)
        paid = {name: self.unit * x for name, x in timestep.reward.items()}
        return timestep.replace(reward=paid)


RECIPES = {
    "ippo": ippo,
    "coma": coma,
    "happo": happo,
    "hatrpo": hatrpo,
    "haa2c": haa2c,
    "ia2c": ia2c,
    "maa2c": maa2c,
    "mappo": mappo,
}
QUICK = ("ippo", "coma")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
)
def test_a_hundredfold_or_a_hundredth_of_the_reward_is_the_same_game(name):
    """Compared half-way, before all policies are near the one optimum: action 1."""
    num_updates = 8 if name in ("ippo", "happo", "mappo", "hatrpo") else 40

    @jax.jit
    def learnt(unit):  # a leaf of the environment: one program for all units
        env = InUnits(unit=unit)
        config = Config(num_envs=16, rollout_length=8, hidden=(8,))
        algorithm = RECIPES[name](env, config)
        train, _ = make_train(algorithm, env, Schedule(num_updates))

        def chance(key):
            """How probable action 1 is for each of the agents at the first step, [n]."""
            state, _ = train(key, algorithm.hparams)
            keys = jax.random.split(jax.random.key(1), 2000)
            first = env.reset(key)[1]
            memory = algorithm.policy.memory()
            act = lambda key: algorithm.policy.act(state.params, key, first, memory)[0]["agents"]
            return jax.vmap(act)(keys).mean(0)

        return jax.vmap(chance)(jax.random.split(jax.random.key(0), NUM_SEEDS)).mean()

    found = [float(learnt(unit)) for unit in (0.01, 1.0, 100.0)]
    print(name, found)
    assert 0.6 < found[1] < 0.97
    np.testing.assert_allclose(found, found[1], atol=0.04)
