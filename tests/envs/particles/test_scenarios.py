"""Sizes, resets, symmetries, events and mistakes, beyond what the recordings show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.envs.interop.extras import undisturbed
from jaxmarl_core.envs.particles import (
    collect_treasure,
    rover_tower,
    simple_adversary,
    simple_formation,
    simple_reference,
    simple_spread,
    simple_tag,
    simple_world_comm,
)

MISTAKES = [
    ("simple", {"max_steps": 0}, "max_steps: expected an integer of at least 1, got 0"),
    ("simple", {"max_steps": 2.5}, "max_steps: expected an integer"),
    ("simple", {"actions": "discreet"}, "actions: .*did you mean 'discrete'"),
    ("simple_push", {"integration": "mpe3"}, "integration: .*did you mean 'mpe2'"),
    ("simple_spread", {"num_agents": 0}, "num_agents: expected"),
    ("simple_spread", {"num_agents": True}, "num_agents: expected"),
    ("simple_spread", {"local_ratio": 1.5}, r"local_ratio: expected a share in \[0, 1\], got 1.5"),
    ("simple_reference", {"local_ratio": -0.1}, "local_ratio: expected"),
    ("simple_adversary", {"num_agents": 0}, "num_agents: expected"),
    ("simple_tag", {"num_good": 0}, "num_good: expected"),
    ("simple_tag", {"num_adversaries": 0}, "num_adversaries: expected"),
    ("simple_tag", {"num_obstacles": -1}, "num_obstacles: expected an integer of at least 0"),
    ("simple_world_comm", {"num_adversaries": 1}, "num_adversaries: .* at least 2"),
    ("simple_world_comm", {"num_food": 0}, "num_food: expected"),
    ("simple_world_comm", {"num_forests": -1}, "num_forests: expected"),
    ("simple_formation", {"num_agents": 11}, r"num_agents: expected in 1..10, got 11"),
    ("simple_line", {"num_agents": 11}, r"num_agents: expected in 1..10, got 11"),
    ("collect_treasure", {"num_collectors": 0}, "num_collectors: expected"),
    ("collect_treasure", {"num_deposits": 0}, "num_deposits: expected"),
    ("collect_treasure", {"num_treasures": 0}, "num_treasures: expected"),
    ("rover_tower", {"num_pairs": 0}, "num_pairs: expected"),
    ("rover_tower", {"num_landmarks": 0}, "num_landmarks: expected"),
    ("rover_tower", {"num_words": 0}, "num_words: expected"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_mistakes_name_the_argument(name, options, message):
    with pytest.raises(ValueError, match=message):
        ENVIRONMENTS[name](**options)


def many(env, num=400):
    """Returns first states [num, ...]."""
    return jax.jit(jax.vmap(env.initial))(jax.random.split(jax.random.key(0), num))


@pytest.mark.parametrize(
    ("env", "spread"),
    [
        (simple_spread(), 1),
        (simple_tag(), 0.9),
        (simple_formation(), 0.5),
        (collect_treasure(), 0.95),
    ],
    ids=lambda x: type(x).__name__,
)
def test_worlds_begin_uniformly_spread_at_rest_and_silent(env, spread):
    states = many(env)
    for places, bound in ((states.position, 1), (states.landmark, spread)):
        share = (np.asarray(places).reshape(-1) / bound + 1) / 2
        assert share.min() >= 0
        assert share.max() <= 1
        tenth = np.histogram(share, 10, (0, 1))[0] / share.size
        np.testing.assert_allclose(tenth, 0.1, atol=5 * np.sqrt(0.09 / share.size))
    assert not np.any(states.velocity)
    assert not np.any(states.message)


def test_goals_and_pairs_are_drawn_evenly():
    goal = many(simple_adversary(num_agents=3), 900).memory
    np.testing.assert_allclose(np.bincount(goal) / 900, 1 / 3, atol=0.08)
    both = many(simple_reference(), 900).memory
    np.testing.assert_allclose(np.bincount(both[:, 0] * 3 + both[:, 1]) / 900, 1 / 9, atol=0.05)
    pairs = many(rover_tower(num_pairs=3), 900).memory
    np.testing.assert_array_equal(np.sort(pairs.rover, axis=-1), np.tile([0, 1, 2], (900, 1)))
    orders = np.bincount(pairs.rover @ np.array([9, 3, 1]))
    np.testing.assert_allclose(orders[orders > 0] / 900, 1 / 6, atol=0.06)


@pytest.mark.parametrize("integration", ["mpe2", "legacy"])
def test_the_order_of_agents_means_nothing(integration):
    """Agents of a team in another order: the same world, in that order."""
    env = simple_spread(num_agents=4, integration=integration)
    order = np.array([2, 0, 3, 1])
    state, _ = jax.jit(env.reset)(jax.random.key(3))
    state = state.replace(position=state.position * 0.3)  # in touch
    action = jnp.array([1, 2, 3, 4])
    step = jax.jit(env.step)
    after, timestep = step(jax.random.key(0), state, {"agents": action})
    turned = state.replace(position=state.position[order])
    after_turned, timestep_turned = step(jax.random.key(0), turned, {"agents": action[order]})
    np.testing.assert_allclose(after_turned.velocity, after.velocity[order], atol=1e-5)
    reward, reward_turned = timestep.reward["agents"], timestep_turned.reward["agents"]
    np.testing.assert_allclose(reward_turned, reward[order], atol=1e-5)
    assert len(set(np.asarray(reward).tolist())) > 1


def test_the_legacy_engine_lets_everyone_collide_with_itself():
    """HARL's constant: 3 agents x 25 steps x 0.5 x (-1) = -37.5."""
    new, old = simple_spread(), simple_spread(integration="legacy")
    state, _ = jax.jit(new.reset)(jax.random.key(0))
    state = state.replace(time=jnp.int32(1))
    gap = old.observe(state).reward["agents"] - new.observe(state).reward["agents"]
    np.testing.assert_allclose(25 * gap.sum(), -37.5, rtol=1e-5)


