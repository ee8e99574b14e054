"""The probe worlds are what they say: else the algorithms tested on them prove nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, DyingAgents, MixedGroups, OneBitMemory

KEY = jax.random.key(0)
WORLDS = [ConstantReward(2), ConstantReward(1, 3, True), OneBitMemory(2), MixedGroups()]
WORLDS.append(DyingAgents())


def episode(env, act, length, key=KEY):
    """The first time step and those of `length` steps, [length, ...], with act(key, time step)."""
    state, first = env.reset(key)

    def step(carry, key):
        state, timestep = env.step(key, carry[0], act(key, carry[1]))
        return (state, timestep), timestep

    _, rest = jax.lax.scan(step, (state, first), jax.random.split(key, length))
    return first, rest


@pytest.mark.parametrize("env", WORLDS, ids=lambda env: type(env).__name__)
def test_random_play_stays_in_spec(env):
    def act(key, timestep):
        return {
            name: jax.vmap(group.action.sample)(jax.random.split(key, group.size))
            for name, group in env.groups.items()
        }

    first, rest = episode(env, act, 6)
    for name, group in env.groups.items():
        assert group.observation.contains(np.asarray(first.observation[name]))
        assert group.observation.contains(np.asarray(rest.observation[name]))
        assert rest.reward[name].shape == rest.discount[name].shape == (6, group.size)
    assert not first.last
    assert rest.last[-1]


@pytest.mark.parametrize(("truncate", "end"), [(True, 1.0), (False, 0.0)])
def test_constant_reward_ends_as_told(truncate, end):
    env = ConstantReward(1, 3, truncate)
    first, rest = episode(env, lambda key, t: {"agents": jnp.zeros(1, jnp.int32)}, 3)
    assert first.reward["agents"] == 0
    np.testing.assert_array_equal(rest.reward["agents"][:, 0], [1, 1, 1])
    np.testing.assert_array_equal(rest.discount["agents"][:, 0], [1, 1, end])
    np.testing.assert_array_equal(rest.last, [False, False, True])


def test_one_bit_memory_pays_those_who_remember():
    env = OneBitMemory(2, delay=2)

    def total(key, remembers):
        bit = env.reset(key)[1].observation["agents"]
        answer = bit if remembers else jnp.zeros(2, jnp.int32)
        _, rest = episode(env, lambda key, t: {"agents": answer}, 3, key)
        return rest.reward["agents"].sum(0), rest.observation["agents"], rest.last

    keys = jax.random.split(KEY, 300)
    paid, seen, last = jax.vmap(total, (0, None))(keys, True)
    np.testing.assert_array_equal(paid, 1)
    np.testing.assert_array_equal(seen, 2)
    np.testing.assert_array_equal(last, [[False, False, True]] * 300)
    paid, _, _ = jax.vmap(total, (0, None))(keys, False)
    np.testing.assert_allclose(paid.mean(), 0.5, atol=0.1)  # 600 draws: 5 standard deviations


def test_mixed_groups_pay_the_best_policy_its_bound():
    def act(key, timestep):
        target = timestep.observation["aimer"][:, :1]
        return {"choosers": timestep.observation["choosers"], "aimer": target}

    _, rest = episode(MixedGroups(4), act, 4)
    np.testing.assert_array_equal(rest.reward["choosers"], np.ones((4, 2)))
    np.testing.assert_allclose(rest.reward["aimer"], np.zeros((4, 1)))


def test_dying_agents_die_in_order():
    ones = {"agents": jnp.ones(3, jnp.int32)}
    _, rest = episode(DyingAgents(3), lambda key, t: ones, 3)
    alive = [[False, True, True], [False, False, True], [False, False, False]]
    np.testing.assert_array_equal(rest.alive["agents"], alive)
    np.testing.assert_array_equal(rest.discount["agents"], alive)
    # the last step of a life is still paid
    np.testing.assert_array_equal(rest.reward["agents"], [[1, 1, 1], [0, 1, 1], [0, 0, 1]])
