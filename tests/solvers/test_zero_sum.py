"""Zero-sum games: certificates in float64, HiGHS, recorded solutions, and games solved by hand.

A pair of strategies proves itself: the row player's secures min_b x'A e_b and the column player's
allows no more than max_a e_a'A y, and the value lies between. Where both are the same to rounding,
neither can be improved, whoever found them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax, oracle
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form.zero_sum import friend_or_foe, zero_sum

solve = jax.jit(jax.vmap(zero_sum))
RECORDED = oracle("zero_sum.npz")


def games_of_all_kinds(rng, count, rows, columns, dtype=np.float32):
    """{name: [count, rows, columns]}: general games, and every kind of degenerate one."""
    shape = (count, rows, columns)
    normal = rng.normal(size=shape)
    again = [rng.integers(0, (size + 1) // 2, size) for size in (rows, columns)]
    dominated = normal.copy()
    dominated[:, rows // 2 :] = normal[:, : rows - rows // 2] - 1
    kinds = {
        "normal": normal,
        "uniform": rng.random(shape),
        "ties": rng.integers(0, 3, shape),
        "signs": rng.choice([-1, 1], shape),
        "sparse": normal * (rng.random(shape) < 0.2),
        "constant": np.broadcast_to(rng.normal(size=(count, 1, 1)), shape),
        "zero": np.zeros(shape),
        "duplicates": normal[:, again[0]][:, :, again[1]],
        "dominated": dominated,
        "rank one": rng.normal(size=(count, rows, 1)) * rng.normal(size=(count, 1, columns)),
        "tiny": 1e-20 * normal,
        "huge": 1e20 * normal,
        "offset": 1e4 + normal,
    }
    if rows == columns:
        kinds["symmetric"] = normal - normal.swapaxes(1, 2)
        kinds["cycles"] = np.sign(kinds["symmetric"])  # rock, paper, scissors and beyond
        kinds["identity"] = np.broadcast_to(np.eye(rows), shape)
    return {name: np.asarray(games, dtype) for name, games in kinds.items()}


def random_masks(rng, count, size):
    """[count, size] bool, at least one true in every row."""
    masks = rng.random((count, size)) < rng.choice([0.6, 1.0], (count, 1))
    masks[np.arange(count), rng.integers(0, size, count)] = True
    return masks


def assert_certified(payoffs, found, row_mask, column_mask, tolerance):
    """Every game is solved, by float64 arithmetic on the payoffs as they were given."""
    payoffs = np.where(row_mask[:, :, None] & column_mask[:, None], payoffs, 0).astype(np.float64)
    unit = np.abs(payoffs).max((1, 2))
    unit = np.where(unit > 0, unit, 1)
    row, column, value, gap = (
        np.asarray(x, np.float64) for x in (found.row, found.column, found.value, found.gap)
    )
    for strategy, mask in ((row, row_mask), (column, column_mask)):
        assert (strategy >= 0).all() and (strategy[~mask] == 0).all()
        np.testing.assert_allclose(strategy.sum(1), 1, atol=tolerance)
    best = np.where(row_mask, np.einsum("gab,gb->ga", payoffs, column), -np.inf).max(1)
    worst = np.where(column_mask, np.einsum("gab,ga->gb", payoffs, row), np.inf).min(1)
    assert ((best - worst) / unit < tolerance).all()
    assert ((value - best) / unit < tolerance).all() and ((worst - value) / unit < tolerance).all()
    np.testing.assert_allclose(gap / unit, (best - worst) / unit, atol=tolerance)
    assert np.asarray(found.converged).all()


def assert_values_are_highs(payoffs, found, row_mask, column_mask, tolerance):
    for game, value, rows, columns in zip(payoffs, found.value, row_mask, column_mask):
        game = np.asarray(game[rows][:, columns], np.float64)
        unit = np.abs(game).max() or 1
        assert abs(float(value) - unit * minimax(game / unit)[0]) < tolerance * unit


SIZES = [(3, 3), (1, 6), (9, 4), (20, 20)]


@pytest.mark.fast("3-3", "1-6")
@pytest.mark.parametrize("rows,columns", SIZES)
def test_all_kinds_of_games(rows, columns):
    """20 games of each kind, masked at random, certified; and HiGHS' value for every fifth."""
    rng = np.random.default_rng(rows * 100 + columns)
    payoffs = np.concatenate(list(games_of_all_kinds(rng, 20, rows, columns).values()))
    masks = random_masks(rng, len(payoffs), rows), random_masks(rng, len(payoffs), columns)
    found = solve(payoffs, *masks)
    assert_certified(payoffs, found, *masks, 1e-5)
    some = jax.tree.map(lambda x: x[::5], (payoffs, found, *masks))
    assert_values_are_highs(*some, 1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_games():
    """Of 2 x 2 to 20 x 20, all kinds, each certified and each with HiGHS' value."""
    rng = np.random.default_rng(0)
    payoffs = np.concatenate(list(games_of_all_kinds(rng, 1250, 20, 20).values()))
    assert len(payoffs) == 20_000
    masks = [np.arange(20) < rng.integers(2, 21, (len(payoffs), 1)) for _ in range(2)]
    found = solve(payoffs, *masks)
    assert_certified(payoffs, found, *masks, 1e-5)
    assert_values_are_highs(payoffs, found, *masks, 1e-5)


def all_legal(payoffs):
    return [np.ones((len(payoffs), size), bool) for size in payoffs.shape[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("size,count", [(50, 5), (100, 2)])
def test_large_games(size, count):
    kinds = games_of_all_kinds(np.random.default_rng(size), count, size, size)
    payoffs = np.concatenate(list(kinds.values()))
    found = solve(payoffs, *all_legal(payoffs))
    assert_certified(payoffs, found, *all_legal(payoffs), 1e-4)


@pytest.mark.parametrize("prefix", ["zs", "deg", "L50", "R20x200"])
def test_recorded_games(prefix):
    """The recorded value; and where the recorded strategies are the only ones, those too."""
    record = {key.removeprefix(prefix + "_"): RECORDED[key] for key in RECORDED if prefix in key}
    payoffs = record["A"].astype(np.float32)
    rows, columns = all_legal(payoffs)
    if "m" in record:
        rows = np.arange(20) < record["m"][:, None]
        columns = np.arange(20) < record["n"][:, None]
    found = solve(payoffs, rows, columns)
    unit = np.maximum(np.abs(record["A"]).max((1, 2)), 1e-30)
    tolerance = 1e-5 if payoffs.shape[1] * payoffs.shape[2] <= 400 else 1e-4
    np.testing.assert_allclose(found.value / unit, record["value"] / unit, atol=tolerance)
    assert_certified(payoffs, found, rows, columns, tolerance)
    for name, strategy in (("x", found.row), ("y", found.column)):
        unique = record.get(f"{name}_unique", np.zeros(len(payoffs), bool))
        np.testing.assert_allclose(strategy[unique], record[name][unique], atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["L100", "R200x20"])
def test_large_recorded_games(name):
    payoffs = RECORDED[f"{name}_A"].astype(np.float32)
    found = solve(payoffs, *all_legal(payoffs))
    np.testing.assert_allclose(found.value, RECORDED[f"{name}_value"], atol=1e-4)
    assert_certified(payoffs, found, *all_legal(payoffs), 1e-4)


def test_double_precision():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        kinds = games_of_all_kinds(rng, 10, 8, 8, np.float64)
        payoffs = np.concatenate(list(kinds.values()))
        masks = random_masks(rng, len(payoffs), 8), random_masks(rng, len(payoffs), 8)
        found = jax.jit(jax.vmap(zero_sum))(payoffs, *masks)
        assert found.value.dtype == np.float64
        assert_certified(payoffs, found, *masks, 1e-9)
        some = jax.tree.map(lambda x: x[::5], (payoffs, found, *masks))
        assert_values_are_highs(*some, 1e-9)


@pytest.mark.parametrize(
    "payoffs,value,row,column",
    [
        ([[1, -1], [-1, 1]], 0, [0.5, 0.5], [0.5, 0.5]),
        ([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 0, [1 / 3] * 3, [1 / 3] * 3),
        ([[3, 1], [0, 2]], 1.5, [0.5, 0.5], [0.25, 0.75]),  # x (3 - 1) = (1 - x) (2 - 0)
        ([[4, 2], [3, 1]], 2, [1, 0], [0, 1]),  # a saddle point
        ([[1, 2, 3]], 1, [1], [1, 0, 0]),
        ([[7, 7], [7, 7]], 7, [1, 0], [1, 0]),  # nothing matters: the lower index
    ],
)
def test_by_hand(variant, payoffs, value, row, column):
    found = variant(zero_sum)(jnp.array(payoffs, jnp.float32))
    np.testing.assert_allclose(found.value, value, atol=1e-6)
    np.testing.assert_allclose(found.row, row, atol=1e-6)
    np.testing.assert_allclose(found.column, column, atol=1e-6)
    assert found.converged and found.gap < 1e-6


def test_dominated_and_masked_actions_do_not_matter():
    """Three games with one answer: a submatrix, masked, and made unattractive."""
    payoffs = np.random.default_rng(2).normal(size=(40, 5, 4)).astype(np.float32)
    rows = np.array([True, False, True, True, False])
    columns = np.array([True, True, False, True])
    part = solve(payoffs[:, rows][:, :, columns], *all_legal(payoffs[:, rows][:, :, columns]))
    hidden = payoffs.copy()
    hidden[:, ~rows], hidden[:, :, ~columns] = np.nan, np.inf  # nobody looks there
    masked = solve(hidden, np.tile(rows, (40, 1)), np.tile(columns, (40, 1)))
    worse = payoffs.copy()
    worse[:, ~rows] -= 20
    worse[:, :, ~columns] += 40
    bad = solve(worse, *all_legal(worse))
    for found in (masked, bad):
        np.testing.assert_allclose(found.value, part.value, atol=2e-4)
        np.testing.assert_allclose(found.row[:, rows], part.row, atol=2e-3)
        np.testing.assert_allclose(found.column[:, columns], part.column, atol=2e-3)
        assert (np.asarray(found.row)[:, ~rows] == 0).all()
        assert np.asarray(found.converged).all()


def test_symmetries():
    """Players change places; actions change places; payoffs are counted in another unit."""
    payoffs = np.random.default_rng(3).normal(size=(40, 5, 5)).astype(np.float32)
    legal = all_legal(payoffs)
    found = solve(payoffs, *legal)
    swapped = solve(-payoffs.swapaxes(1, 2), *legal)
    np.testing.assert_allclose(swapped.value, -found.value, atol=1e-5)
    np.testing.assert_allclose(swapped.row, found.column, atol=1e-3)
    rows, columns = np.array([3, 0, 4, 1, 2]), np.array([1, 2, 0, 4, 3])
    moved = solve(payoffs[:, rows][:, :, columns], *legal)
    np.testing.assert_allclose(moved.row, found.row[:, rows], atol=1e-3)
    np.testing.assert_allclose(moved.column, found.column[:, columns], atol=1e-3)
    scaled = solve(8 * payoffs + 3, *legal)
    np.testing.assert_allclose(scaled.value, 8 * found.value + 3, atol=1e-4)
    np.testing.assert_allclose(scaled.row, found.row, atol=1e-3)


def test_value_is_differentiated_by_the_strategies():
    """What the docstring says of the derivative, against differences of solved games."""
    payoff = jnp.array([[3.0, 1.0, 0.5], [0.0, 2.0, 1.0], [1.0, 0.5, 2.5]])
    found = jax.jit(zero_sum)(payoff)
    slope = np.outer(found.row, found.column)
    step = 1e-2 * np.eye(9, dtype=np.float32).reshape(9, 3, 3)
    up = solve(payoff + step, *all_legal(step)).value
    down = solve(payoff - step, *all_legal(step)).value
    np.testing.assert_allclose((up - down) / 2e-2, slope.ravel(), atol=2e-3)


def test_batches_may_be_nested_and_arguments_shared():
    payoffs = np.random.default_rng(4).normal(size=(3, 4, 5, 5)).astype(np.float32)
    mask = np.array([True, True, False, True, True])
    nested = jax.jit(jax.vmap(jax.vmap(zero_sum, (0, None)), (0, None)))(payoffs, mask)
    one_by_one = [[jax.jit(zero_sum)(game, mask) for game in games] for games in payoffs]
    assert nested.row.shape == (3, 4, 5) and nested.value.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(nested.row[i, j], one_by_one[i][j].row, atol=1e-6)


def test_a_cap_on_pivots_is_reported():
    """After 3 pivots some are done, the others say so; their strategies are still strategies."""
    payoffs = np.random.default_rng(5).normal(size=(100, 5, 5)).astype(np.float32)
    full = solve(payoffs, *all_legal(payoffs))
    short = jax.jit(jax.vmap(partial(zero_sum, max_pivots=3)))(payoffs)
    converged = np.asarray(short.converged)
    assert converged.any() and not converged.all() and np.asarray(full.converged).all()
    np.testing.assert_allclose(short.value[converged], full.value[converged], atol=1e-5)
    assert (np.asarray(short.gap)[~converged] > 1e-3).any()
    np.testing.assert_allclose(np.sum(short.row, 1), 1, atol=1e-5)
    np.testing.assert_allclose(np.sum(short.column, 1), 1, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_payoffs_that_are_no_numbers(bad):
    """One such game is reported, and its neighbours in the batch do not notice."""
    payoffs = np.random.default_rng(6).normal(size=(4, 5, 5)).astype(np.float32)
    wanted = solve(payoffs, *all_legal(payoffs))
    payoffs[1, 2, 3] = bad
    found = solve(payoffs, *all_legal(payoffs))
    left = np.delete(payoffs[1], 2, 0)
    forbidden = (left > payoffs[1, 2]).all(1).any()  # another row beats the one that costs infinity
    assert forbidden == np.isneginf(bad)
    np.testing.assert_array_equal(found.converged, [True, forbidden, True, True])
    if forbidden:
        np.testing.assert_allclose(found.value[1], minimax(left)[0], atol=1e-5)
        assert found.row[1, 2] == 0
    else:
        chance = np.nan if np.isnan(bad) else 0.2
        assert np.isnan(found.value[1])
        np.testing.assert_allclose(found.row[1], chance, atol=1e-6)
        np.testing.assert_allclose(found.column[1], chance, atol=1e-6)
    others = np.array([0, 2, 3])
    np.testing.assert_allclose(found.value[others], wanted.value[others], atol=1e-5)


def test_nothing_to_choose_from():
    payoffs = np.zeros((2, 5, 5), np.float32)
    rows, columns = all_legal(payoffs)
    rows[0] = False
    found = solve(payoffs, rows, columns)
    np.testing.assert_array_equal(found.converged, [False, True])
    assert np.isnan(found.value[0]) and not np.asarray(found.row[0]).any()


def conspiracy(payoff, friends):
    """What friends secure against the others, by a linear program of scipy's."""
    players = range(payoff.ndim)
    foes = [i for i in players if i not in friends]
    matrix = payoff.transpose(*friends, *foes)
    matrix = matrix.reshape(np.prod([payoff.shape[i] for i in friends]), -1)
    rows, columns = matrix.shape
    found = linprog(
        np.append(np.zeros(rows), -1),
        A_ub=np.hstack([-matrix.T, np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    assert found.status == 0
    return -found.fun


@pytest.mark.fast("friends0")
@pytest.mark.parametrize("friends", [(0,), (1,), (0, 2), (1, 2), (0, 1, 2)])
def test_friend_or_foe_of_three_players(friends):
    rng = np.random.default_rng(7)
    payoffs = np.concatenate([rng.normal(size=(15, 2, 3, 2)), rng.integers(0, 2, (15, 2, 3, 2))])
    found = jax.jit(jax.vmap(lambda p: friend_or_foe(p, friends)))(payoffs.astype(np.float32))
    assert np.asarray(found.converged).all()
    for game, value, pi in zip(payoffs, found.value, found.friends):
        np.testing.assert_allclose(value, conspiracy(game, friends), atol=1e-5)
        foes = tuple(i for i in range(3) if i not in friends)
        assert pi.shape == tuple(game.shape[i] for i in friends)
        secured = np.tensordot(
            np.asarray(pi, np.float64), game.transpose(*friends, *foes), len(friends)
        )
        assert secured.min() > value - 1e-5
    if len(friends) == 3:
        np.testing.assert_allclose(found.value, payoffs.max((1, 2, 3)), atol=1e-6)


def test_friend_or_foe_masks_are_submatrices():
    payoffs = np.random.default_rng(8).normal(size=(20, 3, 2, 3)).astype(np.float32)
    masks = np.array([True, False, True]), None, np.array([False, True, True])
    part = payoffs[:, masks[0]][..., masks[2]]
    payoffs[:, ~masks[0]] = 100
    found = jax.jit(jax.vmap(lambda p: friend_or_foe(p, (0, 1), masks)))(payoffs)
    wanted = [conspiracy(game.astype(np.float64), (0, 1)) for game in part]
    np.testing.assert_allclose(found.value, wanted, atol=1e-5)
    assert (np.asarray(found.friends)[:, 1] == 0).all()
    np.testing.assert_allclose(np.sum(found.foes, 1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: zero_sum(jnp.zeros(3)), "payoff: expected a matrix"),
        (lambda: friend_or_foe(jnp.zeros((2, 2)), ()), "friends: expected distinct players"),
        (lambda: friend_or_foe(jnp.zeros((2, 2)), (0, 2)), "friends: expected distinct players"),
        (lambda: friend_or_foe(jnp.zeros((2, 2)), (0, 0)), "friends: expected distinct players"),
        (lambda: friend_or_foe(jnp.zeros((2, 2)), (0,), [None]), "masks: expected one for each"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_where_one_cell_is_played_a_last_bit_still_decides():
    """Rows that differ by one rounding, far from 0: what passes for rounding is far less."""
    rng = np.random.default_rng(5)
    worse = (1e6 + 10 * rng.normal(size=(500, 2))).astype(np.float32)
    payoffs = np.stack([worse, np.nextafter(worse, np.float32(np.inf))], axis=1)
    found = jax.vmap(zero_sum)(payoffs)
    assert found.converged.all()
    assert (found.row[:, 0] == 0).all()  # the better one is played with 1, or a rounding less
    np.testing.assert_allclose(found.value, payoffs[:, 1].min(1), rtol=1.2e-7)
