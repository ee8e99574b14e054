"""By default a policy is learnt alike whatever the unit of rewards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.algos import coma, haa2c, happo, hatrpo, ia2c, ippo, maa2c, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

NUM_SEEDS = 4


@struct.dataclass
class WeatherState:
    weather: jax.Array  # [] f32
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class Weather(StateEnvironment):
    """Two agents are paid for the weather, which they see, and a little for action 1; in `unit`.

    unit (4 weather + the share of actions that are 1), the weather being uniform in [-1, 1] anew
    for each of three steps. Only a critic that has learnt the weather's worth sees what actions
    add.
    """

    unit: float = 1.0

    @property
    def groups(self):
        return {"agents": Group(2, Box((2,)), Discrete(2), common_reward=True)}

    def initial(self, key):
        weather = jax.random.uniform(key, minval=-1.0)
        return WeatherState(weather, jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        reward = self.unit * (4 * state.weather + actions["agents"].mean())
        return WeatherState(jax.random.uniform(key, minval=-1.0), reward, state.step + 1)

    def observe(self, state):
        last = state.step >= 3
        seen = jnp.stack([state.weather, state.step / 3])
        return TimeStep(
            observation={"agents": jnp.stack([seen, seen])},
            action_mask={},
            alive={"agents": jnp.ones(2, bool)},
            state=seen,
            reward={"agents": jnp.full(2, state.reward)},
            discount={"agents": jnp.full(2, 1.0 - last)},
            last=last,
        )


RECIPES = {
    "ippo": (ippo, 20, 1e-3),
    "coma": (coma, 100, 1e-2),
    "happo": (happo, 20, 1e-3),
    "hatrpo": (hatrpo, 10, None),
    "haa2c": (haa2c, 40, 1e-2),
    "ia2c": (ia2c, 40, 1e-2),
    "maa2c": (maa2c, 40, 1e-2),
    "mappo": (mappo, 20, 1e-3),
}
QUICK = ("ippo",)


def learnt(name, options=None, **numbers):
    """The program unit -> how probable action 1 is after learning, the mean over seeds."""
    build, num_updates, rate = RECIPES[name]
    numbers = numbers if rate is None else numbers | {"learning_rate": rate}

    def run(unit):  # a leaf of the environment: one program for all units
        env = Weather(unit)
        algorithm = build(env, Config(num_envs=16, rollout_length=8, hidden=(8,), **options or {}))
        train, _ = make_train(algorithm, env, Schedule(num_updates))
        hparams = algorithm.hparams.replace(**{n: jnp.float32(x) for n, x in numbers.items()})

        def chance(key):
            params = train(key, hparams)[0].params
            first, memory = env.reset(key)[1], algorithm.policy.memory()
            act = lambda key: algorithm.policy.act(params, key, first, memory)[0]["agents"]
            return jax.vmap(act)(jax.random.split(key, 1000)).mean()

        return jax.vmap(chance)(jax.random.split(jax.random.key(0), NUM_SEEDS)).mean()

    return jax.jit(run)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
)
def test_a_hundredfold_or_a_hundredth_of_the_reward_is_the_same_game(name):
    """Compared half-way, before all policies are near the one optimum."""
    run = learnt(name, {"num_critic_epochs": 8} if name == "coma" else None)
    found = [float(run(unit)) for unit in (0.01, 1.0, 100.0)]
    assert 0.55 < found[1] < 0.98, found
    np.testing.assert_allclose(found, found[1], atol=0.01)
