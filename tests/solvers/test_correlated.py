"""Correlated equilibria: scipy's linear programs, recorded optima, constraints by NumPy loops."""

from functools import cache, partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form.correlated import OBJECTIVES, correlated

RECORD = oracle("bimatrix.json")


GAMES = 50  # solved at once: every number of games, and every shape, compiles anew


@cache
def compiled(objective, coarse):
    rule = lambda payoffs, masks: correlated(payoffs, objective, masks, coarse)
    return jax.jit(jax.vmap(rule, (0, None)))


def solve(payoffs, objective="utilitarian", coarse=False, masks=None):
    """The solutions of games [G, N, A_1, ..., A_N], G at most `GAMES`; masks are the same for all.

    Others fill the batch up, and games of two players the shape, 3 x 3: illegal actions whose
    payoffs nobody should look at.
    """
    count, players, *sizes = payoffs.shape
    shape = (3, 3) if players == 2 and max(sizes) <= 3 else tuple(sizes)
    masks = [np.ones(size, bool) for size in sizes] if masks is None else masks
    room = [(0, whole - size) for whole, size in zip(shape, sizes)]
    masks = tuple(np.pad(mask, width) for mask, width in zip(masks, room))
    payoffs = np.pad(payoffs, [(0, 0), (0, 0), *room], constant_values=np.nan)
    payoffs = np.pad(payoffs, [(0, GAMES - count)] + [(0, 0)] * (payoffs.ndim - 1), mode="edge")
    found = compiled(objective, coarse)(payoffs, masks)
    cut = tuple(slice(size) for size in sizes)
    found = found._replace(joint=found.joint[(slice(None), *cut)])
    return jax.tree.map(lambda x: np.asarray(x)[:count], found)


def deviations(payoffs, coarse):
    """What deviating gains in every joint action: a list of [joint actions], by loops."""
    sizes = payoffs.shape[1:]
    joint_actions = list(product(*map(range, sizes)))
    rows = []
    for player, size in enumerate(sizes):
        for told, instead in product([None] if coarse else range(size), range(size)):
            if told == instead:
                continue
            row = []
            for joint in joint_actions:
                other = (*joint[:player], instead, *joint[player + 1 :])
                concerned = told is None or joint[player] == told
                row.append(concerned * (payoffs[(player, *other)] - payoffs[(player, *joint)]))
            rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), len(joint_actions))


def highs(objective, constraints):
    """The largest objective' x of distributions x with constraints x <= 0, and that x."""
    found = linprog(
        -objective,
        A_ub=constraints if len(constraints) else None,
        b_ub=np.zeros(len(constraints)) if len(constraints) else None,
        A_eq=np.ones((1, len(objective))),
        b_eq=[1],
    )
    assert found.status == 0
    return -found.fun, found.x


def optimum(payoffs, objective, coarse):
    """The objective's largest value over all (coarse) correlated equilibria."""
    payoffs = np.asarray(payoffs, np.float64)
    constraints = deviations(payoffs, coarse)
    players = payoffs.reshape(len(payoffs), -1)
    if objective == "utilitarian":
        return highs(players.sum(0), constraints)[0]
    if objective == "plutocratic":
        return max(highs(u, constraints)[0] for u in players)
    if objective == "egalitarian":  # a further variable below every player's value
        rows = np.hstack([constraints, np.zeros((len(constraints), 1))])
        below = np.hstack([-players, np.ones((len(players), 1))])
        count = players.shape[1]
        found = linprog(
            np.append(np.zeros(count), -1),
            A_ub=np.vstack([rows, below]),
            b_ub=np.zeros(len(rows) + len(below)),
            A_eq=np.append(np.ones(count), 0)[None],
            b_eq=[1],
            bounds=[(0, None)] * count + [(None, None)],
        )
        assert found.status == 0
        return -found.fun
    return highs(players[0 if objective == "dictatorial" else objective], constraints)[0]


def reached(values, objective):
    if objective in ("utilitarian", "egalitarian", "plutocratic"):
        return {"utilitarian": np.sum, "egalitarian": np.min, "plutocratic": np.max}[objective](
            values
        )
    return values[0 if objective == "dictatorial" else objective]


