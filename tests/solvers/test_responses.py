"""Best replies, pure equilibria and dominance, against loops and programs in NumPy and scipy."""

from functools import cache, partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form.correlated import correlated
from jaxmarl_core.solvers.normal_form.responses import best_response, pure_equilibria, undominated

RECORD = oracle("bimatrix.json")
pure = jax.jit(jax.vmap(pure_equilibria))
COUNT = 40  # games judged at once: every number of games, and every shape, compiles anew


@cache
def compiled(by):
    return jax.jit(jax.vmap(lambda payoffs, masks: undominated(payoffs, masks, by), (0, None)))


def eliminate(by, payoffs, masks=None):
    """What is left of games [G, N, A_1, ..., A_N], G at most `COUNT`; masks are the same for all.

    Others fill the batch up, and games of two players the shape, 4 x 4: illegal actions whose
    payoffs nobody should look at.
    """
    count, players, *sizes = payoffs.shape
    shape = (4, 4) if players == 2 else tuple(sizes)
    room = [(0, whole - size) for whole, size in zip(shape, sizes)]
    masks = everything(sizes) if masks is None else masks
    masks = tuple(np.pad(mask, width) for mask, width in zip(masks, room))
    payoffs = np.pad(payoffs, [(0, 0), (0, 0), *room], constant_values=np.nan)
    payoffs = np.pad(payoffs, [(0, COUNT - count)] + [(0, 0)] * (payoffs.ndim - 1), mode="edge")
    left = compiled(by)(payoffs, masks)
    return [np.asarray(mask)[:count, :size] for mask, size in zip(left, sizes)]


def random_games(count, sizes, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, len(sizes), *sizes)
    games = [rng.normal(size=shape), rng.integers(0, 3, shape)]
    return np.concatenate(games).astype(np.float32)


def replaced(joint, player, action):
    return (*joint[:player], action, *joint[player + 1 :])


def pure_by_loops(payoffs, masks):
    """The joint actions that nobody leaves."""
    sizes = payoffs.shape[1:]
    legal = [np.flatnonzero(mask) for mask in masks]
    found = np.zeros(sizes, bool)
    for joint in product(*legal):
        found[joint] = all(
            payoffs[(i, *replaced(joint, i, a))] <= payoffs[(i, *joint)]
            for i in range(len(sizes))
            for a in legal[i]
        )
    return found


def beaten(table, by):
    """Whether each row of a table [A, O] is strictly dominated, by a loop or by scipy."""
    if by == "pure":
        return [any((other > row).all() for other in table) for row in table]
    margins = []
    for row in table:  # maximise e with sum_b x_b (table_b - row) >= e
        found = linprog(
            np.append(np.zeros(len(table)), -1),
            A_ub=np.hstack([(row - table).T, np.ones((table.shape[1], 1))]),
            b_ub=np.zeros(table.shape[1]),
            A_eq=np.append(np.ones(len(table)), 0)[None],
            b_eq=[1],
            bounds=[(0, None)] * len(table) + [(None, None)],
        )
        margins.append(-found.fun)
    return [margin > 1e-7 for margin in margins]


def survivors(payoffs, masks, by):
    """One dominated action after another is deleted, until there is none."""
    kept = [list(np.flatnonzero(mask)) for mask in masks]
    while True:
        for player in range(len(payoffs)):
            part = payoffs[player][np.ix_(*kept)]
            table = np.moveaxis(part, player, 0).reshape(len(kept[player]), -1)
            worse = beaten(table.astype(np.float64), by)
            if any(worse):
                del kept[player][worse.index(True)]
                break
        else:
            return [np.isin(np.arange(len(mask)), left) for mask, left in zip(masks, kept)]


def everything(sizes):
    return [np.ones(size, bool) for size in sizes]


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)], ids=str)
def test_pure_equilibria_by_loops(sizes):
    payoffs = random_games(30, sizes)
    found = pure(payoffs)
    for game, mask in zip(payoffs, np.asarray(found)):
        np.testing.assert_array_equal(mask, pure_by_loops(game, everything(sizes)))
    assert np.asarray(found).any() and not np.asarray(found).all()


def test_recorded_pure_equilibria():
    find = jax.jit(pure_equilibria)
    for game in RECORD["bimatrix"]:
        found = np.argwhere(np.asarray(find(np.array([game["A"], game["B"]], np.float32))))
        assert found.tolist() == sorted(map(list, game["pure_equilibria"]))


@pytest.mark.fast("(4, 4)-mixed")
@pytest.mark.parametrize("by", ["pure", "mixed"])
@pytest.mark.parametrize("sizes", [(4, 4), (3, 2, 3)], ids=str)
def test_elimination_one_by_one(sizes, by):
    """The order does not matter: ours takes all at once, the loop one at a time."""
    payoffs = random_games(15, sizes, 1)
    found = eliminate(by, payoffs)
    left = 0
    for i, game in enumerate(payoffs):
        wanted = survivors(game, everything(sizes), by)
        for mask, expected in zip(found, wanted):
            np.testing.assert_array_equal(np.asarray(mask)[i], expected)
        left += sum(map(sum, wanted))
    assert left < len(payoffs) * sum(sizes)  # there was something to eliminate


