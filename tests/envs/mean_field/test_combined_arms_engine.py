"""Combined arms against combined_arms_v6 itself, step by step."""

import jax
import numpy as np
import pytest
from magent_engine import Engine, EngineOrder, assert_sees_the_same

from jaxmarl_core.envs.mean_field.magent.combined_arms import KINDS, combined_arms

advance = jax.jit(lambda env, *rest: env.advance(jax.random.key(0), *rest))
observe = jax.jit(lambda env, state: env.observe(state))


def chase(rng, env, state):
    """Returns actions [N]: strike whoever is in reach, enemies first, or else run to the middle."""
    position, alive = np.asarray(state.position), np.asarray(state.alive)
    group = np.repeat(np.arange(4), list(env.sizes.values()))
    occupant = {tuple(position[i]): i for i in np.flatnonzero(alive)}
    action = np.zeros(env.num_agents, np.int32)
    for i in range(env.num_agents):
        kind = list(KINDS.values())[group[i]]
        action[i] = rng.integers(kind.num_actions)
        if rng.random() < 0.2:
            continue
        others = [occupant.get(tuple(position[i] + offset)) for offset in kind.attacks]
        foes = [k for k, j in enumerate(others) if j is not None and group[j] // 2 != group[i] // 2]
        friends = [k for k, j in enumerate(others) if j is not None]
        if foes or (friends and rng.random() < 0.1):
            action[i] = len(kind.moves) + rng.choice(foes or friends)
        else:
            wish = env.map_size // 2 - position[i] + rng.integers(-1, 2, 2)
            action[i] = np.abs(kind.moves - wish).sum(1).argmin()
    return action


def play(map_size, minimap, steps, check=lambda time: True, random=False, seed=0):
    """Plays both in lockstep; returns how many died and how many of them by friends."""
    options = {"map_size": map_size, "minimap": minimap, "max_steps": 10_000}
    env = combined_arms(**options)
    after = combined_arms(**options, observe_before_removal=False)
    theirs = Engine("combined_arms", map_size=map_size, minimap_mode=minimap, seed=seed)
    order, rng = EngineOrder(seed), np.random.default_rng(seed)
    first = np.cumsum([0, *env.sizes.values()])
    attacks_from = np.repeat([len(k.moves) for k in KINDS.values()], np.diff(first))
    limit = np.repeat([k.num_actions for k in KINDS.values()], np.diff(first))
    state = env.initial(jax.random.key(0))

    def compare(env):
        seen = observe(env, state).observation
        for g, name in enumerate(KINDS):
            assert_sees_the_same(seen[name], theirs, g, first[g])

    compare(env)
    dead, over = 0, False
    for time in range(steps):
        action = rng.integers(0, limit) if random else chase(rng, env, state)
        alive = np.asarray(state.alive)
        attackers = np.flatnonzero(alive & (action >= attacks_from))
        rank = order.ranks(attackers, env.num_agents)
        over = theirs.step(action)
        actions = {n: action[a:b].astype(np.int32) for n, a, b in zip(KINDS, first, first[1:])}
        state = advance(env, state, actions, rank)
        timestep = observe(env, state)
        np.testing.assert_array_equal(theirs.alive(), state.alive)
        np.testing.assert_array_equal(theirs.positions()[alive], state.position[alive])
        np.testing.assert_array_equal(theirs.rewards(), state.reward)  # bit for bit
        assert bool(timestep.last) == over
        if check(time):
            compare(env)
        dead += int(alive.sum() - state.alive.sum())
        if over:
            assert not any(np.asarray(part).any() for part in timestep.discount.values())
            break
        theirs.env.clear_dead()
        if check(time):
            compare(after)
    return dead, dead - int(state.kills.sum()), over


@pytest.mark.fast("True")
@pytest.mark.parametrize("minimap", [False, True])
def test_plays_and_shows_what_combined_arms_v6_does(minimap):
    dead, by_friends, over = play(20, minimap, 150, check=lambda time: time % 3 == 0 or time < 20)
    assert dead >= 6
    assert by_friends >= 1
    assert over


@pytest.mark.parametrize("seed", range(3))
def test_random_play(seed):
    dead, *_ = play(16, False, 120, check=lambda time: time % 10 == 0, random=True, seed=seed)
    assert dead >= 1


@pytest.mark.slow
def test_the_published_size():
    dead, by_friends, _ = play(45, False, 40, check=lambda time: time % 10 == 9)
    assert dead > 20
    assert by_friends >= 1
