"""What the dead see and are paid changes nothing that is learned, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import DyingAgents

from jaxmarl_core.algos import (
    ac,
    coma,
    happo,
    hasac,
    hatrpo,
    il,
    ippo,
    iql,
    maddpg,
    mappo,
    mfac,
    qmix,
    qtran,
    qtran_alt,
    vdn,
)
from jaxmarl_core.algos.mean_field import options as mean_field
from jaxmarl_core.algos.off_policy import options as off_policy
from jaxmarl_core.algos.on_policy import engine as on_policy
from jaxmarl_core.algos.value_factorisation import options as factorised
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group


@struct.dataclass
class Haunted(DyingAgents):
    """The dead are shown `vision` and, once no more pay can come to them, paid `noise`.

    All other rewards are multiplied by `pay`.
    """

    vision: float = 0.0
    noise: float = 0.0
    pay: float = 1.0

    @property
    def groups(self):
        return {"agents": Group(self.num_agents, Box((1,)), Discrete(2))}

    def observe(self, state):
        timestep = DyingAgents.observe(self, state)
        alive = timestep.alive["agents"]
        seen = jnp.where(alive, 1.0, self.vision)[:, None]
        over = ~self._alive(state.step - 1)
        reward = jnp.where(over, self.noise, self.pay * timestep.reward["agents"])
        return timestep.replace(observation={"agents": seen}, reward={"agents": reward})


@struct.dataclass
class HauntedCrowd(Haunted):
    """The same as a mean-field world: of each agent, the mean action of all that were alive."""

    def mean_action(self, state, actions):
        alive = self._alive(state.step)[:, None]
        shares = (jax.nn.one_hot(actions["agents"], 2) * alive).sum(0) / 3
        return {"agents": jnp.broadcast_to(shares, (self.num_agents, 2))}

    def observe(self, state):
        timestep = Haunted.observe(self, state)
        shares = jnp.full((self.num_agents, 2), 0.5) * timestep.alive["agents"][:, None]
        return timestep.replace(mean_action={"agents": shares})


PPO = {"num_envs": 4, "rollout_length": 8, "num_minibatches": 2, "hidden": (4,)}
SEQUENCES = {
    "num_envs": 4,
    "rollout_length": 8,
    "capacity": 8,
    "batch_size": 8,
    "hidden": (4,),
    "memory_size": 0,
}
OFF_POLICY = {
    "num_envs": 4,
    "rollout_length": 8,
    "buffer_length": 16,
    "batch_size": 16,
    "hidden": (4,),
}
POPULATION = {
    "rollout_length": 8,
    "buffer_length": 16,
    "batch_size": 32,
    "hidden": (4,),
    "head_hidden": (4,),
}
LEARNERS = {
    "ac": lambda env: ac(env, mean_field.Config(**POPULATION)),
    "mfac": lambda env: mfac(env, mean_field.Config(**POPULATION, actor_mean_action=True)),
    "ippo": lambda env: ippo(env, on_policy.Config(**PPO)),
    "ippo, unshared": lambda env: ippo(env, on_policy.Config(**PPO, share="none")),
    "ippo, normalised": lambda env: ippo(env, on_policy.Config(**PPO, normalise_observation=True)),
    "mappo": lambda env: mappo(env, on_policy.Config(**PPO)),
    "mappo, agents": lambda env: mappo(env, on_policy.Config(**PPO, critic="agent")),
    "happo": lambda env: happo(env, on_policy.Config(**PPO)),
    "hatrpo": lambda env: hatrpo(env, on_policy.Config(**PPO)),
    "coma": lambda env: coma(env, on_policy.Config(num_envs=4, rollout_length=8, hidden=(4,))),
    "il": lambda env: il(env, mean_field.Config(**POPULATION)),
    "iql": lambda env: iql(env, factorised.Config(**SEQUENCES, reward="team")),
    "vdn, recurrent": lambda env: vdn(env, factorised.Config(**SEQUENCES | {"memory_size": 4})),
    "qmix": lambda env: qmix(env, factorised.Config(**SEQUENCES)),
    "maddpg": lambda env: maddpg(env, off_policy.Config(**OFF_POLICY, normalise_observation=True)),
    "hasac": lambda env: hasac(env, off_policy.Config(**OFF_POLICY, n_step=2)),
    "qtran": lambda env: qtran(env, factorised.Config(**SEQUENCES)),
    "qtran_alt": lambda env: qtran_alt(env, factorised.Config(**SEQUENCES)),
}


FAST = (
    "ippo, unshared",
    "mappo, agents",
    "il",
    "mfac",
    "vdn, recurrent",
    "hasac",
)  # an engine or two


@pytest.mark.fast(*FAST)
@pytest.mark.parametrize("name", LEARNERS)
def test_the_dead_teach_nothing(name):
    """NaN, or numbers that drown all others, where no learner may read: the same bits."""

    @jax.jit
    def learn(noise, vision, pay):  # leaves of the environment: one program for all of them
        world = HauntedCrowd if name == "mfac" else Haunted
        env = world(noise=noise, vision=vision, pay=pay)
        algorithm = LEARNERS[name](env)
        train, _ = make_train(algorithm, env, Schedule(5))
        state, _ = train(jax.random.key(0), algorithm.hparams)
        return state.params

    quiet = learn(0.0, 0.0, 1.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(quiet))
    for poison in (jnp.nan, 1e30):
        jax.tree.map(np.testing.assert_array_equal, quiet, learn(poison, poison, 1.0))
    pairs = zip(jax.tree.leaves(quiet), jax.tree.leaves(learn(0.0, 0.0, 2.0)))
    assert any((a != b).any() for a, b in pairs), "what the living are paid does matter"
