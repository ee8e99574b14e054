"""The "magent2" preset against battle_v4 itself, step by step; and battlefield_v5."""

import warnings

import jax
import numpy as np
import pytest
from magent_engine import Engine, EngineOrder, assert_sees_the_same

from jaxmarl_core.envs import battle, battlefield

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports warn of their own age
    battle_v4 = pytest.importorskip("magent2.environments").battle_v4


@jax.jit
def play(env, state, actions, order):
    return env.step(jax.random.key(0), state, actions, order)


def chase(rng, state, num_red):
    """Returns actions [N] that attack an enemy next to the agent, or else walk to the middle."""
    position, alive = np.asarray(state.position), np.asarray(state.alive)
    action = rng.integers(0, 21, len(alive))
    occupant = {tuple(position[i]): i for i in np.flatnonzero(alive)}
    neighbours = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if (x, y) != (0, 0)]
    for i in np.flatnonzero(alive):
        if rng.random() < 0.2:
            continue
        action[i] = 8 if i < num_red else 4
        for k, offset in enumerate(neighbours):
            other = occupant.get(tuple(position[i] + offset))
            if other is not None and (other < num_red) != (i < num_red):
                action[i] = 13 + k
                break
    return action.astype(np.int32)


@pytest.mark.fast("True")
@pytest.mark.parametrize("minimap", [False, True])
def test_observes_what_battle_v4_shows(minimap):
    env = battle("magent2", map_size=20, max_steps=60, minimap=minimap)
    n = env.num_red
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = battle_v4.parallel_env(
            map_size=20, max_cycles=60, minimap_mode=minimap, extra_features=True
        )
        seen, _ = theirs.reset()
    names = [f"{team}_{i}" for team in ("red", "blue") for i in range(n)]
    assert sorted(names) == sorted(theirs.possible_agents)
    state, ours = env.reset(jax.random.key(0))
    engine, rng = EngineOrder(), np.random.default_rng(0)
    channels = 7 if minimap else 5
    killed = 0
    while theirs.agents:
        alive = np.asarray(state.alive)
        action = chase(rng, state, n)
        if state.time == 0:
            # In the first step of an episode theirs (0.3.4) hands blue the actions of red: it
            # reads the team sizes before the teams are placed. So we send both the same.
            action[n:] = action[:n]
        attackers = np.flatnonzero(alive & (action >= 13))
        order = engine.ranks(attackers, 2 * n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen, reward, _, _, _ = theirs.step(
                {name: int(action[i]) for i, name in enumerate(names) if alive[i]}
            )
        actions = {"red": action[:n], "blue": action[n:]}
        state, ours = play(env, state, actions, order)
        view = np.concatenate([ours.observation[team]["view"] for team in ("red", "blue")])
        facts = np.concatenate([ours.observation[team]["features"] for team in ("red", "blue")])
        rewards = np.concatenate([ours.reward[team] for team in ("red", "blue")])
        for i, name in enumerate(names):
            assert (name in seen) == alive[i], name  # the just-killed look around once more
            if alive[i]:
                np.testing.assert_allclose(view[i], seen[name][:, :, :channels], atol=1e-6)
                np.testing.assert_allclose(facts[i], seen[name][6, 6, channels:], atol=1e-6)
                assert rewards[i] == np.float32(reward[name])
            else:
                assert not view[i].any()
                assert not facts[i].any()
        killed += int(np.sum(alive & ~np.asarray(state.alive)))
        assert bool(ours.last) == (not theirs.agents)
    assert killed > 10
    theirs.close()


@pytest.mark.parametrize("map_size", [46, 80, 99])
def test_battlefield_starts_as_published(map_size):
    env, theirs = (
        battlefield(map_size=map_size),
        Engine("battlefield", map_size=map_size, minimap_mode=False),
    )
    assert sorted(env.walls) == theirs.walls()
    np.testing.assert_array_equal(env.starts[0], theirs.positions())


def test_battlefield_plays_as_published():
    """Soldiers are put into the corridor between the walls, where they fight; views show hp."""
    env, theirs = battlefield(map_size=46), Engine("battlefield", map_size=46, minimap_mode=False)
    theirs.env.reset()
    theirs.env.add_walls(method="custom", pos=env.walls)
    places = [[(x, y) for y in range(12, 36, 2)] for x in (20, 26)]
    for handle, place in zip(theirs.handles, places):
        theirs.env.add_agents(handle, method="custom", pos=place)
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(position=np.concatenate(places).astype(np.int32))
    engine, rng = EngineOrder(), np.random.default_rng(0)
    killed = 0
    for _ in range(80):
        alive = np.asarray(state.alive)
        action = chase(rng, state, env.num_red)
        order = engine.ranks(np.flatnonzero(alive & (action >= 13)), env.num_agents)
        over = theirs.step(action)
        actions = {"red": action[: env.num_red], "blue": action[env.num_red :]}
        state, ours = play(env, state, actions, order)
        np.testing.assert_array_equal(theirs.alive(), state.alive)
        np.testing.assert_array_equal(theirs.positions()[alive], state.position[alive])
        np.testing.assert_array_equal(theirs.rewards(), state.reward)
        assert_sees_the_same(ours.observation["red"], theirs, 0, 0)
        assert_sees_the_same(ours.observation["blue"], theirs, 1, env.num_red)
        assert bool(ours.last) == over
        killed += int(alive.sum() - state.alive.sum())
        if over:
            break
        theirs.env.clear_dead()
    assert killed >= 5


def test_a_big_map_is_cut_into_bands_that_move_in_turn():
    """A crowd that runs about on both sides of an edge of bands of 13 columns, on 100 x 100."""
    theirs = Engine("battle", map_size=100, minimap_mode=False)
    theirs.env.reset()
    rng = np.random.default_rng(0)
    crowd = rng.permutation([(x, y) for x in range(20, 46) for y in range(10, 30)])
    starts = crowd[:200], crowd[200:400]
    for handle, start in zip(theirs.handles, starts):
        theirs.env.add_agents(handle, method="custom", pos=start)
    theirs.num_agents = 400
    env = battle(
        "magent2",
        map_size=100,
        start_red=tuple(map(tuple, starts[0].tolist())),
        start_blue=tuple(map(tuple, starts[1].tolist())),
    )
    state = env.initial(jax.random.key(0))
    advance, by_index = jax.jit(env.advance), 0
    for _ in range(15):
        action = rng.integers(0, 13, 400).astype(np.int32)
        theirs.step(action)
        actions, order = {"red": action[:200], "blue": action[200:]}, np.arange(400, dtype=np.int32)
        naive = advance(jax.random.key(0), state, actions, order, order)
        state = advance(jax.random.key(0), state, actions)
        np.testing.assert_array_equal(theirs.positions(), state.position)
        by_index += int(np.any(naive.position != state.position))
        theirs.env.clear_dead()
    assert by_index > 5  # another order ends elsewhere