def assert_equilibrium(payoffs, joint, values, coarse, tolerance):
    payoffs, joint = np.asarray(payoffs, np.float64), np.asarray(joint, np.float64)
    unit = np.ptp(payoffs) or 1
    assert (joint >= 0).all()
    np.testing.assert_allclose(joint.sum(), 1, atol=1e-5)
    constraints = deviations(payoffs, coarse)
    assert len(constraints) == 0 or (constraints @ joint.ravel()).max() < tolerance * unit
    np.testing.assert_allclose(
        values, (payoffs * joint).sum(tuple(range(1, payoffs.ndim))), rtol=4e-7, atol=1e-5 * unit
    )


def random_games(rng, count, sizes):
    """General games, and degenerate ones: ties, a team's, constants, an action twice."""
    shape = (count, len(sizes), *sizes)
    normal = rng.normal(size=shape)
    twice = normal.copy()
    twice[:, :, -1] = twice[:, :, 0]
    shared = np.broadcast_to(normal[:, :1], shape)
    kinds = [normal, rng.integers(0, 3, shape), twice, shared, np.zeros(shape), 1e4 + normal]
    return np.concatenate(kinds).astype(np.float32)


def recorded(shape):
    """Recorded games of a shape, and their optima by other programs."""
    games = [(np.array([g["A"], g["B"]]), g) for g in RECORD["bimatrix"]]
    games += [(np.array(g["U"]), g) for g in RECORD["three_player"]]
    return [(payoffs.astype(np.float32), g) for payoffs, g in games if payoffs.shape == shape]


def assert_optimal(payoffs, found, objective, coarse):
    """Equilibria, by loops; and as good as scipy's."""
    assert np.asarray(found.converged).all()
    for game, joint, values in zip(payoffs, found.joint, found.values):
        assert_equilibrium(game, joint, values, coarse, 1e-4)
        off = reached(np.asarray(values), objective) - optimum(game, objective, coarse)
        assert abs(off) <= 2e-4 * np.ptp(game) + 4e-7 * np.abs(game).max()


def each_objective_once():
    """All cases; the fast tests have each objective, and whatever bounds what, but once."""
    fast = {((2, 3, 3), False): OBJECTIVES, ((2, 3, 3), True): ("utilitarian", "plutocratic")}
    fast |= {((3, 2, 2, 2), False): ("utilitarian", "egalitarian"), ((3, 2, 2, 2), True): ()}
    for (shape, coarse), few in fast.items():
        for objective in OBJECTIVES:
            marks = [] if objective in few else [pytest.mark.slow]
            yield pytest.param(shape, coarse, objective, marks=marks)


@pytest.mark.fast(
    "(2, 3, 3)-False-plutocratic", "(3, 2, 2, 2)-False-egalitarian", "(2, 3, 3)-False-dictatorial"
)
@pytest.mark.parametrize("shape,coarse,objective", list(each_objective_once()), ids=str)
def test_optima_are_scipys(shape, coarse, objective):
    games = recorded(shape)
    assert len(games) >= 4
    payoffs = np.stack([payoffs for payoffs, _ in games])
    payoffs = np.concatenate([payoffs, random_games(np.random.default_rng(0), 5, shape[1:])])
    found = solve(payoffs, objective, coarse)
    assert_optimal(payoffs, found, objective, coarse)
    for (game, record), values in zip(games, np.asarray(found.values)):
        wanted = record["cce" if coarse else "ce"][objective]
        wanted = wanted[0] if objective == "dictatorial" else wanted
        assert abs(reached(values, objective) - wanted) < 2e-5 * np.ptp(game)


@pytest.mark.slow
@pytest.mark.parametrize("coarse", [False, True], ids=["correlated", "coarse"])
@pytest.mark.parametrize("sizes", [(5, 5), (8, 6), (3, 3, 3), (2, 2, 2, 2)], ids=str)
def test_optima_of_larger_games(sizes, coarse):
    payoffs = random_games(np.random.default_rng(1), 20, sizes)
    for objective in (*OBJECTIVES, 1):
        found = jax.jit(jax.vmap(partial(correlated, objective=objective, coarse=coarse)))(payoffs)
        assert_optimal(payoffs, found, objective, coarse)


