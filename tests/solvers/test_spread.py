"""Games with a ruinous action: what is flagged solved is right, whatever the spread of payoffs.

To random games, payoffs from a standard normal, comes an action of the first player that costs R,
whatever the others do. It is dominated; and beside it everything else is rounding, if a solver
scales by the range of all payoffs. Truth is in float64: linear programs by HiGHS, with a variable
of which a little costs much counted in small coin, and gains of deviations by NumPy.
"""

from functools import cache, partial

import jax
import numpy as np
import pytest
from game_oracles import minimax
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form import (
    bimatrix_nash,
    correlated,
    lemke_howson,
    nash,
    nash_n,
    stackelberg,
    zero_sum,
)

LOWEST = float(np.finfo(np.float32).min)
SPREADS = (1e4, 1e5, 1e9, -LOWEST, np.inf)
OFF = 0.01  # what is flagged solved and misses the truth by more is wrong


def ruinous(count, sizes, cost, seed=0):
    """[count, N, A_1 + 1, ..., A_N]: random games, an action of player 0 that costs it `cost`."""
    rng = np.random.default_rng(seed)
    shape = (count, len(sizes), sizes[0] + 1, *sizes[1:])
    payoffs = rng.normal(size=shape).astype(np.float32)
    which = rng.integers(0, sizes[0] + 1, count)
    payoffs[np.arange(count), 0, which] = -np.float32(cost)
    return payoffs, which


def gains(payoffs, strategies):
    """What the best deviation of each player brings, [N], in float64, of what is played."""
    found = []
    for player, payoff in enumerate(payoffs.astype(np.float64)):
        others = np.ones(())
        for other, strategy in enumerate(strategies):
            part = np.ones(1) if other == player else np.asarray(strategy, np.float64)
            others = others[..., None] * (part / part.sum())
        with np.errstate(invalid="ignore"):
            worth = np.where(others > 0, payoff * others, 0)
            worth = worth.sum(tuple(i for i in range(payoff.ndim) if i != player))
            own = np.asarray(strategies[player], np.float64)
            value = np.where(own > 0, worth * own / own.sum(), 0).sum()
            found.append(np.max(worth) - value)
    return np.array(found)


def program(objective, constraints):
    """The largest objective' x of distributions x with constraints x <= 0, or None.

    What costs infinity is not done. A variable with large entries is counted in smaller units.
    """
    barred = np.isneginf(objective) | np.isposinf(constraints).any(0)
    with np.errstate(invalid="ignore"):
        barred |= np.isneginf(constraints).all(0) & (len(constraints) > 0)
    objective, constraints = objective[~barred], constraints[:, ~barred]
    entries = np.vstack([np.abs(constraints), np.abs(objective)[None]])
    size = np.maximum(1, np.where(np.isfinite(entries), entries, 0).max(0))
    found = linprog(
        -objective / size,
        A_ub=constraints / size if len(constraints) else None,
        b_ub=np.zeros(len(constraints)) if len(constraints) else None,
        A_eq=(1 / size)[None],
        b_eq=[1],
    )
    return -found.fun if found.status == 0 else None


def best_commitment(leader, follower):
    """The leader's value, a program for every reply."""
    values = [program(leader[:, b], (follower - follower[:, [b]]).T) for b in range(len(leader.T))]
    return max(value for value in values if value is not None)


def best_correlated(payoffs, which, coarse):
    """The greatest sum of (coarse) correlated equilibria; nobody deviates to the ruinous action."""
    payoffs = payoffs.astype(np.float64)
    rows, columns = payoffs.shape[1:]
    constraints = []
    for told in [None] if coarse else range(rows):
        for instead in set(range(rows)) - {which}:
            gain = payoffs[0, [instead]] - payoffs[0]
            concerned = np.ones(rows) if told is None else np.arange(rows) == told
            constraints.append(np.where(concerned[:, None] > 0, gain, 0))
    for told in [None] if coarse else range(columns):
        for instead in range(columns):
            gain = payoffs[1][:, [instead]] - payoffs[1]
            concerned = np.ones(columns) if told is None else np.arange(columns) == told
            constraints.append(np.where(concerned > 0, gain, 0))
    flat = np.stack(constraints).reshape(len(constraints), -1)
    if not coarse and which < rows:  # what is dominated is not played
        flat = np.delete(flat.reshape(-1, rows, columns), which, 1).reshape(len(flat), -1)
        payoffs = np.delete(payoffs, which, 1)
    return program(payoffs.sum(0).ravel(), flat)


