"""gymnax worlds here do what they do there, and end as gymnax says they end."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import gymnax
from jaxmarl_core.registry import make_environment
from jaxmarl_core.spaces import Box, Discrete

library = pytest.importorskip("gymnax")
FAST = ("CartPole-v1", "Pendulum-v1", "FrozenLake-misc", "MemoryChain-bsuite")
ALL = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in library.registered_envs
    if "MNIST" not in name  # needs a data set
]


@pytest.mark.parametrize("name", ALL)
def test_steps_are_those_of_gymnax(name):
    env = gymnax(name)
    world, params = library.make(name)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    theirs = jax.jit(partial(world.step_env, params=params))  # constants in both programs
    key = jax.random.key(0)
    state, timestep = reset(key)
    seen, inner = jax.jit(world.reset_env)(key, params)
    np.testing.assert_array_equal(timestep.observation["agent"][0], seen)
    for t in range(6):
        key = jax.random.fold_in(jax.random.key(1), t)
        action = env.groups["agent"].action.sample(key)
        state, timestep = step(key, state, {"agent": action[None]})
        seen, inner, reward, terminated, _ = theirs(key, inner, action)
        np.testing.assert_array_equal(timestep.observation["agent"][0], seen)
        np.testing.assert_array_equal(timestep.reward["agent"], np.float32(reward).reshape(1))
        np.testing.assert_array_equal(timestep.discount["agent"], [1.0 - bool(terminated)])
        jax.tree.map(np.testing.assert_array_equal, state, inner)


def test_a_fall_and_a_time_limit_are_told_apart():
    env = gymnax(params={"max_steps_in_episode": 4})
    step = jax.jit(env.step)
    state, _ = env.reset(jax.random.key(0))
    push = {"agent": jnp.ones(1, jnp.int32)}
    _, fallen = step(jax.random.key(1), state.replace(theta=jnp.float32(0.5)), push)
    _, late = step(jax.random.key(1), state.replace(time=jnp.int32(3)), push)
    assert (bool(fallen.last), fallen.discount["agent"].item()) == (True, 0.0)
    assert (bool(late.last), late.discount["agent"].item()) == (True, 1.0)


def test_physics_are_leaves():
    env = gymnax()
    gravities = jnp.array([0.0, 9.8, 30.0])
    batch = env.replace(params=env.params.replace(gravity=gravities))
    axes = jax.tree.map(lambda _: None, env)
    axes = axes.replace(params=axes.params.replace(gravity=0))
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(theta=jnp.float32(0.1))
    push = {"agent": jnp.ones(1, jnp.int32)}
    _, timesteps = jax.vmap(lambda e: e.step(jax.random.key(1), state, push), (axes,))(batch)
    for gravity, seen in zip(gravities, timesteps.observation["agent"]):
        one = gymnax(params={"gravity": float(gravity)})
        _, alone = one.step(jax.random.key(1), state, push)
        np.testing.assert_allclose(seen, alone.observation["agent"], rtol=1e-6)


def test_spaces():
    assert gymnax("FrozenLake-misc").groups["agent"].observation == Discrete(16)
    assert gymnax("Pendulum-v1").groups["agent"].action == Box((1,), -2.0, 2.0)


def test_settings_come_from_a_spec_file():
    env = make_environment("gymnax", name="DeepSea-bsuite", settings='{"size": 4}')
    assert env.groups["agent"].observation.shape == (4, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "CartPole-v2"}, "did you mean 'CartPole-v1'"),
        ({"name": "DeepSea-bsuite", "settings": {"sise": 4}}, "settings: .*did you mean 'size'"),
        ({"params": {"gravitty": 1.0}}, "params: .*did you mean 'gravity'"),
        ({"params": "{gravity: 1}"}, "params: expected a JSON object"),
        ({"settings": "[1]"}, "settings: expected a JSON object"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        gymnax(**options)
