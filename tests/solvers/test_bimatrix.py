"""Equilibria of bimatrix games: recorded exact ones, nashpy's, best replies, symmetries."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle

from jaxmarl_core.solvers.normal_form.bimatrix import bimatrix_nash, nash
from jaxmarl_core.solvers.normal_form.lemke_howson import lemke_howson, lemke_howson_equilibria
from jaxmarl_core.solvers.normal_form.selection import (
    best_for,
    first,
    payoff_dominant,
    risk_dominant,
    second,
    welfare,
)

GAMES = {game["name"]: game for game in oracle("bimatrix.json")["bimatrix"]}
NAMES = [  # every shape compiles anew: two of them suffice for the fast tests
    name if np.shape(game["A"]) in ((2, 2), (3, 3)) else pytest.param(name, marks=pytest.mark.slow)
    for name, game in GAMES.items()
]
enumerate_all = jax.jit(bimatrix_nash)
enumerate_batch = jax.jit(jax.vmap(bimatrix_nash))
walk = jax.jit(lemke_howson)
walk_batch = jax.jit(jax.vmap(lemke_howson))
walk_all = jax.jit(lemke_howson_equilibria)


def payoffs_of(game):
    return np.array([game["A"], game["B"]], np.float32)


def random_games(count, rows, columns, seed=0, integers=None):
    rng = np.random.default_rng(seed)
    shape = (count, 2, rows, columns)
    if integers is not None:
        return rng.integers(0, integers, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def pairs(equilibria):
    """The valid ones, as NumPy pairs (x, y)."""
    chosen = np.asarray(equilibria.valid)
    return list(zip(np.asarray(equilibria.row)[chosen], np.asarray(equilibria.column)[chosen]))


def regrets(payoffs, row, column):
    """What the better of both deviations brings, [...], by NumPy in float64."""
    a, b = np.moveaxis(np.asarray(payoffs, np.float64), -3, 0)
    row, column = np.asarray(row, np.float64), np.asarray(column, np.float64)
    worth = np.einsum("...ij,...j->...i", a, column), np.einsum("...ij,...i->...j", b, row)
    gains = [u.max(-1) - (u * p).sum(-1) for u, p in zip(worth, (row, column))]
    return np.maximum(*gains)


def assert_strategies(x, valid):
    x = np.asarray(x)[np.asarray(valid)]
    assert (x >= 0).all()
    np.testing.assert_allclose(x.sum(-1), 1, atol=1e-5)


def same_set(found, wanted, atol=1e-4):
    near = lambda p, q: all(np.abs(a - b).max() < atol for a, b in zip(p, q))
    return len(found) == len(wanted) and all(any(near(p, q) for q in found) for p in wanted)


@pytest.mark.parametrize("name", NAMES)
def test_all_recorded_extreme_equilibria(name):
    """Exactly those of exact arithmetic, degenerate games among them."""
    game = GAMES[name]
    found = enumerate_all(payoffs_of(game))
    wanted = [(np.array(e["x"]), np.array(e["y"])) for e in game["equilibria"]]
    assert int(found.count) == len(wanted)
    assert same_set(pairs(found), wanted)
    for x, y in pairs(found):
        assert regrets(payoffs_of(game), x, y) < 1e-5 * np.ptp(payoffs_of(game))


@pytest.mark.parametrize("name", ["rand009", "rand078", "penalty_k-100", "rps"])
@pytest.mark.slow
def test_recorded_in_double_precision(name):
    with jax.enable_x64(True):
        game = GAMES[name]
        found = jax.jit(bimatrix_nash)(np.array([game["A"], game["B"]], np.float64))
        wanted = [(np.array(e["x"]), np.array(e["y"])) for e in game["equilibria"]]
        assert found.row.dtype == np.float64
        assert same_set(pairs(found), wanted, 1e-12)
        end = jax.jit(lemke_howson)(np.array([game["A"], game["B"]], np.float64))
        assert end.solved and end.regret < 1e-12 * np.ptp(game["A"])


@pytest.mark.fast("rand030", "chicken", "penalty_k-100", "stackelberg_commit_example")
@pytest.mark.parametrize("name", NAMES)
def test_every_label_leads_to_an_equilibrium(name):
    payoffs = payoffs_of(GAMES[name])
    found = walk_all(payoffs)
    assert found.count >= 1
    wanted = [(np.array(e["x"]), np.array(e["y"])) for e in GAMES[name]["equilibria"]]
    for x, y in pairs(found):
        assert regrets(payoffs, x, y) < 1e-5 * np.ptp(payoffs)
        if GAMES[name]["apparently_nondegenerate"]:
            assert any(np.abs(x - p).max() + np.abs(y - q).max() < 1e-4 for p, q in wanted)


SIZES = [(2, 2), (2, 3), (3, 3), (4, 3), (4, 4)]


def check_batch(payoffs):
    equilibria = enumerate_batch(payoffs)
    valid = np.asarray(equilibria.valid)
    assert (np.asarray(equilibria.count) >= 1).all()
    assert (np.asarray(equilibria.count) == valid.sum(1)).all()  # none was left out
    for x in (equilibria.row, equilibria.column):
        assert_strategies(x, valid)
        assert (np.asarray(x)[~valid] == 0).all()
    gains = regrets(payoffs[:, None], equilibria.row, equilibria.column)
    assert (gains[valid] < 1e-4).all()
    ends = walk_batch(payoffs)
    assert np.asarray(ends.solved).all() and not np.asarray(ends.capped).any()
    assert (regrets(payoffs, *ends.strategies) < 2e-4).all()
    return equilibria, ends


@pytest.mark.parametrize("rows,columns", SIZES)
@pytest.mark.slow
def test_random_games(rows, columns):
    """Best replies; an odd number (Wilson, 1971); and what the walk finds is among them."""
    payoffs = random_games(200, rows, columns)
    equilibria, ends = check_batch(payoffs)
    with jax.enable_x64(True):
        count = np.asarray(jax.jit(jax.vmap(bimatrix_nash))(payoffs.astype(np.float64)).count)
    assert (count % 2 == 1).all()
    assert (count == np.asarray(equilibria.count)).mean() >= 0.99  # f32 may see a tie: one in 200
    apart = [
        np.abs(np.asarray(all_) - np.asarray(one)[:, None]).max(-1)
        for all_, one in zip((equilibria.row, equilibria.column), ends.strategies)
    ]
    apart = np.where(np.asarray(equilibria.valid), np.maximum(*apart), np.inf)
    assert (apart.min(1) < 1e-2).all()


@pytest.mark.parametrize("integers", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.slow
def test_degenerate_games(size, integers):
    """Few different payoffs: ties everywhere; 1 is the game where nothing matters."""
    equilibria, _ = check_batch(random_games(200, size, size, 1, integers))
    if integers == 1:
        assert (np.asarray(equilibria.count) == size * size).all()  # every pure pair


@pytest.mark.slow
@pytest.mark.parametrize("size,count", [(2, 20000), (3, 10000), (4, 4000), (5, 1000)])
def test_many_random_games(size, count):
    check_batch(random_games(count, size, size, 2))
    check_batch(random_games(count, size, size, 3, 3))


@pytest.mark.parametrize("size", [10, 25])
@pytest.mark.slow
def test_walks_in_larger_games(size):
    for integers in (None, 3):
        payoffs = random_games(50, size, size, 4, integers)
        ends = walk_batch(payoffs)
        assert np.asarray(ends.solved).all()
        assert (regrets(payoffs, *ends.strategies) < 2e-4).all()


@pytest.mark.parametrize("rows,columns", [(3, 3), (4, 3)])
@pytest.mark.slow
def test_nashpy_finds_the_same(rows, columns):
    nashpy = pytest.importorskip("nashpy")
    payoffs = random_games(30, rows, columns, 5)
    found = enumerate_batch(payoffs)
    for i, (a, b) in enumerate(payoffs.astype(np.float64)):
        wanted = list(nashpy.Game(a, b).vertex_enumeration())
        assert same_set(pairs(jax.tree.map(lambda x, i=i: x[i], found)), wanted, 1e-3)


def test_two_by_two_by_hand():
    """Mixed: everybody makes the other indifferent. Pure: nobody gains alone."""
    for payoffs in random_games(40, 2, 2, 6):
        a, b = payoffs.astype(np.float64)
        wanted = [
            (np.eye(2)[i], np.eye(2)[j])
            for i in range(2)
            for j in range(2)
            if a[i, j] >= a[1 - i, j] and b[i, j] >= b[i, 1 - j]
        ]
        x = (b[1, 1] - b[1, 0]) / (b[0, 0] - b[0, 1] - b[1, 0] + b[1, 1])
        y = (a[1, 1] - a[0, 1]) / (a[0, 0] - a[0, 1] - a[1, 0] + a[1, 1])
        if 0 < x < 1 and 0 < y < 1:
            wanted.append((np.array([x, 1 - x]), np.array([y, 1 - y])))
        assert same_set(pairs(enumerate_all(payoffs)), wanted)


def test_order_is_pure_first():
    chicken = np.array([[[0, 7], [2, 6]], [[0, 2], [7, 6]]], np.float32)
    found = enumerate_all(chicken)
    np.testing.assert_allclose(found.row[:3], [[1, 0], [0, 1], [1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(found.column[:3], [[0, 1], [1, 0], [1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(found.values[:3], [[7, 2], [2, 7], [14 / 3, 14 / 3]], atol=1e-5)


@pytest.mark.slow
def test_permuted_actions_permute_equilibria():
    rows, columns = np.array([2, 0, 1]), np.array([1, 2, 0])
    payoffs = random_games(50, 3, 3, 7)
    before = enumerate_batch(payoffs)
    after = enumerate_batch(payoffs[:, :, rows][:, :, :, columns])
    for i in range(len(payoffs)):
        wanted = [
            (x[rows], y[columns]) for x, y in pairs(jax.tree.map(lambda x, i=i: x[i], before))
        ]
        assert same_set(pairs(jax.tree.map(lambda x, i=i: x[i], after)), wanted, 1e-3)


@pytest.mark.slow
def test_units_change_nothing():
    """Payoffs times a number, and anything added to what one action of the other is worth."""
    payoffs = random_games(50, 3, 3, 8)
    shift = np.stack([np.tile([0, 5, -3], (3, 1)), np.tile([[1], [-4], [2]], (1, 3))])
    before, after = enumerate_batch(payoffs), enumerate_batch(payoffs * 1e3 + 1e3 * shift)
    np.testing.assert_array_equal(before.count, after.count)
    np.testing.assert_allclose(before.row, after.row, atol=2e-3)


MASKS = (np.array([True, False, True, True]), np.array([False, True, True]))


@pytest.mark.slow
def test_masks_are_submatrices():
    rows, columns = MASKS
    masked = jax.jit(jax.vmap(lambda p: bimatrix_nash(p, rows, columns)))
    walked = jax.jit(jax.vmap(lambda p: lemke_howson(p, 1, rows, columns)))
    part_walk = jax.jit(jax.vmap(lambda p: lemke_howson(p, 1)))
    payoffs = random_games(50, 4, 3, 9)
    part = payoffs[:, :, rows][..., columns]
    payoffs[:, :, ~rows] = 1e6  # would be everybody's favourites
    payoffs[..., ~columns] = np.nan
    found, wanted = masked(payoffs), enumerate_batch(part)
    np.testing.assert_array_equal(found.count, wanted.count)
    kept = wanted.valid.shape[1]
    np.testing.assert_allclose(found.row[:, :kept][..., rows], wanted.row, atol=1e-5)
    np.testing.assert_allclose(found.column[:, :kept][..., columns], wanted.column, atol=1e-5)
    assert (np.asarray(found.row)[..., ~rows] == 0).all()
    ends, wanted = walked(payoffs), part_walk(part)
    assert np.asarray(ends.solved).all()
    np.testing.assert_allclose(
        np.asarray(ends.strategies[0])[:, rows], wanted.strategies[0], atol=1e-4
    )
    np.testing.assert_allclose(ends.values, wanted.values, atol=1e-4)


@pytest.mark.slow
def test_ten_thousand_games_without_nan():
    payoffs = random_games(10000, 2, 2, 10)
    payoffs[:2000] = np.round(payoffs[:2000])
    solution = jax.jit(jax.vmap(nash))(payoffs)
    assert np.asarray(solution.solved).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(solution))
    assert (regrets(payoffs, *solution.strategies) < 1e-4).all()


@pytest.mark.slow
def test_limits_are_reported():
    payoffs = random_games(20, 4, 4, 11)
    short = jax.jit(jax.vmap(partial(lemke_howson, max_pivots=1)))(payoffs)
    full = walk_batch(payoffs)
    capped = np.asarray(full.pivots) > 1
    assert capped.any()
    np.testing.assert_array_equal(short.capped, capped)
    np.testing.assert_array_equal(short.solved, ~capped)
    assert np.isnan(np.asarray(short.values)[capped]).all()
    assert (np.asarray(short.strategies[0])[capped] == 0).all()  # nothing that could be played
    chicken = np.array([[[0, 7], [2, 6]], [[0, 2], [7, 6]]], np.float32)
    one = bimatrix_nash(chicken, capacity=1)
    assert one.valid.shape == (1,) and int(one.count) == 3


@pytest.mark.slow
@pytest.mark.parametrize("find", [bimatrix_nash, lemke_howson_equilibria])
def test_failure_is_never_a_strategy(find):
    nothing = np.full((2, 2, 2), np.nan, np.float32)
    for payoffs, mask in ((nothing, None), (np.zeros((2, 2, 2)), np.zeros(2, bool))):
        solution = nash(payoffs, mask, find=find)
        assert not solution.solved
        assert np.isnan(np.asarray(solution.values)).all()
        assert not np.nan_to_num(np.asarray(solution.strategies[0])).any()


# Stag hunt: both hunt is worth 4 to both, both gather 3; who hunts alone gets 0.
STAG = np.array([[[4, 0], [3, 3]], [[4, 3], [0, 3]]], np.float32)
BATTLE = np.array([[[2, 0], [0, 1]], [[1, 0], [0, 2]]], np.float32)


@pytest.mark.parametrize(
    "select,payoffs,values",
    [
        (first, STAG, [4, 4]),
        (second, STAG, [3, 3]),
        (payoff_dominant, STAG, [4, 4]),
        (payoff_dominant, STAG[:, ::-1, ::-1], [4, 4]),
        (risk_dominant, STAG, [3, 3]),  # products of losses: 1 * 1 < 3 * 3
        (risk_dominant, STAG[:, ::-1, ::-1], [3, 3]),
        (welfare, STAG, [4, 4]),
        (best_for(0), BATTLE, [2, 1]),
        (best_for(1), BATTLE, [1, 2]),
        (payoff_dominant, BATTLE, [2, 1]),  # none dominates another pure one: the first
        (risk_dominant, BATTLE, [2, 1]),  # equal products: the first
    ],
)
@pytest.mark.parametrize("variant", ["plain", "vmap"], indirect=True)
def test_selection_by_hand(variant, select, payoffs, values):
    rule = partial(nash, select=select, find=enumerate_all)  # compiled once for all rules
    solution = variant(rule)(jnp.asarray(payoffs))
    assert solution.solved
    np.testing.assert_allclose(solution.values, values, atol=1e-5)


def test_labels_select():
    """In the battle of the sexes a label of an action used leads to where it is used."""
    ends = [walk(BATTLE, label) for label in range(5)]
    np.testing.assert_allclose([e.values for e in ends[:2]], [[2, 1], [1, 2]], atol=1e-6)
    np.testing.assert_allclose(ends[4].values, ends[0].values)  # labels begin anew
    order = [walk(BATTLE, label).strategies[0] for label in (1, 0)]
    find = jax.jit(partial(lemke_howson_equilibria, labels=(1, 0)))
    np.testing.assert_allclose(find(BATTLE).row, order, atol=1e-6)
    chosen = nash(BATTLE, select=second, find=find)
    np.testing.assert_allclose(chosen.strategies[0], order[1], atol=1e-6)


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: bimatrix_nash(np.zeros((3, 2, 2))), "payoffs: expected shape"),
        (lambda: bimatrix_nash(np.zeros((2, 9, 9))), "lemke_howson"),
        (lambda: bimatrix_nash(np.zeros((2, 2, 2)), np.ones(3, bool)), "row_mask"),
        (lambda: bimatrix_nash(np.zeros((2, 2, 2)), capacity=0), "capacity"),
        (lambda: lemke_howson(np.zeros((2, 2, 2)), max_pivots=0), "max_pivots"),
        (lambda: lemke_howson_equilibria(np.zeros((2, 2, 2)), labels=()), "labels"),
        (lambda: best_for(2), "player"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
