"""Tiger and deer against tiger_deer_v4 itself, step by step."""

import jax
import numpy as np
import pytest
from magent_engine import Engine, EngineOrder, assert_sees_the_same

from jaxmarl_core.envs.mean_field.magent.tiger_deer import DEER, TIGER, tiger_deer

FIRST_STRIKE = len(TIGER.moves)
advance = jax.jit(lambda env, *rest: env.advance(jax.random.key(0), *rest))
observe = jax.jit(lambda env, state: env.observe(state))


def prowl(rng, env, state):
    """Returns actions [N]: strike the deer in reach, or run to the nearest; deer graze or run."""
    n, position, alive = env.num_deer, np.asarray(state.position), np.asarray(state.alive)
    limit = np.repeat([DEER.num_actions, TIGER.num_actions], list(env.sizes.values()))
    action = rng.integers(0, limit)
    for i in np.flatnonzero(alive):
        others = position[n:][alive[n:]] if i < n else position[:n][alive[:n]]
        if rng.random() < 0.1 or not len(others):
            continue
        offset = others - position[i]
        nearest = offset[np.abs(offset).sum(1).argmin()]
        if i < n:
            away = np.abs(DEER.moves + np.sign(nearest)).sum(1).argmin()
            action[i] = away if rng.random() < 0.2 else 2
        elif np.abs(nearest).sum() == 1:
            action[i] = FIRST_STRIKE + np.flatnonzero((TIGER.attacks == nearest).all(1))[0]
        else:
            action[i] = np.abs(TIGER.moves - nearest).sum(1).argmin()
    return action.astype(np.int32)


def play(map_size, steps, minimap=False, seed=1, check=lambda time: True, act=prowl, **numbers):
    """Plays both in lockstep from where theirs starts; returns the last time step and the pay."""
    theirs_numbers = {"tiger_step_recover": "tiger_recovery", "deer_attacked": "attacked_reward"}
    theirs = Engine(
        "tiger_deer",
        map_size=map_size,
        minimap_mode=minimap,
        seed=seed,
        **{name: numbers[ours] for name, ours in theirs_numbers.items() if ours in numbers},
    )
    theirs.env.set_seed(seed)  # placing has drawn from it
    options = {"map_size": map_size, "minimap": minimap, "max_steps": 10_000, **numbers}
    env = tiger_deer(**options)
    after = tiger_deer(**options, observe_before_removal=False)
    n = env.num_deer
    assert theirs.num_agents == env.num_agents
    assert theirs.env.get_num(theirs.handles[0]) == n
    walls = np.array(theirs.walls(), np.int32)
    assert len(walls) == env.num_walls
    state = env.initial(jax.random.key(0)).replace(walls=walls, position=theirs.positions())
    order, rng = EngineOrder(seed), np.random.default_rng(seed)
    paid = []

    def compare(env):
        observation = observe(env, state).observation
        assert_sees_the_same(observation["deer"], theirs, 0, 0)
        assert_sees_the_same(observation["tiger"], theirs, 1, n)

    compare(env)
    for time in range(steps):
        action, alive = act(rng, env, state), np.asarray(state.alive)
        strikes = alive & (action >= FIRST_STRIKE) & (np.arange(len(alive)) >= n)
        rank = order.ranks(np.flatnonzero(strikes), env.num_agents)
        over = theirs.step(action)
        state = advance(env, state, {"deer": action[:n], "tiger": action[n:]}, rank)
        np.testing.assert_array_equal(theirs.alive(), state.alive)
        np.testing.assert_array_equal(theirs.positions()[alive], state.position[alive])
        np.testing.assert_array_equal(theirs.rewards(), state.reward)  # bit for bit
        paid.append(np.asarray(state.reward))
        timestep = observe(env, state)
        assert bool(timestep.last) == over
        if check(time):
            compare(env)
        if over:
            break
        theirs.env.clear_dead()
        if check(time):
            compare(after)
    return timestep, np.array(paid)


@pytest.mark.fast("True")
@pytest.mark.parametrize("minimap", [False, True])
def test_plays_and_shows_what_tiger_deer_v4_does(minimap):
    """Observations show hp; tigers hunt together, and some starve."""
    timestep, paid = play(20, 150, minimap, check=lambda time: time % 4 == 0 or time < 10)
    assert timestep.extras["killed"] > 10
    assert all(np.isclose(paid, pay).any() for pay in (-1.1, -0.2, 1.0))


def test_the_hungry_starve():
    """With tigers that lose 2 hp a step some live on what they kill, until all are gone."""
    timestep, _ = play(20, 60, seed=2, check=lambda time: time % 5 == 0, tiger_recovery=-2.0)
    assert timestep.last
    assert timestep.extras["starved"] == 4
    assert timestep.extras["killed"] < 20


@pytest.mark.slow
def test_the_published_size():
    timestep, paid = play(45, 80, seed=8, check=lambda time: time % 20 == 0)  # three on one deer
    assert timestep.extras["killed"] > 20
    assert paid.max() >= 2.0
