"""A continuous game that traps who learns from old play, over eight seeds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.algos import haddpg, hasac, hatd3, iddpg, maddpg
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player
from jaxmarl_core.spaces import Box
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

NUM_SEEDS = 8


def trained(algorithm, env, num_updates, **hparams):
    """The parameters of all seeds after learning, leaves [NUM_SEEDS, ...]."""
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hp = algorithm.hparams.replace(**{name: jnp.float32(x) for name, x in hparams.items()})
    keys = jax.random.split(jax.random.key(0), NUM_SEEDS)
    return jax.jit(jax.vmap(lambda key: train(key, hp)[0].params))(keys)


@struct.dataclass
class RidgeState:
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class Ridge(StateEnvironment):
    """Two who are paid for going up together, and lose more by going apart; one step.

        (a_1 + a_2) / 2 - steepness (a_1 - a_2)^2,   best at (1, 1), where it is 1

    What an agent earns on average over what the other was seen to do falls as soon as it leaves
    the middle of that: who learns from old play stays there.
    """

    steepness: float = 4.0

    @property
    def groups(self):
        return {"agents": Group(2, Box((1,)), Box((1,), -1.0, 1.0), common_reward=True)}

    def initial(self, key):
        return RidgeState(jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        a, b = actions["agents"][:, 0]
        return RidgeState((a + b) / 2 - self.steepness * (a - b) ** 2, state.step + 1)

    def observe(self, state):
        last = state.step >= 1
        return TimeStep(
            observation={"agents": jnp.ones((2, 1))},
            action_mask={},
            alive={"agents": jnp.ones(2, bool)},
            state=jnp.ones(1),
            reward={"agents": jnp.full(2, state.reward)},
            discount={"agents": jnp.full(2, 1.0 - last, jnp.float32)},
            last=last,
        )


@pytest.fixture(scope="module")
def climbed():
    """learner -> what greedy play is worth after learning, [NUM_SEEDS]."""
    env = Ridge()
    config = Config(
        num_envs=8,
        rollout_length=10,
        num_gradient_steps=10,
        batch_size=64,
        buffer_length=4000,
        hidden=(32, 32),
    )
    found = {}
    for build in (iddpg, maddpg, haddpg, hatd3, hasac):
        algorithm = build(env, config)
        explores = {"noise": 0.5, "final_noise": 0.5, "output_penalty": 0.0}
        if algorithm.hparams.noise is None:
            explores = {"entropy": 0.01}
        params = trained(algorithm, env, 400, learning_starts=4000, tau=0.02, **explores)
        play = lambda params, algorithm=algorithm: evaluate(
            jax.random.key(0), env, Player(algorithm.policy, params), 1, 2, True
        ).returns[0, 0]
        found[build.__name__] = np.asarray(jax.jit(jax.vmap(play))(params))
    print({name: np.round(x, 2) for name, x in found.items()})
    return found


@pytest.mark.slow
def test_who_climbs_with_the_others_as_they_are_finds_the_top_of_a_ridge(climbed):
    for name in ("haddpg", "hatd3"):
        assert (climbed[name] > 0.95).all(), (name, climbed[name])
    # a soft policy is wanted to be uncertain, and so stays a little off the bound
    assert (climbed["hasac"] > 0.85).all(), climbed["hasac"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iddpg", "maddpg"])
def test_who_climbs_with_the_others_as_they_were_stays_below(climbed, name):
    """MADDPG's critic knows the ridge, but its actors are moved along the others' old actions."""
    assert (climbed[name] < 0.5).all(), climbed[name]
