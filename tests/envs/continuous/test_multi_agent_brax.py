"""Joints are shared out as published, agents see what they should, and Brax moves the body."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import multi_agent_brax
from jaxmarl_core.envs.continuous.bodies import TASKS, body_of
from jaxmarl_core.envs.interop.extras import undisturbed

brax = pytest.importorskip("brax")

# JaxMARL's index lists of the actions (jaxmarl.environments.mabrax.mappings), by agent
PUBLISHED = {
    "ant_4x2": [[0, 1], [2, 3], [4, 5], [6, 7]],
    "halfcheetah_6x1": [[0], [1], [2], [3], [4], [5]],
    "hopper_3x1": [[0], [1], [2]],
    "humanoid_9|8": [[0, 1, 2, 11, 12, 13, 14, 15, 16], [3, 4, 5, 6, 7, 8, 9, 10]],
    "walker2d_2x3": [[0, 1, 2], [3, 4, 5]],
}
# The joints that Peng et al. list, neighbours by an edge, for each body (their figure 4)
EDGES = {
    "halfcheetah": "bfoot-bshin bshin-bthigh bthigh-fthigh fthigh-fshin fshin-ffoot",
    "ant": "hip_1-ankle_1 hip_2-ankle_2 hip_3-ankle_3 hip_4-ankle_4 "
    "hip_1-hip_2 hip_1-hip_3 hip_1-hip_4 hip_2-hip_3 hip_2-hip_4 hip_3-hip_4",
}


@cache
def built(task, **options):
    return multi_agent_brax(task, **options)


@cache
def body(task):
    return body_of(built(task).robot.sys.mj_model)


@pytest.mark.parametrize("task", TASKS)
def test_each_joint_belongs_to_one_agent(task):
    _, partition = TASKS[task]
    owned = sorted(joint for part in partition for joint in part)
    assert owned == sorted(set(owned))
    agents, each = len(partition), [len(part) for part in partition]
    count, _, size = task.rpartition("_")[2].partition("x")
    assert each == ([9, 8] if "|" in task else [int(size.rstrip("d"))] * int(count))
    assert agents == len(each)


@pytest.mark.fast("ant_4x2")
@pytest.mark.parametrize("task", ["hopper_3x1", "ant_4x2", "halfcheetah_6x1"])
def test_the_joints_are_those_of_the_model(task):
    _, partition = TASKS[task]
    assert sorted(joint for part in partition for joint in part) == sorted(body(task).joints)


@pytest.mark.parametrize("task", PUBLISHED)
def test_partitions_are_those_of_mabrax(task):
    found = {frozenset(part) for part in built(task).joints}
    assert found == {frozenset(part) for part in PUBLISHED[task]}


@pytest.mark.parametrize("task", ["halfcheetah_6x1", "ant_4x2"])
def test_neighbours_are_those_of_multi_agent_mujoco(task):
    robot, _ = TASKS[task]
    joints, steps = body(task).joints, body(task).distances()
    found = {frozenset((joints[i], joints[j])) for i, j in zip(*np.where(steps == 1))}
    assert found == {frozenset(edge.split("-")) for edge in EDGES[robot].split()}


def test_distances_add_up_along_the_body():
    chain = ("bfoot", "bshin", "bthigh", "fthigh", "fshin", "ffoot")
    places = body("halfcheetah_6x1").index(chain)
    steps = body("halfcheetah_6x1").distances()[np.ix_(places, places)]
    np.testing.assert_array_equal(steps, np.abs(np.subtract.outer(range(6), range(6))))


def test_joint_actions_find_their_joints():
    env = built("ant_4x2")
    own = jnp.arange(8.0).reshape(4, 2)  # legs 1 to 4, hip then ankle
    joints = body("ant_4x2").joints
    joined = env.joint_action({"agents": own})
    for leg in range(4):
        assert joined[joints.index(f"hip_{leg + 1}")] == 2 * leg
        assert joined[joints.index(f"ankle_{leg + 1}")] == 2 * leg + 1


def test_agents_see_their_joints_and_their_neighbours():
    """By names: each coordinate is numbered, so that what is seen says what it is."""
    env, model = built("halfcheetah_6x1"), body("halfcheetah_6x1")
    assert env.robot.sys.q_size() == env.robot.sys.qd_size() == 9  # x, z, pitch and six joints
    angle = dict(zip(model.joints, model.angle))
    own = env.joints.index(model.index(("bshin",)))
    q, qd = env.observed[own]
    assert q == (1, 2, angle["bshin"], angle["bthigh"], angle["bfoot"])
    assert qd == (0, 1, 2, angle["bshin"])
    assert {name: (g.size, g.observation.shape) for name, g in env.groups.items()} == {
        "agents_0": (4, (5 + 4 + 6,)),  # thighs and shins: two neighbours
        "agents_1": (2, (4 + 4 + 6,)),  # feet: one
    }
    alone = built("halfcheetah_6x1", distance=0)
    assert alone.groups["agents"].observation.shape == (3 + 4 + 6,)


def test_hopper_sees_as_in_mabrax():
    # JaxMARL's lists index q[1:] (5) and then qd (6)
    published = [[0, 1, 2, 3, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6, 7, 9], [0, 1, 3, 4, 5, 6, 7, 10]]
    for (q, qd), expected in zip(built("hopper_3x1").observed, published):
        assert sorted([i - 1 for i in q] + [5 + i for i in qd]) == expected


def test_a_body_that_turns_freely_hides_its_place():
    env = built("ant_4x2")
    q, qd = env.observed[0]
    assert q[:5] == (2, 3, 4, 5, 6)  # height and quaternion, not x and y
    assert qd[:6] == (0, 1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def played():
    """Three steps of the hopper beside Brax's own: (env, [(state, time step, Brax state)])."""
    env = built("hopper_3x1", max_steps=3)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    theirs = undisturbed()(jax.jit(env.robot.step))
    key = jax.random.key(0)
    state, timestep = reset(key)
    with undisturbed():
        inner = jax.jit(env.robot.reset)(key)
    rows = [(state, timestep, inner)]
    for t in range(3):
        torque = jax.random.uniform(jax.random.fold_in(key, t), (3,), minval=-1, maxval=1)
        actions = {"agents_0": torque[jnp.array([0, 2]), None], "agents_1": torque[1, None, None]}
        state, timestep = step(key, state, actions)
        inner = theirs(inner, torque)
        rows.append((state, timestep, inner))
    return env, rows


