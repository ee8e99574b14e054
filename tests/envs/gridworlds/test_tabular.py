"""What all tabular worlds promise: their tables are what playing them shows, state by state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from jaxmarl_core.envs.gridworlds.field_coverage import field_coverage
from jaxmarl_core.envs.gridworlds.grid_game import grid_game
from jaxmarl_core.envs.gridworlds.guarding_territory import guarding_territory
from jaxmarl_core.envs.gridworlds.rendezvous import rendezvous
from jaxmarl_core.envs.gridworlds.soccer import soccer
from jaxmarl_core.envs.gridworlds.soccer_4x2 import soccer_4x2
from jaxmarl_core.envs.matrix_games.two_step_game import two_step_game
from jaxmarl_core.solvers.markov_games import MarkovGame, markov_game
from jaxmarl_core.spaces import Discrete

CASES = {
    "soccer": lambda **o: soccer(**o),
    "soccer, ending": lambda **o: soccer(goal_ends=True, draw_probability=0.3, rows=2, **o),
    "soccer 4x2": lambda **o: soccer_4x2(**o),
    "grid game 1": lambda **o: grid_game(1, **o),
    "grid game 2": lambda **o: grid_game(2, start="random", **o),
    "grid game 3": lambda **o: grid_game(3, **o),
    "territory": lambda **o: guarding_territory(**o),
    "territory, wide": lambda **o: guarding_territory(size=3, all_moves=True, **o),
    "rendezvous": lambda **o: rendezvous(start="random", **o),
    "coverage": lambda **o: field_coverage(
        rows=3, columns=3, heights=2, half_angle=46.0, field=((0, 0), (2, 2)), **o
    ),
    "two steps": lambda **o: two_step_game(**o),
}
DRAWS = 200  # of every state


class World(NamedTuple):
    env: object
    game: MarkovGame
    features: object


@pytest.fixture(scope="module", params=CASES)
def world(request):
    env = CASES[request.param]()
    return World(env, markov_game(env), CASES[request.param](observation="features"))


def actions_of(env, joint):
    """A joint action [N] as a dict of groups."""
    parts, at = {}, 0
    for name, group in env.groups.items():
        parts[name], at = joint[at : at + group.size], at + group.size
    return parts


@pytest.mark.fast("soccer", "grid game 1", "territory", "coverage")
def test_numbers_and_states_are_inverse(world):
    env = world.env
    states = jnp.arange(env.num_states)

    @jax.jit
    @jax.vmap
    def there_and_back(index):
        state = env.decode(index)
        return env.encode(state), env.features(state), state.reward, state.time

    index, features, reward, time = map(np.asarray, there_and_back(states))
    np.testing.assert_array_equal(index, states)
    assert not reward.any()
    assert not time.any()
    assert len(np.unique(features, axis=0)) == env.num_states, "no two states look alike"
    assert set(np.unique(features)) <= {0.0, 1.0}, "the features are documented as one-hot"


def test_probabilities(world):
    game = world.game
    np.testing.assert_allclose(game.probability.sum(axis=-1), 1, atol=1e-6)
    assert (np.asarray(game.probability) >= 0).all()
    np.testing.assert_allclose(game.start.sum(), 1, atol=1e-6)
    assert not np.asarray(game.start)[np.asarray(game.terminal)].any()
    for mask, count in zip(game.legal, game.num_actions):
        assert mask.shape == (game.num_states, count)
        assert np.asarray(mask).any(axis=-1).all()


def test_ends_lead_to_themselves_and_pay_nothing(world):
    game = world.game
    ends = np.flatnonzero(game.terminal)
    successor = np.moveaxis(np.asarray(game.successor)[ends], 0, -1)
    np.testing.assert_array_equal(successor, np.broadcast_to(ends, successor.shape))
    assert not np.asarray(game.reward)[:, ends].any()


@pytest.mark.fast("soccer", "grid game 1", "territory", "coverage")
def test_playing_agrees_with_the_tables(world):
    """From every state in which play goes on, by a random legal joint action, many times over."""
    env, game, _ = world
    rng = np.random.default_rng(0)
    states = np.flatnonzero(~np.asarray(game.terminal))
    masks = [np.asarray(mask) for mask in game.legal]
    joint = [[rng.choice(np.flatnonzero(mask[s])) for mask in masks] for s in states]

    def play(index, joint, keys):
        def once(key):
            state, timestep = env.step(key, env.decode(index), actions_of(env, joint))
            reward = jnp.concatenate(list(timestep.reward.values()))
            ended = jnp.concatenate(list(timestep.discount.values())) == 0
            return env.encode(state), reward, ended

        return jax.vmap(once)(keys)

    keys = jax.random.split(jax.random.key(1), len(states) * DRAWS).reshape(len(states), DRAWS)
    after, reward, ended = map(np.asarray, jax.jit(jax.vmap(play))(states, jnp.array(joint), keys))

    statistic, freedom = 0.0, 0
    for i, s in enumerate(states):
        row = (s, *joint[i])
        chance: dict = {}
        outcomes = zip(
            np.asarray(game.successor)[row],
            np.asarray(game.probability)[row],
            np.asarray(game.reward)[(slice(None), *row)].T,
        )
        for successor, probability, paid in outcomes:
            key = (int(successor), *paid.round(3).tolist())
            chance[key] = chance.get(key, 0.0) + float(probability)
        seen: dict = {}
        for successor, paid in zip(after[i], reward[i]):
            key = (int(successor), *paid.round(3).tolist())
            seen[key] = seen.get(key, 0) + 1
        assert set(seen) <= {key for key, p in chance.items() if p > 0}
        statistic += sum((seen.get(k, 0) - DRAWS * p) ** 2 / (DRAWS * p) for k, p in chance.items())
        freedom += len(chance) - 1
    if freedom:
        assert 1e-4 < chi2.sf(statistic, freedom) < 1 - 1e-4
    np.testing.assert_array_equal(
        ended, np.asarray(game.terminal)[after][..., None] & ended | ended
    )
    np.testing.assert_array_equal(ended.all(axis=-1), np.asarray(game.terminal)[after])


def test_episodes_begin_as_the_tables_say(world):
    env, game, _ = world
    keys = jax.random.split(jax.random.key(2), 4000)
    begun = np.asarray(jax.jit(jax.vmap(lambda key: env.encode(env.initial(key))))(keys))
    start = np.asarray(game.start, np.float64)
    counts = np.bincount(begun, minlength=env.num_states)
    assert not counts[start == 0].any()
    possible = start > 0
    expected = len(keys) * start[possible]
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    if possible.sum() > 1:
        assert 1e-4 < chi2.sf(statistic, possible.sum() - 1) < 1 - 1e-4


@pytest.mark.fast("soccer", "grid game 1", "territory", "coverage")
def test_both_ways_of_seeing(world):
    env, game, seeing = world
    state, first = jax.jit(env.reset)(jax.random.key(3))
    _, described = jax.jit(seeing.reset)(jax.random.key(3))
    for name, group in env.groups.items():
        assert group.observation == Discrete(game.num_states)
        number = np.asarray(first.observation[name])
        np.testing.assert_array_equal(number, np.full(group.size, env.encode(state)))
        space = seeing.groups[name].observation
        shown = np.asarray(described.observation[name])
        assert shown.shape == (group.size, *space.shape)
        np.testing.assert_array_equal(shown, np.broadcast_to(described.state, shown.shape))


def test_a_time_limit_is_no_end(world):
    if world.env.max_steps is None and not hasattr(world.env, "start"):
        pytest.skip("its length is fixed")
    env = world.env.replace(max_steps=1)
    playing = jnp.int32(np.argmax(world.game.start))

    @jax.jit
    def at(time):
        return env.observe(env.decode(playing).replace(time=time))

    early, late = at(jnp.int32(0)), at(jnp.int32(1))
    assert not early.last
    assert late.last
    for discount in late.discount.values():
        np.testing.assert_array_equal(discount, 1)
