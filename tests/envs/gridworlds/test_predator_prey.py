"""The hunt against exact Markov chains of the distance between hunter and prey."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg

from jaxmarl_core.envs.gridworlds.predator_prey import PredatorPreyState, distinct, predator_prey
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, random_policy

STEPS = [(-1, 0), (1, 0), (0, 1), (0, -1)]
ONES = jnp.ones(4, jnp.int32)


def random_walk(size, walls):
    """[S, S], the chance that a step in a random direction leads from a cell to another."""
    chain = np.zeros((size**2, size**2))
    for (row, column), (down, right) in itertools.product(np.ndindex(size, size), STEPS):
        after = np.array([row + down, column + right])
        after = np.clip(after, 0, size - 1) if walls else after % size
        chain[row * size + column, after[0] * size + after[1]] += 1 / 4
    return chain


def expected_steps(size, num_hunters, walls):
    """Mean time of random hunters to catch one prey, from different cells drawn uniformly.

    The places of all are a Markov chain: the times [S, ..., S], one axis each, the prey's the last,
    solve t = 1 + P t, where P keeps those paths on which no hunter meets the prey.
    """
    walk = random_walk(size, walls)
    shape = (size**2,) * (num_hunters + 1)
    cell = np.indices(shape, sparse=True)
    pairs = itertools.combinations(range(num_hunters + 1), 2)
    differ = {(i, j): cell[i] != cell[j] for i, j in pairs}
    apart, distinct_cells = np.ones(shape), np.ones(shape)
    for (_, j), different in differ.items():
        distinct_cells *= different
        if j == num_hunters:  # the prey
            apart *= different

    def later(t, axes):
        t = apart * t
        for axis in axes:
            t = np.moveaxis(np.tensordot(walk, t, (1, axis)), 0, axis)
        return t

    def residual(t):
        t = t.reshape(shape)
        return (t - later(later(t, [num_hunters]), range(num_hunters))).ravel()

    one = np.ones(np.prod(shape))
    system = scipy.sparse.linalg.LinearOperator((one.size, one.size), residual, dtype=float)
    times, failed = scipy.sparse.linalg.bicgstab(system, one, rtol=1e-6)
    assert not failed
    return np.average(times, weights=distinct_cells.ravel())


def test_two_ways_to_solve_the_chain_agree():
    """On a torus the prey's place relative to the one hunter is a chain of S states by itself."""
    size, chain = 5, np.zeros((25, 25))
    for (row, column), hunter, prey in itertools.product(np.ndindex(size, size), STEPS, STEPS):
        after = np.array([row - hunter[0], column - hunter[1]]) % size
        if after.any() and ((after + prey) % size).any():
            to = (after + prey) % size
            chain[row * size + column, to[0] * size + to[1]] += 1 / 16
    left = chain[1:, 1:]
    relative = np.linalg.solve(np.eye(24) - left, np.ones(24)).mean()
    np.testing.assert_allclose(expected_steps(size, 1, walls=False), relative, rtol=1e-4)


@pytest.mark.parametrize(
    ("num_hunters", "walls", "expected"),
    # Tan, 1993: 123.08 and 56.47, by playing; 60,000 games of a program of its own had
    # 60.6 +- 0.3 and 41.7 +- 0.2 for two hunters
    [
        (1, True, 123.7),
        (1, False, 84.1),
        pytest.param(2, True, 60.3, marks=pytest.mark.slow),
        pytest.param(2, False, 41.7, marks=pytest.mark.slow),
    ],
)
def test_the_table_of_random_hunters(num_hunters, walls, expected):
    np.testing.assert_allclose(expected_steps(10, num_hunters, walls), expected, atol=0.05)


@pytest.mark.fast("7-1-False", "4-2-True")
@pytest.mark.parametrize("walls", [True, False])
@pytest.mark.parametrize(("size", "num_hunters"), [(4, 1), (7, 1), (4, 2)])
def test_random_hunters_take_as_long_as_the_chain_says(size, num_hunters, walls):
    env = predator_prey(size, num_hunters=num_hunters, depth=1, walls=walls, max_steps=2000)
    player = Player(random_policy(env), ())
    play = jax.jit(lambda key: evaluate(key, env, player, 1000, 2000))
    lengths = np.asarray(play(jax.random.key(0)).length)
    error = lengths.std() / np.sqrt(len(lengths))
    assert abs(lengths.mean() - expected_steps(size, num_hunters, walls)) < 3.5 * error


def at(hunters, prey, free=None):
    free = jnp.ones(len(prey), bool) if free is None else jnp.array(free)
    nothing = jnp.zeros(len(hunters))
    return PredatorPreyState(jnp.array(hunters), jnp.array(prey), free, nothing, jnp.int32(0))


