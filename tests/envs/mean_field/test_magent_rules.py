"""The rules that MAgent's games share, against plain loops; and their builders' complaints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import adversarial_pursuit, battlefield, combined_arms, gather, tiger_deer
from jaxmarl_core.envs.mean_field.magent.attacks import resolve_attacks
from jaxmarl_core.envs.mean_field.magent.bodies import resolve_body_moves
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid, disc
from jaxmarl_core.envs.mean_field.magent.kinds import queue_order
from jaxmarl_core.envs.mean_field.magent.placement import random_places
from jaxmarl_core.functional.packing import compiling_for


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_free_for_all_equals_its_sequential_play(platform):
    """Everybody may hit anybody within two cells; crowds in which deaths void later blows."""
    grid, offsets, n = Grid(8, 2), disc(2, inner=1), 20

    def fight(cell, hp, alive, attack, rank):
        occupant = grid.occupancy(cell, alive, jnp.arange(n, dtype=jnp.int32))
        fought = cell, hp, alive, attack, rank, jnp.float32(2), occupant
        return resolve_attacks(*fought, offsets, grid)

    many = jax.jit(jax.vmap(fight))
    rng, games = np.random.default_rng(0), 40
    cells = np.array([(x, y) for x in range(1, 7) for y in range(1, 7)])
    position = np.stack([rng.permutation(cells)[:n] for _ in range(games)])
    hp = rng.integers(0, 5, (games, n)).astype(np.float32)
    attack = rng.integers(0, len(offsets) + 3, (games, n))
    attack = np.where(attack < len(offsets), attack, NONE).astype(np.int32)
    rank = np.stack([rng.permutation(n) for _ in range(games)]).astype(np.int32)
    cell = grid.cell_of(position).astype(np.int32)
    with compiling_for(platform):
        fought = many(cell, hp, np.ones((games, n), bool), attack, rank)
    num_void = 0
    for game in range(games):
        left, alive = hp[game].copy(), np.ones(n, bool)
        struck, hit, killer = np.zeros((3, n), bool)
        occupant = {tuple(place): i for i, place in enumerate(position[game])}
        for i in np.argsort(rank[game]):
            if attack[game, i] == NONE or not alive[i]:
                num_void += attack[game, i] != NONE
                continue
            struck[i] = True
            victim = occupant.get(tuple(position[game, i] + offsets[attack[game, i]]))
            if victim is None:
                continue
            left[victim] -= 2
            if left[victim] < 0:
                alive[victim], killer[i] = False, True
                del occupant[tuple(position[game, victim])]
            else:
                hit[i] = True
        np.testing.assert_array_equal(fought.killed[game], ~alive)
        np.testing.assert_array_equal(fought.hp[game], left)
        np.testing.assert_array_equal(fought.struck[game], struck)
        np.testing.assert_array_equal(fought.hit[game], hit)
        np.testing.assert_array_equal(fought.killer[game], killer)
    assert num_void > games  # the order of blows was of consequence


def test_bodies_move_one_after_another():
    """Random crowds of 2 x 2 bodies against a map that is filled and cleared cell by cell."""
    size, n, games = 12, 16, 60
    move = jax.jit(jax.vmap(lambda *args: resolve_body_moves(*args, 2, size)))
    rng, steps = np.random.default_rng(0), disc(1)
    corners = np.array([(x, y) for x in range(0, size, 3) for y in range(0, size, 3)])
    position = np.stack([rng.permutation(corners)[:n] for _ in range(games)])
    position += rng.integers(0, 2, (games, n, 1))  # one row or column between some, none for others
    target = position + steps[rng.integers(0, 5, (games, n))]
    free = ((target >= 0) & (target < size)).all(-1)
    moved = move(position, target, free)
    refused = 0
    for game in range(games):
        body = lambda corner: {(corner[0] + x, corner[1] + y) for x in (0, 1) for y in (0, 1)}
        place = [tuple(corner) for corner in position[game]]
        for i in range(n):
            others = set().union(*(body(place[j]) for j in range(n) if j != i))
            if free[game, i] and not body(target[game, i]) & others:
                place[i] = tuple(target[game, i])
            else:
                refused += free[game, i]
        np.testing.assert_array_equal(moved[game], place)
    assert refused > games


def test_places_are_drawn_one_after_another():
    """A wall, then two bodies: every outcome as likely as the tree of choices says."""
    size, games = 7, 40_000
    inner = np.zeros((size, size), bool)
    inner[1:-1, 1:-1] = True

    def draw(key):
        key_wall, key_bodies = jax.random.split(key)
        wall, free = random_places(key_wall, 1, jnp.asarray(inner), 1)
        bodies, free = random_places(key_bodies, 2, free, 2)
        return jnp.concatenate([wall, bodies]), free

    drawn, free = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), games))
    outcome, count = np.unique(np.asarray(drawn).reshape(games, 6), axis=0, return_counts=True)
    count = dict(zip(map(tuple, outcome.tolist()), count.tolist()))

    cells = [(x, y) for x in range(1, 6) for y in range(1, 6)]
    body = lambda corner: {(corner[0] + x, corner[1] + y) for x in (0, 1) for y in (0, 1)}
    expected = {}
    for wall in cells:
        first = [c for c in cells if body(c) <= set(cells) - {wall}]
        for one in first:
            second = [c for c in first if not body(c) & body(one)]
            for other in second:
                expected[(*wall, *one, *other)] = games / (25 * len(first) * len(second))
    assert set(count) <= set(expected)
    z = [(count.get(key, 0) - mean) / np.sqrt(mean) for key, mean in expected.items()]
    assert abs(np.sum(np.square(z)) / len(z) - 1) < 5 * np.sqrt(2 / len(z))  # chi squared
    taken = np.asarray(free).reshape(games, -1).sum(1)
    np.testing.assert_array_equal(taken, 25 - 1 - 8)


def test_many_places_need_many_lists():
    """Nearly everywhere: one drawn list is far too short."""
    free = np.zeros((12, 12), bool)
    free[1:-1, 1:-1] = True
    places, left = jax.jit(lambda key: random_places(key, 99, jnp.asarray(free), 1))(
        jax.random.key(0)
    )
    assert len(set(map(tuple, places.tolist()))) == 99
    assert free[places[:, 1], places[:, 0]].all()
    assert int(left.sum()) == 1


def test_bands_of_a_big_map():
    """On 200 x 200, columns 0-3 and 22-24 of every 25 move last; by hand."""
    column = np.array([24, 50, 30, 3, 4, 21, 22, 54])
    rank = np.asarray(queue_order(jnp.asarray(column), 200))
    np.testing.assert_array_equal(np.argsort(rank), [4, 5, 2, 7, 0, 1, 3, 6])
    np.testing.assert_array_equal(queue_order(jnp.asarray(column), 99), np.arange(8))


@pytest.mark.parametrize(
    ("builder", "options", "field"),
    [
        (battlefield, {"map_size": 45}, "map_size"),
        (battlefield, {"damage": 0.0}, "damage"),
        (combined_arms, {"map_size": 15}, "map_size"),
        (combined_arms, {"num_melee": 46}, "num_melee"),
        (combined_arms, {"num_ranged": 0}, "num_ranged"),
        (combined_arms, {"ranged_hp": 0.0}, "ranged_hp"),
        (combined_arms, {"move_priority": "first"}, "move_priority"),
        (gather, {"map_size": 19}, "map_size"),
        (gather, {"num_omnivores": 496}, "num_omnivores"),
        (gather, {"num_food": 0}, "num_food"),
        (gather, {"food_hp": -1.0}, "food_hp"),
        (gather, {"id_bits": 32}, "id_bits"),
        (adversarial_pursuit, {"map_size": 6}, "map_size"),
        (adversarial_pursuit, {"map_size": 8}, "map_size"),  # holds no predator by the formula
        (adversarial_pursuit, {"num_predators": 0}, "num_predators"),
        (adversarial_pursuit, {"num_predators": 200}, "num_predators"),
        (adversarial_pursuit, {"num_prey": 2000}, "num_prey"),
        (adversarial_pursuit, {"num_walls": 500}, "num_walls"),
        (adversarial_pursuit, {"max_steps": 0}, "max_steps"),
        (tiger_deer, {"map_size": 9}, "map_size"),
        (tiger_deer, {"num_tigers": 0}, "num_tigers"),
        (tiger_deer, {"num_deer": 2000}, "num_deer"),
        (tiger_deer, {"num_walls": -1}, "num_walls"),
        (tiger_deer, {"supply": -1.0}, "supply"),
        (tiger_deer, {"tiger_hp": 0.0}, "tiger_hp"),
    ],
)
def test_complaints_name_the_field(builder, options, field):
    with pytest.raises(ValueError, match=rf"^{field}: expected .*[,;] got "):
        builder(**options)


def test_numbers_are_leaves():
    """One program serves all rewards and strengths; sizes are no leaves."""
    for build in (battlefield, combined_arms, gather, adversarial_pursuit, tiger_deer):
        leaves, treedef = jax.tree.flatten(build())
        assert len(leaves) >= 3
        assert all(isinstance(leaf, float) for leaf in leaves)
        assert treedef == jax.tree.structure(build(map_size=build().map_size))
