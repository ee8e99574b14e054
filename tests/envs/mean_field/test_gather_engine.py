"""Gather against gather_v5 itself, step by step."""

import jax
import numpy as np
import pytest
from magent_engine import Engine, EngineOrder, assert_sees_the_same

from jaxmarl_core.envs.mean_field.magent.gather import OMNIVORE, gather, layout

FIRST_BITE = len(OMNIVORE.moves)
advance = jax.jit(lambda env, *rest: env.advance(jax.random.key(0), *rest))
observe = jax.jit(lambda env, state: env.observe(state))


def hungry(rng, env, state):
    """Returns actions [n]: bite the food in reach, sometimes a neighbour, or run to some food."""
    n, alive = env.num_agents, np.asarray(state.alive)
    position = np.concatenate([state.position, env.food])
    occupant = {tuple(position[i]): i for i in np.flatnonzero(alive)}
    food = position[n:][alive[n:]]
    action = rng.integers(0, OMNIVORE.num_actions, n)
    for i in np.flatnonzero(alive[:n]):
        if rng.random() < 0.1:
            continue
        others = [occupant.get(tuple(position[i] + offset), -1) for offset in OMNIVORE.attacks]
        bites = [k for k, j in enumerate(others) if j >= n or (j >= 0 and rng.random() < 0.05)]
        if bites:
            action[i] = FIRST_BITE + rng.choice(bites)
        else:
            wish = food[np.abs(food - position[i]).sum(1).argmin()] - position[i]
            wish = wish + rng.integers(-1, 2, 2)
            action[i] = np.abs(OMNIVORE.moves - wish).sum(1).argmin()
    return action.astype(np.int32)


def play(map_size, steps, minimap=False, check=lambda time: True, **options):
    """Plays both in lockstep; returns the last time step."""
    both = {"map_size": map_size, "minimap": minimap, "max_steps": 10_000}
    env = gather(**both, **options)
    after = gather(**both, **options, observe_before_removal=False)
    n = env.num_agents
    theirs = Engine("gather", map_size=map_size, minimap_mode=minimap)
    order, rng = EngineOrder(), np.random.default_rng(0)
    state = env.initial(jax.random.key(0))

    def compare(env):
        assert_sees_the_same(observe(env, state).observation["omnivore"], theirs, 1, 0)

    compare(env)
    for time in range(steps):
        action = hungry(rng, env, state)
        alive = np.asarray(state.alive)
        rank = order.ranks(np.flatnonzero(alive[:n] & (action >= FIRST_BITE)), n)
        over = theirs.step(np.concatenate([action, np.zeros(len(env.food), np.int32)]))
        state = advance(env, state, {"omnivore": action}, rank)
        np.testing.assert_array_equal(theirs.alive(), state.alive)
        np.testing.assert_array_equal(theirs.positions()[:n][alive[:n]], state.position[alive[:n]])
        np.testing.assert_array_equal(theirs.rewards()[:n], state.reward)  # bit for bit
        timestep = observe(env, state)
        assert bool(timestep.last) == over
        if check(time):
            compare(env)
        if over:
            break
        theirs.env.clear_dead()
        if check(time):
            compare(after)
    return timestep


@pytest.mark.parametrize("map_size", [20, 60, 99, 100, 200])
def test_starts_as_published(map_size):
    omnivores, food = layout(map_size)
    theirs = Engine("gather", map_size=map_size, minimap_mode=False)
    np.testing.assert_array_equal(theirs.positions(), omnivores + food)
    assert not theirs.walls()
    if map_size == 200:
        assert (len(omnivores), len(food)) == (495, 2272)


@pytest.mark.slow
@pytest.mark.parametrize("minimap", [False, True])
def test_plays_and_shows_what_gather_v5_does(minimap):
    timestep = play(20, 150, minimap, check=lambda time: time % 5 == 0 or time < 10)
    assert timestep.extras["killed"] > 5
    assert timestep.extras["food"] < 100


@pytest.mark.slow
def test_the_published_size():
    """Its map is cut into bands, which move in turn."""
    timestep = play(200, 25, check=lambda time: time % 12 == 0)
    assert timestep.extras["food"] < 2272
    assert timestep.extras["killed"] > 0