def test_correlated_equilibria_survive():
    """No correlated equilibrium plays what is eliminated, the best ones least of all."""
    payoffs = random_games(20, (3, 3), 2)
    rows, columns = eliminate("mixed", payoffs)
    found = jax.jit(jax.vmap(lambda p: correlated(p, lambda u: jnp.abs(u[0]))))(payoffs)
    joint = np.asarray(found.joint) * np.asarray(found.converged)[:, None, None]
    assert np.asarray(found.converged).mean() > 0.9
    assert (joint.sum(2)[~rows] < 1e-4).all() and (joint.sum(1)[~columns] < 1e-4).all()


@pytest.mark.fast("plain", "jit")
def test_prisoners_and_a_mixture_by_hand(variant):
    """Defection alone survives. And T with B beats M, where neither does alone."""
    prisoners = jnp.array([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]])
    for by in ("pure", "mixed"):
        for mask in variant(partial(undominated, by=by))(prisoners):
            np.testing.assert_array_equal(mask, [False, True])
    row = jnp.array([[4.0, 0.0], [1.0, 1.0], [0.0, 4.0]])  # T, M, B
    payoffs = np.stack([row, jnp.zeros_like(row)])[None]
    np.testing.assert_array_equal(eliminate("pure", payoffs)[0], [[True, True, True]])
    np.testing.assert_array_equal(eliminate("mixed", payoffs)[0], [[True, False, True]])
    np.testing.assert_array_equal(variant(pure_equilibria)(prisoners), [[0, 0], [0, 1]])


def test_weak_dominance_eliminates_nothing():
    payoffs = np.zeros((1, 2, 3, 3), np.float32)
    payoffs[0, 0, 0, 0] = 1  # the first row is no worse, and sometimes better
    for by in ("pure", "mixed"):
        assert all(mask.all() for mask in eliminate(by, payoffs))


def test_best_response_by_loops():
    rng = np.random.default_rng(3)
    sizes = (2, 3, 4)
    payoffs = rng.normal(size=(3, *sizes)).astype(np.float32)
    strategies = [rng.dirichlet(np.ones(size)).astype(np.float32) for size in sizes]
    for player in range(3):
        worth = np.zeros(sizes[player])
        for joint in np.ndindex(*sizes):
            chance = np.prod([strategies[j][joint[j]] for j in range(3) if j != player])
            worth[joint[player]] += chance * payoffs[(player, *joint)]
        reply = jax.jit(best_response, static_argnums=2)(payoffs, strategies, player)
        np.testing.assert_allclose(reply.worth, worth, atol=1e-5)
        assert reply.action == worth.argmax()
        np.testing.assert_allclose(reply.value, worth.max(), atol=1e-5)
        worst = np.arange(sizes[player]) == worth.argmin()
        masks = [worst if i == player else None for i in range(3)]
        assert best_response(payoffs, strategies, player, masks).action == worth.argmin()


def test_masks_are_submatrices():
    masks = (np.array([True, False, True, True]), np.array([False, True, True]))
    payoffs = random_games(15, (4, 3), 4)
    part = payoffs[:, :, masks[0]][..., masks[1]]
    payoffs[:, :, ~masks[0]] = 100
    payoffs[..., ~masks[1]] = np.nan
    found = np.asarray(jax.jit(jax.vmap(lambda p: pure_equilibria(p, masks)))(payoffs))
    np.testing.assert_array_equal(found[:, masks[0]][..., masks[1]], pure(part))
    assert found.sum() == np.sum(pure(part))
    for by in ("pure", "mixed"):
        left = eliminate(by, payoffs, masks)
        for player, mask in enumerate(masks):
            assert not left[player][:, ~mask].any()
        for i, game in enumerate(part):
            for mask, found, wanted in zip(masks, left, survivors(game, everything((3, 2)), by)):
                np.testing.assert_array_equal(found[i, mask], wanted)


def test_no_numbers_are_no_equilibria():
    nothing = np.full((1, 2, 2, 2), np.nan, np.float32)
    assert not np.asarray(pure(nothing)).any()
    assert all(mask.all() for mask in eliminate("mixed", nothing))  # nothing is proven


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda p: pure_equilibria(p[0]), "payoffs: expected shape"),
        (lambda p: undominated(p, by="mixd"), "did you mean 'mixed'"),
        (lambda p: best_response(p, [np.ones(2)], 0), "strategies: expected vectors"),
        (lambda p: best_response(p, [np.ones(2)] * 2, 2), "player: expected a player below 2"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 2, 2), np.float32))