@pytest.mark.slow
def test_double_precision_loses_no_large_game():
    payoffs = random_games(np.random.default_rng(1), 20, (8, 6)).astype(np.float64)
    with jax.enable_x64(True):
        for objective in (*OBJECTIVES, 1):
            found = jax.jit(jax.vmap(partial(correlated, objective=objective)))(payoffs)
            assert_optimal(payoffs, found, objective, False)


# Chicken: both dare is worth 0 to both, the one who dares alone 7 and the other 2, else 6.
CHICKEN = np.array([[[0, 7], [2, 6]], [[0, 2], [7, 6]]], np.float32)


@pytest.mark.parametrize(
    "objective,joint,values",
    [
        # who is told to give way expects (6 p + 2 q) / (p + q) by obeying, 7 p / (p + q) by not:
        # p <= 2 q, and the sum is largest with as much p as possible: 1/2, 1/4, 1/4
        ("utilitarian", [[0, 0.25], [0.25, 0.5]], [5.25, 5.25]),
        ("egalitarian", [[0, 0.25], [0.25, 0.5]], [5.25, 5.25]),
        (1, [[0, 0], [1, 0]], [2, 7]),
        ("plutocratic", [[0, 1], [0, 0]], [7, 2]),  # both could have 7: the first
    ],
    ids=str,
)
def test_chicken_by_hand(objective, joint, values):
    found = solve(CHICKEN[None], objective)
    assert found.converged.all()
    np.testing.assert_allclose(found.joint[0], joint, atol=1e-5)
    np.testing.assert_allclose(found.values[0], values, atol=1e-4)


def test_an_objective_of_ones_own():
    """The worst for both together, by a linear program."""
    found = jax.jit(lambda payoffs: correlated(payoffs, lambda u: -u.sum(0)))(CHICKEN)
    worth = CHICKEN.astype(np.float64)
    least, _ = highs(-worth.sum(0).ravel(), deviations(worth, False))
    np.testing.assert_allclose(np.sum(found.values), -least, atol=1e-4)


def test_plain_jitted_and_vmapped(variant):
    found = variant(correlated)(jnp.asarray(CHICKEN))
    np.testing.assert_allclose(found.joint, [[0, 0.25], [0.25, 0.5]], atol=1e-5)


def test_only_equilibrium_of_rock_paper_scissors():
    rps = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32)
    found = solve(np.stack([rps, -rps])[None])
    np.testing.assert_allclose(found.joint[0], np.full((3, 3), 1 / 9), atol=1e-5)


def test_coarse_is_larger():
    """Rock, paper, scissors where a tie costs both 1/2, after Moulin & Vial.

    They agree to avoid ties, each of the other six outcomes equally likely: 0 to both. Not to
    listen risks a tie, -1/6 in the mean. But who is told to show rock, and so will meet paper or
    scissors, wins or ties with scissors: 1/4 in the mean.
    """
    rps = np.array([[-0.5, -1, 1], [1, -0.5, -1], [-1, 1, -0.5]], np.float32)
    game = np.stack([rps, rps.T])[None]
    coarse, fine = solve(game, coarse=True), solve(game)
    np.testing.assert_allclose(np.sum(coarse.values), 0, atol=1e-4)
    np.testing.assert_allclose(np.trace(coarse.joint[0]), 0, atol=1e-5)
    constraints = deviations(game[0].astype(np.float64), False)
    wanted = highs(game[0].sum(0).ravel().astype(np.float64), constraints)[0]
    np.testing.assert_allclose(np.sum(fine.values), wanted, atol=1e-4)
    assert wanted < -0.1


def test_ties_go_by_the_sum_then_by_the_players():
    """What the docstring promises of equally good equilibria, against lexicographic programs."""
    payoffs = np.random.default_rng(2).integers(0, 3, (30, 2, 3, 3)).astype(np.float32)
    found = solve(payoffs, "dictatorial")
    apart = 0
    for game, values in zip(payoffs.astype(np.float64), found.values):
        constraints = deviations(game, False)
        players = game.reshape(2, -1)
        best, _ = highs(players[0], constraints)
        total, _ = highs(players.sum(0), np.vstack([constraints, best - 1e-9 - players[:1]]))
        other, _ = highs(-players.sum(0), np.vstack([constraints, best - 1e-9 - players[:1]]))
        apart += total > -other + 0.1  # there was something to decide
        np.testing.assert_allclose(np.asarray(values), [best, total - best], atol=1e-4)
    assert apart >= 5


