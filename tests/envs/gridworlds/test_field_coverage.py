"""The drones' task against loops over the ground and a search over the places."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.gridworlds.field_coverage import FIELD, field_coverage
from jaxmarl_core.solvers.markov_games import backup, markov_game


@pytest.fixture(scope="module")
def env():
    return field_coverage()


def covers(places, rows=7, columns=7, half_angle=30.0, field=FIELD):
    """Whether the field is seen and nothing twice, by the text of the task."""
    reach = [(height + 1) * math.tan(math.radians(half_angle)) for _, _, height in places]
    count = np.zeros((rows, columns), int)
    for (row, column, _), far in zip(places, reach):
        for r, c in itertools.product(range(rows), range(columns)):
            count[r, c] += max(abs(r - row), abs(c - column)) <= far
    return all(count[cell] == 1 for cell in field) and (count <= 1).all()


def test_the_published_solution_and_what_spoils_it(env):
    """Above (2, 3) and (3, 6) at heights 2 and 3 (1 and 2 here); nearer, they see a cell twice."""
    done = lambda *places: bool(env.done(jnp.array(places)))
    for low, high in itertools.product((1, 2), repeat=2):
        assert done((2, 3, low), (3, 6, high))
        assert covers([(2, 3, low), (3, 6, high)])
    assert not done((2, 3, 1), (3, 5, 1))
    assert not done((2, 3, 0), (3, 6, 1))


def test_coverage_is_that_of_the_text_in_every_state(env):
    places = list(itertools.product(range(7), range(7), range(4)))
    pairs = np.array(list(itertools.product(places, places)))
    found = np.asarray(jax.jit(jax.vmap(env.done))(jnp.asarray(pairs)))
    some = np.random.default_rng(0).choice(len(pairs), 1500, replace=False)
    for i in np.union1d(np.flatnonzero(found), some):
        assert found[i] == covers([tuple(p) for p in pairs[i]])
    assert found.any()


def test_planning_finds_the_shortest_way():
    """Value iteration on our tables, and a breadth-first search over rules written out here."""
    options = {
        "rows": 3, "columns": 4, "heights": 2, "half_angle": 46.0,
        "field": ((1, 0), (1, 1), (1, 3)),
    }  # fmt: skip
    env = field_coverage(**options, goal_reward=1.0)
    done = lambda s: covers(s, 3, 4, 46.0, options["field"])

    def after(state, joint):
        state = list(state)
        for i, a in enumerate(joint):
            step = [(-1, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)][a]
            wanted = tuple(x + d for x, d in zip(state[i], step))
            inside = all(0 <= x < n for x, n in zip(wanted, (3, 4, 2)))
            if inside and wanted not in state[:i] + state[i + 1 :]:
                state[i] = wanted
        return tuple(state)

    start = tuple(env.starts)
    level, seen, moves = {start}, {start}, 0
    while not any(map(done, level)):
        level = {after(s, j) for s in level for j in itertools.product(range(6), repeat=2)} - seen
        seen |= level
        moves += 1
        assert level, "cannot be covered"

    game = markov_game(env)
    value = jnp.zeros((2, game.num_states))
    step = jax.jit(lambda v: backup(game, v, 0.9).max(axis=(-2, -1)))
    for _ in range(moves + 2):
        value = step(value)
    first = int(env.encode(env.initial(jax.random.key(0))))
    np.testing.assert_allclose(value[0, first], 0.9 ** (moves - 1), rtol=1e-5)


def test_features(env):
    state = env.initial(jax.random.key(0)).replace(place=jnp.array([[3, 5, 1], [6, 0, 3]]))
    hot = np.flatnonzero(env.features(state))
    assert hot.tolist() == [3, 7 + 5, 14 + 1, 18 + 6, 25 + 0, 32 + 3]
    radial = np.asarray(env.radial_basis(state))
    assert radial.shape == (2, 8)
    np.testing.assert_allclose(radial[0].max(), 1.0)  # on the centre (3, 5, 1)
    np.testing.assert_allclose(radial[1, 0], np.exp(-((3**2 + 3**2 + 2**2) / 8)), rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("rows", {"rows": 1}),
        ("columns", {"columns": 0}),
        ("heights", {"heights": 0}),
        ("num_drones", {"num_drones": 0}),
        ("num_drones", {"num_drones": 5}),
        ("half_angle", {"half_angle": 90.0}),
        ("field", {"field": ()}),
        ("field", {"field": ((7, 0),)}),
        ("starts", {"starts": ((0, 0, 0),)}),
        ("starts", {"starts": ((0, 0, 0), (0, 0, 0))}),
        ("starts", {"starts": ((0, 0, 0), (0, 0, 4))}),
        ("starts", {"starts": ((2, 3, 1), (3, 6, 1))}),
        ("observation", {"observation": "pixels"}),
        ("max_steps", {"max_steps": 0}),
    ],
)
def test_mistakes_are_named(field, options):
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        field_coverage(**options)
