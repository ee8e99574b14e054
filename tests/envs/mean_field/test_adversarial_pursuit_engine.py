"""Adversarial pursuit against adversarial_pursuit_v4 itself, step by step."""

import jax
import numpy as np
import pytest
from magent_engine import Engine, assert_sees_the_same

from jaxmarl_core.envs.mean_field.magent.adversarial_pursuit import (
    PREDATOR,
    PREY,
    PursuitState,
    adversarial_pursuit,
)

FIRST_TAG = len(PREDATOR.moves)
advance = jax.jit(lambda env, *rest: env.advance(jax.random.key(0), *rest))
observe = jax.jit(lambda env, state: env.observe(state))


def hunt(rng, env, state):
    """Returns actions [N]: tag prey beside the body or run to the next; prey runs away."""
    n, position = env.num_predators, np.asarray(state.position)
    prey = position[n:]
    action = rng.integers(0, np.repeat([PREDATOR.num_actions, PREY.num_actions], [n, len(prey)]))
    for i in range(env.num_agents):
        others = prey if i < n else position[:n]
        offset = others - position[i]
        nearest = offset[np.abs(offset).sum(1).argmin()]
        if rng.random() < 0.2:
            continue
        if i >= n:
            action[i] = np.abs(PREY.moves + np.sign(nearest)).sum(1).argmin()
        elif len(tags := np.flatnonzero((PREDATOR.attacks == nearest).all(1))):
            action[i] = FIRST_TAG + tags[0]
        else:
            action[i] = np.abs(PREDATOR.moves - nearest).sum(1).argmin()
    return action.astype(np.int32)


def play(map_size, steps, minimap=False, seed=1, check=lambda time: True):
    """Plays both in lockstep from where theirs starts; returns the tags, and the moves refused."""
    theirs = Engine("adversarial_pursuit", map_size=map_size, minimap_mode=minimap, seed=seed)
    env = adversarial_pursuit(map_size=map_size, minimap=minimap)
    after = adversarial_pursuit(map_size=map_size, minimap=minimap, observe_before_removal=False)
    n = env.num_predators
    assert theirs.num_agents == env.num_agents
    assert theirs.env.get_num(theirs.handles[0]) == n
    state: PursuitState = env.initial(jax.random.key(0))
    walls, start = np.array(theirs.walls(), np.int32), theirs.positions()
    state = state.replace(walls=walls, position=start)
    rng = np.random.default_rng(seed)

    def compare(env):
        seen = observe(env, state).observation
        assert_sees_the_same(seen["predator"], theirs, 0, 0)
        assert_sees_the_same(seen["prey"], theirs, 1, n)

    compare(env)
    refused = 0
    for time in range(steps):
        action = hunt(rng, env, state)
        assert not theirs.step(action)
        moving = np.flatnonzero((action[:n] < FIRST_TAG) & (action[:n] != 2))
        before = np.asarray(state.position)[moving]
        state = advance(env, state, {"predator": action[:n], "prey": action[n:]})
        refused += int((np.asarray(state.position)[moving] == before).all(1).sum())
        np.testing.assert_array_equal(theirs.positions(), state.position)
        np.testing.assert_array_equal(theirs.rewards(), state.reward)
        if check(time):
            compare(env)
        theirs.env.clear_dead()
        if check(time):
            compare(after)
    return int(state.tags), refused


@pytest.mark.fast("True")
@pytest.mark.parametrize("minimap", [False, True])
def test_plays_and_shows_what_adversarial_pursuit_v4_does(minimap):
    tags, _ = play(20, 60, minimap)
    assert tags > 10


@pytest.mark.fast("3")
@pytest.mark.parametrize("seed", range(2, 5))
def test_crowds(seed):
    """The published size: predators in each other's way, and prey tagged by several."""
    tags, refused = play(45, 40, seed=seed, check=lambda time: time % 20 == 0)
    assert tags > 20
    assert refused > 10
