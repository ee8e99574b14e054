"""The rendezvous against a breadth-first search in NumPy over joint positions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.gridworlds.rendezvous import WALLS, rendezvous
from jaxmarl_core.solvers.markov_games import backup, markov_game

KEY = jax.random.key(0)
MOVES = [(-1, 0), (1, 0), (0, 1), (0, -1), (0, 0)]


def follow(pair, joint, rows, columns, walls, goal):
    """Where two solid robots are after a joint action."""
    wanted = []
    for (row, column), action in zip(pair, joint):
        to = (row + MOVES[action][0], column + MOVES[action][1])
        free = 0 <= to[0] < rows and 0 <= to[1] < columns and to not in walls
        wanted.append(to if free else (row, column))
    if wanted[0] == wanted[1] != goal or tuple(wanted) == pair[::-1]:
        return pair
    return tuple(wanted)


def steps_to_meet(rows, columns, walls, goal):
    """{pair of cells: steps of the best joint policy}, by relaxing until nothing changes."""
    cells = [c for c in itertools.product(range(rows), range(columns)) if c not in walls]
    pairs = [(a, b) for a, b in itertools.product(cells, repeat=2) if a != b]
    after = {
        pair: {
            follow(pair, joint, rows, columns, walls, goal)
            for joint in itertools.product(range(5), repeat=2)
        }
        for pair in pairs
    }
    steps = {(goal, goal): 0}
    while True:
        found = {
            pair: 1 + min(steps.get(n, np.inf) for n in nexts) for pair, nexts in after.items()
        }
        found = {p: n for p, n in found.items() if np.isfinite(n)} | {(goal, goal): 0}
        if found == steps:
            return steps
        steps = found


@pytest.mark.parametrize(
    ("options", "walls"),
    [({}, WALLS), ({"rows": 2, "columns": 3, "goal": (0, 0), "walls": ((0, 1),)}, ((0, 1),))],
)
def test_best_values_are_those_of_the_shortest_way(options, walls):
    env = rendezvous(**options)
    game = markov_game(env)
    step = jax.jit(lambda v: backup(game, v, 0.98).max(axis=(2, 3)))
    value = jnp.zeros((2, env.num_states))
    for _ in range(30):
        value = step(value)
    cells = np.asarray(jax.vmap(env.decode)(jnp.arange(env.num_states)).cell)
    steps = steps_to_meet(env.rows, env.columns, walls, env.goal)
    reachable = 0
    for s, pair in enumerate(cells):
        pair = tuple(divmod(int(c), env.columns) for c in pair)
        if pair in steps and not game.terminal[s]:
            reachable += 1
            np.testing.assert_allclose(value[:, s], 10 * 0.98 ** (steps[pair] - 1), rtol=1e-5)
    assert reachable == len(steps) - 1
    if not options:  # six moves each, and the gap lets one through at a time
        assert steps[((4, 0), (4, 4))] == 7


def test_who_goes_first_is_a_matter_of_convention():
    """At the gap two different joint actions are best, and mixing them up is not."""
    env = rendezvous()
    game = markov_game(env)
    value = jnp.zeros((2, env.num_states))
    for _ in range(10):
        value = backup(game, value, 0.98).max(axis=(2, 3))
    state = env.initial(KEY).replace(cell=jnp.array([21, 23]))  # both beside the gap's foot, 22
    stage = np.asarray(backup(game, value, 0.98))[0, int(env.encode(state))]
    best = {tuple(map(int, pair)) for pair in np.argwhere(stage > stage.max() - 1e-5)}
    east, west, stand = 2, 3, 4
    assert {(east, stand), (stand, west)} <= best
    assert (east, west) not in best
    assert (stand, stand) not in best


def test_the_first_may_wait_at_the_goal():
    env = rendezvous(step_reward=-0.1)
    state, _ = env.reset(KEY)
    state = state.replace(cell=jnp.array([2, 7]))  # robot 0 is in, robot 1 next to it
    step = jax.jit(env.step)
    _, waiting = step(KEY, state, {"agents": jnp.array([4, 4])})
    assert not waiting.last
    np.testing.assert_allclose(waiting.reward["agents"], -0.1, rtol=1e-6)
    _, met = step(KEY, state, {"agents": jnp.array([4, 0])})
    assert met.last
    np.testing.assert_allclose(met.reward["agents"], 9.9, rtol=1e-6)
    np.testing.assert_array_equal(met.discount["agents"], 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 1}, "rows: expected at least 2, got 1"),
        ({"columns": 0}, "columns: expected at least 2, got 0"),
        ({"goal": (5, 0)}, r"goal: expected cells .* within 5 x 5, got \(5, 0\)"),
        ({"goal": (1, 1)}, r"goal: expected free cells, got \(1, 1\)"),
        ({"walls": ((9, 9),)}, r"walls: expected cells .* got \(9, 9\)"),
        (
            {"walls": ((3, 2), *WALLS)},
            r"walls: expected a way to the goal .* \(4, 4\)",
        ),
        ({"starts": ((4, 0), (4, 0))}, "starts: expected two different cells"),
        ({"starts": ((4, 0), (0, 2))}, "starts: expected two different cells besides the goal"),
        ({"start": "rand"}, "start: .* did you mean 'random'"),
        ({"max_steps": 0}, "max_steps: expected at least 1, or None, got 0"),
        ({"observation": "x"}, "observation: expected one of features, index"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        rendezvous(**options)