def test_a_hunter_catches_before_the_prey_runs():
    env = predator_prey(num_hunters=2, depth=2)
    state = at([[5, 5], [0, 0]], [[4, 5]])
    state, timestep = env.step(jax.random.key(0), state, {"hunters": jnp.array([0, 1])})
    np.testing.assert_allclose(timestep.reward["hunters"], [1.0, -0.1])
    np.testing.assert_allclose(timestep.discount["hunters"], 0.0)
    assert timestep.last
    assert state.prey.tolist() == [[4, 5]]


def test_at_a_wall_one_stays():
    """Hunters in the corners run into all four walls; the prey between others is not seen round."""
    env = predator_prey(size=4, num_hunters=4, depth=2)
    corners = [[0, 0], [3, 0], [3, 3], [0, 0]]
    state, _ = env.step(jax.random.key(0), at(corners, [[1, 1]]), {"hunters": jnp.arange(4)})
    assert state.hunters.tolist() == corners
    for seed in range(8):
        state, _ = env.step(jax.random.key(seed), at([[3, 3]] * 4, [[0, 0]]), {"hunters": ONES})
        assert state.prey.tolist() in ([[0, 0]], [[1, 0]], [[0, 1]])
    far = predator_prey(num_hunters=1, depth=2, observation="index")
    assert far.observe(at([[0, 9]], [[9, 0]])).observation["hunters"].tolist() == [25]


def test_the_torus_wraps_and_prey_may_run_into_a_hunter():
    env = predator_prey(num_hunters=1, depth=2, walls=False)
    state, _ = env.step(jax.random.key(0), at([[0, 0]], [[5, 5]]), {"hunters": jnp.array([0])})
    assert state.hunters.tolist() == [[9, 0]]
    caught = 0
    for seed in range(60):  # the hunter ends up beside the prey, which walks into it 1 time in 4
        state, _ = env.step(
            jax.random.key(seed), at([[5, 3]], [[5, 5]]), {"hunters": jnp.array([2])}
        )
        caught += int(not state.free[0])
    assert 5 <= caught <= 27


def test_two_are_needed_together():
    env = predator_prey(num_hunters=3, depth=2, joint=True)
    stays = {"hunters": jnp.array([0, 0, 0])}
    state = at([[6, 5], [9, 9], [5, 6]], [[5, 5]])  # first moves onto it, third beside it
    state = state.replace(hunters=jnp.array([[6, 5], [9, 9], [6, 6]]))
    _, timestep = env.step(jax.random.key(0), state, stays)
    np.testing.assert_allclose(timestep.reward["hunters"], [1.0, -0.1, 1.0])
    alone = state.replace(hunters=jnp.array([[6, 5], [9, 9], [0, 0]]))
    after, timestep = env.step(jax.random.key(0), alone, stays)
    assert after.free[0]
    assert not timestep.last


def test_what_hunters_see():
    """Depth 2: a square of 25 places, then nothing. Prey at (-1, +2) is number 1 * 5 + 4."""
    env = predator_prey(num_hunters=2, num_prey=2, depth=2, walls=False, observation="index")
    state = at([[0, 9], [5, 5]], [[9, 1], [0, 5]])
    assert env.observe(state).observation["hunters"].tolist() == [9, 25]
    gone = at([[0, 9], [5, 5]], [[9, 1], [0, 5]], free=[False, True])
    assert env.observe(gone).observation["hunters"].tolist() == [25, 25]
    env = predator_prey(num_hunters=2, num_prey=2, depth=2, walls=False)
    near = at([[0, 9], [1, 9]], [[9, 1], [0, 5]])
    seen = env.observe(near).observation["hunters"]
    np.testing.assert_allclose(seen[0], [1, -0.5, 1, 0, 0, 0, 1, 0.5, 0])
    np.testing.assert_allclose(seen[1], [1, -1, 1, 0, 0, 0, 1, -0.5, 0])


def test_starts_are_distinct_and_uniform():
    draws = np.asarray(
        jax.jit(jax.vmap(lambda key: distinct(key, 3, 5)))(
            jax.random.split(jax.random.key(0), 6000)
        )
    )
    assert all(len(set(draw)) == 3 for draw in draws.tolist())
    _, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(counts) == 5 * 4 * 3
    assert np.sum((counts - 100) ** 2 / 100) < 98  # chi-square, 59 degrees, 0.1 % level


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("size", {"size": 2}),
        ("num_hunters", {"num_hunters": 0}),
        ("num_hunters", {"num_hunters": 1, "joint": True}),
        ("num_hunters", {"size": 3, "num_hunters": 9, "depth": 1}),
        ("num_prey", {"num_prey": 0}),
        ("depth", {"depth": 10}),
        ("depth", {"depth": 5, "walls": False}),
        ("depth", {"depth": 0}),
        ("max_steps", {"max_steps": 0}),
        ("observation", {"observation": "pixels"}),
    ],
)
def test_mistakes_are_named(field, options):
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        predator_prey(**options)