def test_a_last_tie_goes_to_the_lower_index():
    found = solve(np.zeros((1, 2, 3, 3), np.float32))
    np.testing.assert_allclose(found.joint[0], np.eye(9)[0].reshape(3, 3), atol=1e-6)
    twice = np.ones((1, 2, 2, 3), np.float32)
    twice[..., 0] = 0
    np.testing.assert_allclose(solve(twice).joint[0], [[0, 1, 0], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("coarse", [False, True], ids=["correlated", "coarse"])
@pytest.mark.parametrize("illegal", [(None, 1), (0, None), (2, 0)], ids=str)
def test_masks_are_submatrices(illegal, coarse):
    """Optima are scipy's of the legal actions alone, whatever the others would pay."""
    rows, columns = (np.arange(3) != action for action in illegal)
    payoffs = np.random.default_rng(3).normal(size=(30, 2, 3, 3)).astype(np.float32)
    part = payoffs[:, :, rows][..., columns]
    payoffs[:, :, ~rows] = 100
    payoffs[..., ~columns] = np.nan
    found = solve(payoffs, coarse=coarse, masks=(rows, columns))
    joint = found.joint
    assert (joint[:, ~rows] == 0).all() and (joint[..., ~columns] == 0).all()
    found = found._replace(joint=joint[:, rows][..., columns])
    assert_optimal(part, found, "utilitarian", coarse)


def test_double_precision():
    with jax.enable_x64(True):
        payoffs = np.random.default_rng(4).normal(size=(10, 2, 3, 3))
        found = jax.jit(jax.vmap(correlated))(payoffs)
        assert found.joint.dtype == np.float64 and np.asarray(found.converged).all()
        for game, joint, values in zip(payoffs, found.joint, found.values):
            assert_equilibrium(game, joint, values, False, 1e-9)
            wanted = optimum(game, "utilitarian", False)
            np.testing.assert_allclose(np.sum(values), wanted, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["utilitarian", "egalitarian"])
def test_of_many_games_none_is_lost(objective):
    payoffs = np.random.default_rng(5).normal(size=(2000, 2, 3, 3)).astype(np.float32)
    found = jax.jit(jax.vmap(partial(correlated, objective=objective)))(payoffs)
    assert np.asarray(found.converged).all()
    for game, joint, values in list(zip(payoffs, found.joint, found.values))[::20]:
        assert_equilibrium(game, joint, values, False, 1e-4)


def test_failure_is_visible():
    """A cap on pivots, payoffs that are no numbers, a player without an action."""
    payoffs = np.random.default_rng(5).normal(size=(50, 2, 3, 3)).astype(np.float32)
    short = jax.jit(jax.vmap(lambda p: correlated(p, max_pivots=1)))(payoffs)
    full = solve(payoffs)
    done = np.asarray(short.converged)
    assert np.asarray(full.converged).all() and done.any() and not done.all()
    np.testing.assert_allclose(short.values[done], full.values[done], atol=1e-4)
    payoffs[0, 1, 2, 2] = np.nan
    payoffs[1, 0, 1, 2] = np.inf
    found = solve(payoffs)
    np.testing.assert_array_equal(found.converged, np.arange(50) > 1)
    np.testing.assert_allclose(found.values[2:], full.values[2:], atol=1e-5)
    masks = (np.zeros(3, bool), np.ones(3, bool))
    assert not solve(payoffs, masks=masks).converged.any()


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda p: correlated(p[0]), "payoffs: expected"),
        (lambda p: correlated(p, "utilitarain"), "did you mean 'utilitarian'"),
        (lambda p: correlated(p, 2), "objective: expected a player below 2"),
        (lambda p: correlated(p, lambda u: u[0, 0]), "objective: expected weights"),
        (lambda p: correlated(p, masks=(None,)), "masks: expected one for each"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(jnp.zeros((2, 2, 2)))
