"""What agents who share can learn, what critics see, and what actions may be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import MixedGroups

from jaxmarl_core.algos import ippo, mappo
from jaxmarl_core.algos.on_policy.critic_inputs import agent_inputs, own_inputs, team_inputs
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import matrix_game, simple_tag
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

SMALL = {"num_envs": 32, "rollout_length": 4, "num_minibatches": 1, "hidden": (16,)}


def trained(algorithm, env, num_updates, num_seeds, **hparams):
    train, _ = make_train(algorithm, env, Schedule(num_updates, num_updates, 256, 10))
    hparams = {name: jnp.float32(value) for name, value in hparams.items()}
    run = lambda key: train(key, algorithm.hparams.replace(**hparams))[1]
    metrics = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), num_seeds))
    return np.asarray(metrics["eval_return"][:, -1])


@pytest.mark.slow
def test_agents_who_share_differ_by_their_number():
    """The trap for shared policies is none to one that knows who asks; see test_traps.py."""
    env = matrix_game("shared_policy_trap", num_agents=2, penalty=0.0)
    for agent_ids, expected in ((False, 0.0), (True, 2.0)):  # greedy, both agents' rewards
        config = Config(**SMALL, agent_ids=agent_ids)
        found = trained(mappo(env, config), env, 60, 4, learning_rate=1e-2)
        np.testing.assert_array_equal(found, expected)


def test_a_team_earns_its_mean_and_goes_on_while_pay_can_come_to_one_of_it():
    env = MixedGroups()
    stacks = agent_stacks(env, "group", False)
    (critic,) = team_inputs(env, stacks)
    assert critic.size == 2 and critic.place == {"choosers": [0, 0], "aimer": [1]}
    timestep = env.reset(jax.random.key(0))[1]
    two = timestep.replace(
        reward={"choosers": jnp.array([1.0, 3.0]), "aimer": jnp.array([-5.0])},
        discount={"choosers": jnp.array([0.0, 1.0]), "aimer": jnp.array([0.0])},
        alive={"choosers": jnp.zeros(2, bool), "aimer": jnp.array([False])},
    )
    np.testing.assert_allclose(critic.reward(two, 0), [2.0, -5.0])
    np.testing.assert_allclose(critic.discount(two, 0), [1.0, 0.0])
    over = two.replace(discount={"choosers": jnp.zeros(2), "aimer": jnp.zeros(1)})
    np.testing.assert_allclose(critic.discount(over, 0), [0.0, 0.0])
    inputs = critic.observation(two, 0)
    np.testing.assert_array_equal(inputs["state"], [timestep.state])  # one for both
    np.testing.assert_array_equal(inputs["team"], [0, 1])


def test_critics_see_what_their_inputs_say():
    env = simple_tag()
    stacks = agent_stacks(env, "none", False)
    timestep = env.reset(jax.random.key(0))[1]
    for critic, stack in zip(agent_inputs(env, stacks), stacks):
        inputs = critic.observation(timestep, 0)
        for i in range(stack.size):
            np.testing.assert_array_equal(inputs["state"][i], timestep.state)
        np.testing.assert_array_equal(inputs["observation"], timestep.observation[stack.name])
        np.testing.assert_array_equal(inputs["number"], np.arange(stack.size))
        assert critic.separate
    for critic, stack in zip(own_inputs(env, stacks), stacks):
        np.testing.assert_array_equal(
            critic.observation(timestep, 0), timestep.observation[stack.name]
        )


@struct.dataclass
class TwoHandsState:
    target: jax.Array  # [] f32
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class TwoHands(StateEnvironment):
    """One agent does three things at once: two choices and an aim, each told by what it sees."""

    @property
    def groups(self):
        action = Composite({"sign": Discrete(2), "far": Discrete(3), "aim": Box((1,), -1.0, 1.0)})
        return {"agents": Group(1, Box((4,)), action)}

    def initial(self, key):
        return TwoHandsState(jax.random.uniform(key, minval=-1), jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        done = actions["agents"]
        far = (jnp.abs(state.target) > 0.5).astype(jnp.int32)
        reward = (done["sign"][0] == (state.target > 0)) + 1.0 * (done["far"][0] == far)
        reward = reward - (done["aim"][0, 0] - state.target) ** 2
        return TwoHandsState(
            jax.random.uniform(key, minval=-1), reward.astype(jnp.float32), state.step + 1
        )

    def observe(self, state):
        over = state.step >= 4
        return TimeStep(
            observation={"agents": jnp.append(state.target, jnp.array([1.0, 0.0, -1.0]))[None]},
            action_mask={},
            alive={"agents": jnp.ones(1, bool)},
            state=state.target[None],
            reward={"agents": state.reward[None]},
            discount={"agents": 1.0 - over[None]},
            last=over,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"scale": "network", "squash": False}, {"layer_norm": True, "activation": "relu"}],
    ids=["by default", "deviations by the network", "normalised layers"],
)
def test_composite_actions_are_learnt_part_by_part(options):
    """At best 8 in four steps; random play has 2 + 4/3 - 8/3 = 0.67."""
    env = TwoHands()
    config = Config(**SMALL | {"rollout_length": 16}, **options)
    rates = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2}
    found = trained(ippo(env, config), env, 120, 4, **rates)
    assert (found > 6.5).all(), found