@cache
def batched(solver, **options):
    return jax.jit(jax.vmap(partial(solver, **options)))


def misses_zero_sum(payoffs, which):
    found = batched(zero_sum)(payoffs[:, 0])
    off = []
    for game, row, action, *pair in zip(payoffs, found.value, which, found.row, found.column):
        truth = minimax(np.delete(game[0], action, 0))[0]
        off.append(max(abs(row - truth), *gains(np.stack([game[0], -game[0]]), pair)))
    return found.converged, off


def misses_bimatrix(payoffs, which):
    found = batched(bimatrix_nash)(payoffs)
    off = [
        max((gains(game, (x, y)).max() for x, y, real in zip(*part) if real), default=0)
        for game, *part in zip(payoffs, found.row, found.column, np.asarray(found.valid))
    ]
    return np.asarray(found.valid).any(1), off


def misses_walk(payoffs, which):
    found = batched(lemke_howson)(payoffs)
    off = [gains(game, pair).max() for game, *pair in zip(payoffs, *found.strategies)]
    return found.solved, off


def misses_n_player(payoffs, which):
    found = batched(nash_n)(payoffs)
    off = [gains(game, played).max() for game, *played in zip(payoffs, *found.strategies)]
    return found.solved, off


def misses_stackelberg(payoffs, which):
    found = batched(stackelberg)(payoffs)
    truth = [best_commitment(*game.astype(np.float64)) for game in payoffs]
    return found.solved, np.abs(np.asarray(found.values[:, 0], np.float64) - truth)


def misses_correlated(payoffs, which, coarse):
    found = batched(correlated, coarse=coarse)(payoffs)
    truth = [best_correlated(game, action, coarse) for game, action in zip(payoffs, which)]
    joint = np.asarray(found.joint, np.float64)
    with np.errstate(invalid="ignore"):
        reached = np.where(joint > 0, joint * payoffs.sum(1), 0).sum((1, 2))
    values = np.asarray(found.values, np.float64).sum(1)
    return found.converged, np.maximum(np.abs(values - truth), np.abs(reached - truth))


MISSES = {
    "zero_sum": misses_zero_sum,
    "bimatrix": misses_bimatrix,
    "lemke_howson": misses_walk,
    "n_player": misses_n_player,
    "stackelberg": misses_stackelberg,
    "correlated": partial(misses_correlated, coarse=False),
    "coarse": partial(misses_correlated, coarse=True),
}


def tally(solver, cost, count=100, sizes=(3, 3), seed=0):
    """(how many are flagged solved and wrong, how many are not solved)."""
    payoffs, which = ruinous(count, sizes, cost, seed)
    solved, off = MISSES[solver](payoffs, which)
    solved, off = np.asarray(solved), np.asarray(off)
    return int((solved & ~(off <= OFF)).sum()), int((~solved).sum())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("solver", MISSES)
def test_what_is_flagged_solved_is_right(solver):
    """The table: every solver, every spread, 100 games each; none wrong, and none unsolved."""
    assert {cost: tally(solver, cost) for cost in SPREADS} == dict.fromkeys(SPREADS, (0, 0))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_players():
    found = {cost: tally("n_player", cost, sizes=(2, 2, 2)) for cost in SPREADS}
    assert all(wrong == 0 for wrong, _ in found.values())
    assert sum(unsolved for _, unsolved in found.values()) <= 2


@pytest.mark.parametrize("cost", [1e5, np.inf])
def test_a_ruinous_row_of_a_zero_sum_game(cost):
    assert tally("zero_sum", cost, 30) == (0, 0)


@pytest.mark.parametrize("cost", [1e5, 1e9, -LOWEST, np.inf])
def test_by_hand(cost):
    """Between the first two rows: p (2) - (1 - p) = -p + (1 - p), p = 2/5, and 1/5 is secured."""
    game = np.array([[2, -1], [-1, 1], [-cost, -cost]], np.float32)
    found = jax.jit(zero_sum)(game)
    np.testing.assert_allclose(found.value, 0.2, atol=1e-6)
    np.testing.assert_allclose(found.row, [0.4, 0.6, 0], atol=1e-6)
    assert found.converged and found.gap < 1e-6