def test_covering_all_landmarks_is_success():
    env = simple_spread(num_agents=2, terminate_on_success=True)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    state = state.replace(position=state.landmark[::-1] + 0.05, time=jnp.int32(3))
    done = env.observe(state)
    assert done.last
    np.testing.assert_array_equal(done.discount["agents"], 0)
    assert not env.observe(state.replace(position=state.landmark[::-1] + 0.08)).last
    assert not env.observe(state.replace(time=jnp.int32(0))).last
    assert not simple_spread(num_agents=2).observe(state).last


def theirs_after_a_step(world, state, actions):
    """Returns JaxMARL's observations and rewards one step after one of our states."""
    place = np.concatenate([state.position, state.landmark])
    velocity = np.concatenate([state.velocity, np.zeros_like(state.landmark)])
    _, inner = jax.jit(world.reset)(jax.random.key(0))
    inner = inner.replace(p_pos=jnp.asarray(place), p_vel=jnp.asarray(velocity))
    joint = np.concatenate([actions[name] for name in actions])
    named = {agent: joint[i] for i, agent in enumerate(world.agents)}
    observation, _, reward, *_ = world.step_env(jax.random.key(0), inner, named)
    return [observation[a] for a in world.agents], [reward[a] for a in world.agents]


@pytest.mark.fast("spread")
@pytest.mark.parametrize(
    ("env", "name", "sizes"),
    [
        (
            simple_spread(num_agents=5),
            "MPE_simple_spread_v3",
            {"num_agents": 5, "num_landmarks": 5},
        ),
        (
            simple_tag(num_adversaries=2, num_obstacles=3),
            "MPE_simple_tag_v3",
            {"num_adversaries": 2, "num_obs": 3},
        ),
    ],
    ids=["spread", "tag"],
)
def test_other_sizes_agree_with_jaxmarl(env, name, sizes):
    with undisturbed():
        jaxmarl = pytest.importorskip("jaxmarl")
        world, step, reset = jaxmarl.make(name, **sizes), jax.jit(env.step), jax.jit(env.reset)
        for seed in range(3):
            rng = np.random.default_rng(seed)
            state, _ = reset(jax.random.key(seed))
            velocity = rng.uniform(-0.5, 0.5, state.velocity.shape).astype(np.float32)
            state = state.replace(position=state.position * 0.4, velocity=jnp.asarray(velocity))
            actions = {
                key: jnp.asarray(rng.integers(0, 5, group.size))
                for key, group in env.groups.items()
            }
            _, ours = step(jax.random.key(0), state, actions)
            observation, reward = theirs_after_a_step(world, state, actions)
            mine = [row for key in env.groups for row in ours.observation[key]]
            paid = [pay for key in env.groups for pay in ours.reward[key]]
            for a, b in zip(mine, observation, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(paid, np.array(reward), rtol=1e-4, atol=1e-4)


def test_tag_of_several_prey_by_a_loop():
    env = simple_tag(num_good=2, num_adversaries=2, num_obstacles=1)
    state, _ = jax.jit(env.reset)(jax.random.key(4))
    place = np.array([[0.0, 0.0], [0.1, 0.05], [0.95, -1.2], [0.06, 0.0]], np.float32)
    velocity = np.arange(8, dtype=np.float32).reshape(4, 2) / 10
    state = state.replace(position=jnp.array(place), velocity=jnp.array(velocity))
    timestep = env.observe(state.replace(time=jnp.int32(1)))
    rows = [row for key in env.groups for row in timestep.observation[key]]
    for i, row in enumerate(rows):
        others = [j for j in range(4) if j != i]
        expected = [velocity[i], place[i], state.landmark[0] - place[i]]
        expected += [place[j] - place[i] for j in others]
        expected += [velocity[j] for j in others if j >= 2]
        np.testing.assert_allclose(row, np.concatenate(expected), atol=1e-6)
    # both adversaries touch the second agent; the first is out: (0.95 - 0.9) 10 + exp(2.4 - 2)
    np.testing.assert_array_equal(timestep.reward["adversaries"], 20)
    np.testing.assert_allclose(timestep.reward["agents"], [-0.5 - np.exp(0.4), -20], rtol=1e-5)


def treasure_world(collectors, treasure, kinds, holding=(-1, -1)):
    """Returns a world of two collectors and two deposits far away, with treasure where told."""
    env = collect_treasure(num_collectors=2, num_deposits=2, num_treasures=2)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    places = jnp.array([*collectors, (0.9, 0.9), (-0.9, -0.9)], jnp.float32)
    memory = state.memory.replace(
        kind=jnp.array(kinds, jnp.int32), holding=jnp.array(holding, jnp.int32)
    )
    state = state.replace(position=places, landmark=jnp.array(treasure), memory=memory)
    stay = {"collectors": jnp.zeros(2, int), "deposits": jnp.zeros(2, int)}
    step = jax.jit(env.step)
    return env, state, lambda state: step(jax.random.key(5), state, stay)


def test_the_first_collector_takes_one_treasure_and_no_more():
    """Both touch both: the first takes the first, the second the second."""
    _, state, step = treasure_world([(0, 0), (0.12, 0)], [(0.06, 0.0), (0.06, 0.01)], (1, 0))
    state, timestep = step(state)
    np.testing.assert_array_equal(state.memory.holding, [1, 0])
    np.testing.assert_array_equal(state.memory.alive, False)
    # two events to all; collectors carry to deposits 1 and 0, who wait for them
    away = np.hypot([0.9, 0.78], [0.9, 0.9])
    np.testing.assert_allclose(timestep.reward["collectors"], 10 - 0.1 * away, rtol=1e-5)
    np.testing.assert_allclose(timestep.reward["deposits"], 10 - 0.1 * away[::-1], rtol=1e-5)
    num_seen = timestep.observation["deposits"].shape[-1]
    assert not timestep.observation["deposits"][:, num_seen - 8 :].any()  # none is left to see

    state, timestep = step(state)  # both reappear, and are not taken in the same step
    np.testing.assert_array_equal(state.memory.alive, True)
    np.testing.assert_array_equal(state.memory.holding, [1, 0])
    assert np.abs(state.landmark).max() <= 0.95
    assert (np.asarray(timestep.reward["deposits"]) < 0).all()


def test_delivery_needs_the_right_deposit():
    far = [(0.0, -0.9), (0.9, -0.9)]
    _, state, step = treasure_world([(0.9, 0.85), (-0.9, -0.85)], far, (0, 0), holding=(0, 0))
    state, timestep = step(state)
    np.testing.assert_array_equal(state.memory.holding, [-1, 0])  # deposit 1 takes kind 1 only
    assert state.memory.num_events == 1
    assert (np.asarray(timestep.reward["deposits"]) > 4).all()


def test_rovers_and_towers_by_a_loop():
    """Observations and rewards of the published code, one pair after another."""
    env = rover_tower()
    state, _ = jax.jit(env.reset)(jax.random.key(2))
    said = {"rovers": jnp.array([1, 2, 3, 4]), "towers": jnp.array([4, 0, 2, 1])}
    state = env.advance(jax.random.key(0), state, said)
    near = state.landmark[state.memory.goal[0]] + 0.1  # tower 0's rover has arrived
    state = state.replace(position=state.position.at[state.memory.rover[0]].set(near))
    timestep = env.observe(state)
    position, landmark = np.asarray(state.position), np.asarray(state.landmark)
    for tower, (rover, goal) in enumerate(zip(state.memory.rover, state.memory.goal)):
        square = ((position[rover] - landmark[goal]) ** 2).sum()
        reward = -square + 10 * (square < 1.5 * (0.075 + 0.04))
        np.testing.assert_allclose(timestep.reward["towers"][tower], reward, rtol=1e-5)
        np.testing.assert_allclose(timestep.reward["rovers"][rover], reward, rtol=1e-5)
        seen = np.concatenate([np.eye(4)[rover], position[rover], landmark[goal]])
        np.testing.assert_allclose(timestep.observation["towers"][tower], seen, rtol=1e-6)
        word = np.eye(5)[said["towers"][tower]]
        heard = [np.eye(4)[tower], word, position[rover], state.velocity[rover]]
        np.testing.assert_allclose(
            timestep.observation["rovers"][rover], np.concatenate(heard), rtol=1e-6
        )
    assert timestep.reward["towers"][0] > 5


def test_the_leader_sees_into_forests_and_others_do_not():
    env = simple_world_comm(num_good=1, num_adversaries=2, num_food=1, num_forests=1)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    place = jnp.array([[-0.9, 0.0], [-0.9, 0.5], [0.5, 0.5]])  # leader, adversary, hidden agent
    forest = jnp.array([[0.9, -0.9], [0.9, 0.9], [0.5, 0.5]])  # obstacle, food, forest
    timestep = env.observe(state.replace(position=place, landmark=forest))
    others = slice(4 + 2 * 3, 4 + 2 * 3 + 4)  # behind velocity, position and three landmarks
    leader, hunter = timestep.observation["leader"][0], timestep.observation["adversaries"][0]
    np.testing.assert_allclose(leader[others], [0, 0.5, 1.4, 0.5], atol=1e-6)
    np.testing.assert_allclose(hunter[others], [0, -0.5, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(timestep.observation["agents"][0][others], 0)


def test_team_0_is_the_good_side():
    for name in ("simple_tag", "simple_adversary", "simple_push", "simple_world_comm"):
        teams = {key: group.team for key, group in ENVIRONMENTS[name]().groups.items()}
        assert teams.pop("agents") == 0
        assert set(teams.values()) == {1}
    teams = {key: group.team for key, group in ENVIRONMENTS["simple_crypto"]().groups.items()}
    assert teams == {"eve": 1, "bob": 0, "alice": 0}
