"""The hunt against exact Markov chains of the distance between hunter and prey."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.gridworlds.predator_prey import PredatorPreyState, distinct, predator_prey
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, random_policy

STEPS = [(-1, 0), (1, 0), (0, 1), (0, -1)]


def expected_steps(size):
    """Mean time of one random hunter to catch one prey, from different cells drawn uniformly.

    The prey's place relative to the hunter is a Markov chain; solved as a linear system.
    """
    number = lambda row, column: row % size * size + column % size
    chain = np.zeros((size**2, size**2))
    for (row, column), hunter, prey in itertools.product(np.ndindex(size, size), STEPS, STEPS):
        after = row - hunter[0], column - hunter[1]
        if number(*after) == 0:
            continue
        last = after[0] + prey[0], after[1] + prey[1]
        if number(*last) != 0:
            chain[number(row, column), number(*last)] += 1 / 16
    left = chain[1:, 1:]
    return np.linalg.solve(np.eye(len(left)) - left, np.ones(len(left))).mean()


@pytest.mark.parametrize("size", [4, 5, 7])
def test_random_hunters_take_as_long_as_the_chain_says(size):
    env = predator_prey(size, num_hunters=1, depth=1, max_steps=2000)
    player = Player(random_policy(env), ())
    play = jax.jit(lambda key: evaluate(key, env, player, 1000, 2000))
    lengths = np.asarray(play(jax.random.key(0)).length)
    error = lengths.std() / np.sqrt(len(lengths))
    assert abs(lengths.mean() - expected_steps(size)) < 3.5 * error


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


def test_the_torus_wraps_and_prey_may_run_into_a_hunter():
    env = predator_prey(num_hunters=1, depth=2)
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
    env = predator_prey(num_hunters=2, num_prey=2, depth=2, observation="index")
    state = at([[0, 9], [5, 5]], [[9, 1], [0, 5]])
    assert env.observe(state).observation["hunters"].tolist() == [9, 25]
    gone = at([[0, 9], [5, 5]], [[9, 1], [0, 5]], free=[False, True])
    assert env.observe(gone).observation["hunters"].tolist() == [25, 25]
    env = predator_prey(num_hunters=2, num_prey=2, depth=2)
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
        ("depth", {"depth": 5}),
        ("depth", {"depth": 0}),
        ("max_steps", {"max_steps": 0}),
        ("observation", {"observation": "pixels"}),
    ],
)
def test_mistakes_are_named(field, options):
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        predator_prey(**options)