def test_integers_are_solved_as_given():
    """Of 10^9 + 2 and 10^9 + 1, which are one number in single precision, the larger is chosen."""
    game = np.array([[10**9, 10**9 + 2], [10**9 + 3, 10**9 + 1]], np.int32)
    found = jax.jit(zero_sum)(game)
    # p (-2) + 3 = ... : 3 - 3 p = 1 + p, p = 1/2
    np.testing.assert_allclose(found.row, [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(found.column, [0.25, 0.75], atol=1e-6)
    assert found.converged and found.value.dtype == np.float32


def of_every_kind(rng, count, rows, columns):
    """[count, rows, columns]: spreads to 1e9, integers, rows that are the same or nearly so."""
    shape = (count, rows, columns)
    normal = rng.normal(size=shape)
    again = normal[:, rng.integers(0, (rows + 1) // 2, rows)]
    kinds = [
        normal * 10 ** rng.uniform(-4.5, 4.5, (count, rows, 1)),
        normal * 10 ** rng.uniform(-4.5, 4.5, shape),
        np.sign(normal) * 10 ** rng.uniform(0, 9, shape),
        rng.integers(0, 3, shape),
        rng.integers(-1000, 1000, shape),
        again,
        again + 1e-6 * rng.normal(size=shape),
        np.where(rng.random(shape) < 0.1, -1e9, normal),
    ]
    return np.concatenate(kinds).astype(np.float32)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rows,columns", [(3, 3), (6, 4), (1, 7), (1, 31), (2, 30), (30, 2)])
def test_zero_sum_games_of_every_kind(rows, columns):
    """99.9 % are solved; who is flagged so gains no 1e-5 of what all payoffs range over."""
    games = of_every_kind(np.random.default_rng(1), 250, rows, columns)
    found = batched(zero_sum)(games)
    solved = np.asarray(found.converged)
    assert solved.mean() >= 0.999
    for game, row, column in zip(games[solved], found.row[solved], found.column[solved]):
        gain = gains(np.stack([game, -game]), (row, column)).sum()
        assert gain <= 1e-5 * max(np.ptp(game.astype(np.float64)), 1e-30)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rows,columns", [(3, 3), (1, 31), (2, 30), (30, 2)])
def test_bimatrix_games_of_every_kind(rows, columns):
    rng = np.random.default_rng(2)
    games = np.stack([of_every_kind(rng, 30, rows, columns) for _ in range(2)], axis=1)
    found = batched(bimatrix_nash)(games)
    walks = batched(lemke_howson)(games)
    valid, solved = np.asarray(found.valid), np.asarray(walks.solved)
    assert valid.any(1).mean() >= 0.99 and solved.mean() >= 0.99
    unit = np.ptp(games.astype(np.float64), axis=(2, 3))
    unit = np.maximum(unit, 1e-30)
    for i, game in enumerate(games):
        played = [(x, y) for x, y, real in zip(found.row[i], found.column[i], valid[i]) if real]
        played += [tuple(x[i] for x in walks.strategies)] * int(solved[i])
        for pair in played:
            assert (gains(game, pair) <= 1e-5 * unit[i]).all()


def test_one_by_thirty_one():
    """As many labels as an integer has bits, and more."""
    payoffs = np.random.default_rng(3).normal(size=(2, 1, 31)).astype(np.float32)
    found = nash(payoffs)
    assert found.solved and np.argmax(found.strategies[1]) == payoffs[1, 0].argmax()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_best_correlated_equilibrium_beside_a_large_loss():
    """One cell of -1000 in 4 x 4 games: the optimum is HiGHS'."""
    rng = np.random.default_rng(4)
    games = rng.normal(size=(100, 2, 4, 4)).astype(np.float32)
    games[np.arange(100), rng.integers(0, 2, 100), rng.integers(0, 4, 100), 0] = -1000
    found = batched(correlated)(games)
    assert np.asarray(found.converged).all()
    truth = [best_correlated(game, 4, False) for game in games]
    np.testing.assert_allclose(np.asarray(found.values).sum(1), truth, atol=1e-3)


@pytest.mark.slow
def test_no_number_is_never_solved():
    """And nothing that could be played by mistake."""
    payoffs = np.zeros((2, 2, 2), np.float32)
    payoffs[0, 1, 1] = payoffs[1, 0, 0] = np.nan
    found = [
        (zero_sum(payoffs[0]), "converged", "row"),
        (correlated(payoffs), "converged", "joint"),
        (nash(payoffs), "solved", "strategies"),
        (lemke_howson(payoffs), "solved", "strategies"),
        (nash_n(payoffs), "solved", "strategies"),
        (stackelberg(payoffs), "solved", "leader"),
    ]
    for solution, flag, played in found:
        assert not getattr(solution, flag)
        assert all(np.isnan(x).all() for x in jax.tree.leaves(getattr(solution, played)))