@pytest.mark.slow
def test_steps_are_those_of_brax(played):
    env, rows = played
    for state, timestep, inner in rows:
        np.testing.assert_array_equal(state.observation, inner.obs)
        np.testing.assert_array_equal(timestep.state, inner.obs)
        for name, group in env.groups.items():
            np.testing.assert_array_equal(timestep.reward[name], [inner.reward] * group.size)
        jax.tree.map(np.testing.assert_array_equal, state.physics.q, inner.pipeline_state.q)


@pytest.mark.slow
def test_what_is_seen_is_in_the_physics(played):
    _, rows = played
    for state, timestep, _ in rows:
        q, qd = np.asarray(state.physics.q), np.asarray(state.physics.qd)
        thigh = np.concatenate([q[[1, 2, 3, 4]], qd[[0, 1, 2, 3]], [1, 0, 0]])
        leg = np.concatenate([q[[1, 2, 4, 3, 5]], qd[[0, 1, 2, 4]], [0, 1, 0]])
        foot = np.concatenate([q[[1, 2, 5, 4]], qd[[0, 1, 2, 5]], [0, 0, 1]])
        np.testing.assert_array_equal(timestep.observation["agents_0"], [thigh, foot])
        np.testing.assert_array_equal(timestep.observation["agents_1"], [leg])


@pytest.mark.slow
def test_a_fall_ends_and_a_time_limit_cuts_off(played):
    env, rows = played
    _, timestep, _ = rows[-1]
    assert timestep.last
    np.testing.assert_array_equal(timestep.discount["agents_0"], [1, 1])
    fallen = env.observe(rows[0][0].replace(unhealthy=jnp.bool_(True)))
    assert fallen.last
    np.testing.assert_array_equal(fallen.discount["agents_0"], [0, 0])
    # lower than Brax's healthy 0.7 m: the step itself must notice
    low = rows[0][0]
    q = low.physics.q.at[1].add(-1.0)
    with undisturbed():
        sunk = low.replace(physics=jax.jit(env.robot.pipeline_init)(q, low.physics.qd))
    still = {name: jnp.zeros((g.size, 1)) for name, g in env.groups.items()}
    assert jax.jit(env.advance)(jax.random.key(1), sunk, still).unhealthy


def test_full_observations_differ_by_who_looks():
    env = built("hopper_3x1", observability="full")
    assert env.groups["agents"].observation.shape == (11 + 3,)
    state = jax.eval_shape(env.initial, jax.random.key(0))
    state = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), state)
    seen = env.observe(state).observation["agents"]
    np.testing.assert_array_equal(seen[:, :11], np.ones((3, 11)))
    np.testing.assert_array_equal(seen[:, 11:], np.eye(3))


def test_no_log_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    multi_agent_brax("halfcheetah_2x3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": "halfcheeta_6x1"}, "task: .*did you mean 'halfcheetah_6x1'"),
        ({"observability": "ful"}, "observability: .*did you mean 'full'"),
        ({"backend": "springs"}, "backend: .*did you mean 'spring'"),
        ({"distance": -1}, "distance: expected at least 0, got -1"),
        ({"max_steps": 0}, "max_steps: expected at least 1, got 0"),
        ({"settings": {"ctrl_cost": 1}}, "settings: .*did you mean 'ctrl_cost_weight'"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        multi_agent_brax(**options)
