"""Rows of a rollout: what is in which one, and how rollouts join."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import OneBitMemory, Plain

from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.rollout import acting, begin, begin_anew, joint_rows, rollout
from jaxmarl_core.play.wrappers import AutoReset, episodic

ENV = episodic(OneBitMemory(2, delay=2))  # 3 steps, 4 rows an episode


def count(key, timestep, memory):
    """Acts 0 and counts its own steps in memory, telling them beside."""
    return {"agents": jnp.zeros(2, jnp.int32)}, memory + 1, memory


@pytest.fixture(scope="module")
def counted():
    play = begin(jax.random.key(0), ENV, jnp.int32(10))
    return jax.jit(lambda key, play: rollout(key, ENV, count, play, 9, jnp.int32(10)))(
        jax.random.key(1), play
    )


def test_memory_starts_anew_with_each_episode(counted):
    play, steps = counted
    np.testing.assert_array_equal(steps.extras, [10, 11, 12, 13, 10, 11, 12, 13, 10])
    assert play.memory == 11


def test_rows_hold_what_was_seen_when_acting(counted):
    _, steps = counted
    np.testing.assert_array_equal(steps.timestep.last, [False, False, False, True] * 2 + [False])
    seen = np.asarray(steps.timestep.observation["agents"])
    assert (seen[[0, 4, 8]] < 2).all()
    assert (seen[[1, 2, 3, 5, 6, 7]] == 2).all()
    assert steps.actions["agents"].shape == (9, 2)


def test_reward_stands_one_row_after_its_action(counted):
    _, steps = counted
    bit = np.asarray(steps.timestep.observation["agents"])[[0, 4]]
    reward = np.asarray(steps.timestep.reward["agents"])
    np.testing.assert_array_equal(reward[[3, 7]], bit == 0)  # the action was 0
    np.testing.assert_array_equal(np.delete(reward, [3, 7], axis=0), 0)


def test_play_begins_anew_only_where_its_episode_is_over(counted):
    play, _ = counted
    anew = jax.jit(lambda key, play: begin_anew(key, ENV, play, jnp.int32(10)))
    jax.tree.map(np.testing.assert_array_equal, anew(jax.random.key(3), play), play)
    over, _ = rollout(jax.random.key(2), ENV, count, play, 2, jnp.int32(10))
    assert over.timestep.last
    fresh = anew(jax.random.key(3), over)
    assert not fresh.timestep.last and (fresh.timestep.observation["agents"] < 2).all()
    assert fresh.memory == 10 and fresh.timestep.extras["episode"].length == 0
    _, more = rollout(jax.random.key(4), ENV, count, fresh, 4, jnp.int32(10))
    np.testing.assert_array_equal(more.timestep.last, [False, False, False, True])


def test_the_final_play_is_the_next_row(counted):
    play, _ = counted
    _, more = rollout(jax.random.key(2), ENV, count, play, 1, jnp.int32(10))
    np.testing.assert_array_equal(
        more.timestep.observation["agents"][0], play.timestep.observation["agents"]
    )
    assert more.extras[0] == 11


def test_acting_takes_the_policy_or_its_mode():
    policy = random_policy(ENV)._replace(
        greedy=lambda params, key, timestep, memory: ({"agents": params + jnp.zeros(2)}, memory)
    )
    _, timestep = ENV.reset(jax.random.key(0))
    actions, memory, extras = acting(policy, 3.0, greedy=True)(jax.random.key(0), timestep, "m")
    np.testing.assert_array_equal(actions["agents"], [3.0, 3.0])
    assert (memory, extras) == ("m", ())
    drawn = acting(policy, 3.0)(jax.random.key(0), timestep, ())[0]["agents"]
    assert set(np.asarray(drawn).tolist()) <= {0, 1}


def test_where_states_do_not_show_it_play_goes_on_as_in_one_rollout():
    env = AutoReset(Plain(OneBitMemory(2, delay=2)))
    play = begin(jax.random.key(0), env, jnp.int32(10))
    go = jax.jit(lambda play: rollout(jax.random.key(1), env, count, play, 3, jnp.int32(10)))
    once, first = go(play)
    twice, then = go(once)
    assert jax.tree.structure(play) == jax.tree.structure(once) == jax.tree.structure(twice)
    lasts = np.append(first.timestep.last, then.timestep.last)
    np.testing.assert_array_equal(lasts, [False, False, False, True, False, False])


def test_vmapped_rollouts_are_those_alone():
    act = acting(random_policy(ENV), ())
    alone = lambda key: rollout(key, ENV, act, begin(key, ENV, ()), 5)[1]
    keys = jax.random.split(jax.random.key(3), 3)
    together = jax.jit(jax.vmap(alone))(keys)
    one = jax.jit(alone)(keys[1])
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[1], y), together, one)


def test_joint_rows_are_the_rows_and_the_one_after_them(counted):
    play, steps = counted
    joint = joint_rows(steps.timestep, play.timestep)
    np.testing.assert_array_equal(joint.last, [False, False, False, True] * 2 + [False] * 2)
    assert jax.tree.structure(joint) == jax.tree.structure(play.timestep)
    head, tail = (jax.tree.map(lambda x, i=i: x[i], joint) for i in (slice(None, -1), -1))
    jax.tree.map(np.testing.assert_array_equal, (head, tail), (steps.timestep, play.timestep))
