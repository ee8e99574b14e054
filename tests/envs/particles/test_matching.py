"""The exact matching against scipy's, and the shapes it serves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from jaxmarl_core.envs.particles import simple_formation, simple_line
from jaxmarl_core.envs.particles.matching import match


@pytest.mark.parametrize("num", [1, 2, 3, 4, 6, 8])
def test_finds_the_cheapest_assignment(num):
    cost = np.random.default_rng(num).uniform(0, 3, (20, num, num)).astype(np.float32)
    found = jax.jit(jax.vmap(lambda c: match(c, 1.0)))(cost)
    for i, table in enumerate(cost):
        part = table[linear_sum_assignment(table)]
        np.testing.assert_allclose(found.total[i], part.sum(), rtol=1e-5)
        np.testing.assert_allclose(found.clipped[i], part.clip(0, 1).sum(), rtol=1e-5)
        np.testing.assert_allclose(found.worst[i], part.max(), rtol=1e-6)


@pytest.mark.parametrize("build", [simple_formation, simple_line])
@pytest.mark.parametrize("turn", [0, 1])
def test_success_is_everyone_in_place_whoever_takes_which(build, turn):
    env = build(num_agents=3, terminate_on_success=True, integration="mpe2")
    state, _ = env.reset(jax.random.key(1))
    places = jnp.roll(env.places(state), turn, axis=0)
    if build is simple_formation:  # the first place follows an agent: begin from any circle
        angle = jnp.array([0.3, 0.3 + 2 * np.pi / 3, 0.3 + 4 * np.pi / 3])
        circle = state.landmark[0] + 0.5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        places = jnp.roll(circle, turn, axis=0)
    _, done = env.step(
        jax.random.key(0), state.replace(position=places), {"agents": jnp.zeros(3, int)}
    )
    assert done.last
    np.testing.assert_array_equal(done.discount["agents"], 0)
    np.testing.assert_allclose(done.reward["agents"], 0, atol=1e-5)
    away = places.at[0, 0].add(0.2)
    _, going = env.step(
        jax.random.key(0), state.replace(position=away), {"agents": jnp.zeros(3, int)}
    )
    assert not going.last
    limit = state.replace(position=places, time=jnp.int32(24))  # a time limit stays one
    _, cut = env.step(jax.random.key(0), limit, {"agents": jnp.zeros(3, int)})
    assert cut.last
    np.testing.assert_array_equal(cut.discount["agents"], 1)


def test_the_line_fits_into_the_square():
    states = jax.vmap(simple_line().initial)(jax.random.split(jax.random.key(0), 500))
    first, second = np.moveaxis(np.asarray(states.landmark), 1, 0)
    assert np.abs(first).max() <= 0.25
    assert np.abs(second).max() < 1
    np.testing.assert_allclose(np.linalg.norm(second - first, axis=-1), 1.25, rtol=1e-5)
    angle = np.arctan2(*(second - first).T)
    assert len(np.unique(np.floor(angle / (np.pi / 4)))) == 8  # in all directions
