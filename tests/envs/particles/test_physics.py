"""Contact, integration and actions against closed forms and a NumPy loop over pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.particles import simple, simple_spread, simple_tag
from jaxmarl_core.envs.particles.actions import action_space, decode
from jaxmarl_core.envs.particles.physics import bodies, contact, contact_forces, move
from jaxmarl_core.spaces import Box, Discrete


def pair_loop(position, radius, obstacle, obstacle_radius):
    """Returns the contact forces [N, 2], one pair after another in float64."""
    force = np.zeros(position.shape)

    def push(delta, reach):
        distance = np.linalg.norm(delta)
        depth = 1e-3 * np.logaddexp(0, (reach - distance) / 1e-3)
        return 100 * delta / distance * depth

    for i in range(len(position)):
        for j in range(i):
            f = push(position[i] - position[j], radius[i] + radius[j])
            force[i], force[j] = force[i] + f, force[j] - f
        for place, size in zip(obstacle, obstacle_radius):
            force[i] += push(position[i] - place, radius[i] + size)
    return force


@pytest.mark.parametrize("num", [1, 2, 3, 4, 7])
def test_every_pair_pushes_once(num):
    rng = np.random.default_rng(num)
    with jax.enable_x64(True):
        body = bodies((num,), (0.3,), (2, 1), (0.2, 0.1), solid=True, num_obstacles=2)
        body = body.replace(radius=jnp.asarray(rng.uniform(0.1, 0.4, num + 3)))
        position, landmark = rng.uniform(-0.5, 0.5, (num, 2)), rng.uniform(-0.5, 0.5, (3, 2))
        force = contact_forces(body, position, landmark, body.radius[:num])
        radius = np.asarray(body.radius)
    expected = pair_loop(position, radius[:num], landmark[:2], radius[num : num + 2])
    np.testing.assert_allclose(force, expected, rtol=1e-12, atol=1e-12)


def test_bodies_in_one_place_do_not_push_and_stay_finite(variant):
    """The reference divides 0 by 0 here."""
    force = variant(lambda delta: contact(delta, jnp.float32(0.3)))(jnp.zeros(2))
    np.testing.assert_array_equal(force, 0)
    slope = jax.jacobian(lambda delta: contact(delta, jnp.float32(0.3)))(jnp.zeros(2))
    assert np.isfinite(slope).all()


def test_agents_in_one_place_play_on():
    env = simple_spread()
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(position=jnp.zeros((3, 2)))
    _, timestep = jax.jit(env.step)(jax.random.key(1), state, {"agents": jnp.array([1, 2, 0])})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(timestep))


@pytest.mark.parametrize(
    ("integration", "places"), [("mpe2", [0, 0.05]), ("legacy", [0.05, 0.0875])]
)
def test_when_a_push_shows(integration, places):
    """One push: v = 5 x 0.1, then 0.75 v; the legacy engine moves with the new velocity at once."""
    env = simple(integration=integration)
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(position=jnp.zeros((1, 2)))
    for action, place in zip((2, 0), places):
        state = env.advance(jax.random.key(0), state, {"agents": jnp.array([action])})
        np.testing.assert_allclose(state.position[0], [place, 0], atol=1e-7)


def test_speed_is_capped_and_keeps_its_direction():
    body = bodies((2,), (0.1,), (0,), (0.1,), max_speed=1.0)
    velocity = jnp.array([[3.0, -4.0], [0.3, 0.4]])
    _, faster = move(body, jnp.zeros((2, 2)), velocity, jnp.zeros((0, 2)), jnp.zeros((2, 2)), True)
    np.testing.assert_allclose(faster, [[0.6, -0.8], [0.225, 0.3]], rtol=1e-6)


def test_discrete_actions_mean_what_they_say(variant):
    actions = jnp.array([0, 1, 2, 3, 4, 7, 19, 99, -3])
    throttle, words = variant(lambda a: decode(a, True, 4, False, False))(actions)
    stay, left, right, down, up = [0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]
    expected = [stay, left, right, down, up, right, up, up, stay]  # out of range is clipped
    np.testing.assert_array_equal(throttle, expected)
    np.testing.assert_array_equal(words.argmax(-1), [0, 0, 0, 0, 0, 1, 3, 3, 0])
    np.testing.assert_array_equal(words.sum(-1), 1)


@pytest.mark.parametrize("legacy", [False, True])
def test_continuous_actions_are_clipped_and_mirrored_by_the_legacy_engine(legacy):
    action = jnp.array([[0.9, 0.25, 1.0, 0.5, 0.0, 0.3, 0.6], [0, 2, -1, -7, 9, 5, -5.0]])
    throttle, words = decode(action, True, 2, True, legacy)
    expected = np.array([[0.75, -0.5], [-1.0, 1.0]])
    np.testing.assert_array_equal(throttle, -expected if legacy else expected)
    np.testing.assert_allclose(words, [[0.3, 0.6], [1, 0]], rtol=1e-6)


def test_spaces_of_movers_and_speakers():
    assert action_space(True, 0, False) == Discrete(5)
    assert action_space(False, 3, False) == Discrete(3)
    assert action_space(True, 10, False) == Discrete(50)
    assert action_space(True, 10, True) == Box((15,), 0.0, 1.0)
    assert action_space(False, 3, True) == Box((3,), 0.0, 1.0)


def test_a_step_can_be_differentiated():
    """Finite slopes of the reward in the actions, agents without a speed limit included."""
    for env in (simple_spread(actions="continuous"), simple_tag(actions="continuous")):
        state, _ = env.reset(jax.random.key(0))
        push = {name: jnp.full((group.size, 5), 0.5) for name, group in env.groups.items()}

        def total(actions, env=env, state=state):
            for _ in range(2):
                state, timestep = env.step(jax.random.key(0), state, actions)
            return sum(jnp.sum(reward) for reward in timestep.reward.values())

        assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.jit(jax.grad(total))(push)))
