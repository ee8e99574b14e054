"""Commitments, against scipy's linear programs, recorded values and small games by hand."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from scipy.optimize import linprog

from jaxmarl_core.solvers.normal_form.stackelberg import pure_commitment, stackelberg

GAMES = oracle("bimatrix.json")["bimatrix"]
COUNT = 60  # games solved at once: every number of games, and every shape, compiles anew


@cache
def compiled(rule, leader, follower):
    return jax.jit(jax.vmap(lambda p, r, c: rule(p, leader, r, c, follower), (0, None, None)))


def solve(payoffs, leader=0, follower="strong", masks=None, rule=stackelberg):
    """The commitments in games [G, 2, A, B], G at most `COUNT`; masks are the same for all.

    Others fill the batch up, and the shape, 3 x 3 or else 4 x 2: illegal actions whose payoffs
    nobody should look at.
    """
    payoffs = np.asarray(payoffs)
    sizes = payoffs.shape[2:]
    shape = (3, 3) if max(sizes) <= 3 else sizes
    masks = [np.ones(size, bool) for size in sizes] if masks is None else masks
    room = [(0, whole - size) for whole, size in zip(shape, sizes)]
    masks = [np.pad(mask, width) for mask, width in zip(masks, room)]
    filled = np.pad(payoffs, [(0, 0), (0, 0), *room], constant_values=np.nan)
    filled = np.pad(filled, [(0, COUNT - len(payoffs)), *[(0, 0)] * 3], mode="edge")
    found = compiled(rule, leader, follower)(filled, *masks)
    found = jax.tree.map(lambda x: np.asarray(x)[: len(payoffs)], found)
    return found._replace(leader=found.leader[:, : sizes[leader]])


def solve_weak(payoffs):
    return solve(payoffs, follower="weak")


def program(objectives, differences):
    """The largest min of objectives' x over distributions with differences' x >= 0; or None."""
    rows = objectives.shape[1]
    found = linprog(
        np.append(np.zeros(rows), -1),
        A_ub=np.vstack(
            [
                np.hstack([-differences, np.zeros((len(differences), 1))]),
                np.hstack([-objectives, np.ones((len(objectives), 1))]),
            ]
        ),
        b_ub=np.zeros(len(differences) + len(objectives)),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return -found.fun if found.status == 0 else None


def best_commitment(leader, follower, weak=False):
    """The leader's value, by scipy's linear programs; exact comparisons of copies."""
    values = []
    for b in range(leader.shape[1]):
        copies = (follower == follower[:, [b]]).all(0)
        differences = (follower[:, [b]] - follower).T
        if weak and not copies.all() and program(differences[~copies], differences[:0]) < 1e-7:
            continue  # b is nowhere the only best reply
        objectives = leader[:, copies].T if weak else leader[:, [b]].T
        values.append(program(objectives, differences))
    return max(value for value in values if value is not None)


def best_action(leader, follower, weak=False):
    """The leader's value if it commits to one action, by comparisons."""
    kind = min if weak else max
    best = follower == follower.max(1, keepdims=True)
    return max(kind(row[mask]) for row, mask in zip(leader, best))


def random_games(count, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, 2, rows, columns)
    ties = rng.integers(0, 3, shape)
    copied = rng.normal(size=shape)
    copied[:, 1, :, -1] = copied[:, 1, :, 0]  # the follower never minds which of the two
    kinds = [rng.normal(size=shape), ties, copied, np.ones(shape), 1e3 * rng.random(shape)]
    return np.concatenate(kinds).astype(np.float32)


@pytest.mark.fast("3-3-True")
@pytest.mark.parametrize(
    "rows,columns,weak",
    [
        (3, 3, False),
        (3, 3, True),
        (4, 2, False),
        pytest.param(4, 2, True, marks=pytest.mark.slow),
        pytest.param(6, 5, False, marks=pytest.mark.slow),
        pytest.param(6, 5, True, marks=pytest.mark.slow),
    ],
)
def test_values_are_scipys(rows, columns, weak):
    payoffs = random_games(12, rows, columns)
    found = (solve_weak if weak else solve)(payoffs)
    assert np.asarray(found.solved).all()
    for i, (leader, follower) in enumerate(payoffs.astype(np.float64)):
        unit = np.ptp(leader) or 1
        wanted = best_commitment(leader, follower, weak)
        assert abs(float(found.values[i, 0]) - wanted) < 1e-4 * unit
        x, b = np.asarray(found.leader[i], np.float64), int(found.follower[i])
        assert (x >= 0).all() and abs(x.sum() - 1) < 1e-5
        replies = x @ follower
        assert replies[b] > replies.max() - 1e-4 * (np.ptp(follower) or 1)
        np.testing.assert_allclose(found.values[i, 1], replies[b], atol=1e-5 * unit)
        if not weak:
            assert abs(x @ leader[:, b] - wanted) < 1e-4 * unit


@pytest.mark.parametrize("shape", [(3, 3), (2, 2)])
@pytest.mark.parametrize("who", [0, 1])
def test_recorded_values(shape, who):
    games = [game for game in GAMES if np.shape(game["A"]) == shape]
    payoffs = np.array([[game["A"], game["B"]] for game in games], np.float32)
    found, pure = solve(payoffs, who), solve(payoffs, who, rule=pure_commitment)
    records = [game[("stackelberg_row_leads", "stackelberg_col_leads")[who]] for game in games]
    unit = np.ptp(payoffs[:, who], axis=(1, 2))
    for value, key in ((found, "leader_value"), (pure, "pure_commitment_value")):
        wanted = np.array([record[key] for record in records])
        np.testing.assert_allclose(value.values[:, 0] / unit, wanted / unit, atol=2e-5)
        assert np.asarray(value.solved).all()


def test_by_hand(variant):
    """Rows T, B and columns L, R: (2, 1) (4, 0) / (1, 0) (3, 1), of Conitzer & Sandholm's kind.

    T dominates, but then L is the reply: 2. Announcing (1/2, 1/2) leaves the follower
    indifferent; R pays (4 + 3) / 2 = 3.5. Committing to an action is worth 3, that of B.
    """
    game = jnp.array([[[2.0, 4.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = variant(stackelberg)(game)
    np.testing.assert_allclose(found.leader, [0.5, 0.5], atol=1e-6)
    assert found.follower == 1 and found.solved
    np.testing.assert_allclose(found.values, [3.5, 0.5], atol=1e-5)
    pure = variant(pure_commitment)(game)
    np.testing.assert_array_equal(pure.leader, [0, 1])
    np.testing.assert_array_equal(pure.values, [3, 1])


def test_an_unkind_follower_by_hand():
    """The follower is paid the same by L always and by R after T; R is what the leader wants.

    Strong: T, and R in kindness, is worth 5. But R is never better than L: weak, the leader can
    count on L alone, which is worth 1 after T and 2 after B. In the second game the follower never
    minds: kind it pays 4, unkind the leader mixes, for 2.
    """
    game = jnp.array([[[1.0, 5.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]])
    copies = jnp.array([[[4.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    strong, weak = (rule(jnp.stack([game, copies])) for rule in (solve, solve_weak))
    np.testing.assert_allclose(strong.values[:, 0], [5, 4], atol=1e-5)
    np.testing.assert_allclose(weak.values[:, 0], [2, 2], atol=1e-5)
    assert strong.follower[0] == 1 and weak.follower[0] == 0
    np.testing.assert_allclose(pure_commitment(game, follower="weak").values, [2, 1])
    np.testing.assert_allclose(pure_commitment(game).values, [5, 1])


def test_the_weak_value_is_a_supremum():
    """Approached, not attained: where the follower is indifferent it takes what hurts.

    R is better than L where x(B) > 1/2 and worth 2 - x(B) to the leader, L is worth 0: the
    supremum is 3/2, and (1/2, 1/2) itself, unkindly answered, is worth 0.
    """
    game = jnp.array([[[0.0, 2.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = solve_weak(jnp.stack([game, game]))
    np.testing.assert_allclose(found.values[:, 0], 1.5, atol=1e-5)
    np.testing.assert_allclose(found.leader[0], [0.5, 0.5], atol=1e-5)


def test_leading_is_worth_no_less_than_equilibrium():
    """Strong commitment beats every recorded equilibrium, and the best pure commitment."""
    games = [game for game in GAMES if np.shape(game["A"]) == (3, 3)]
    payoffs = np.array([[game["A"], game["B"]] for game in games], np.float32)
    found, pure = solve(payoffs), solve(payoffs, rule=pure_commitment)
    for game, value in zip(games, np.asarray(found.values[:, 0])):
        worths = [
            np.array(e["x"]) @ np.array(game["A"]) @ np.array(e["y"]) for e in game["equilibria"]
        ]
        assert value > max(worths) - 1e-4
    assert (np.asarray(found.values[:, 0]) > np.asarray(pure.values[:, 0]) - 1e-5).all()


@pytest.mark.parametrize("follower", ["strong", "weak"])
@pytest.mark.parametrize("illegal", [(1, 0), (None, 1), (2, None)], ids=str)
def test_masks_are_submatrices(illegal, follower):
    """Values are scipy's of the legal actions alone, whatever the others would pay."""
    masks = rows, columns = [np.arange(3) != action for action in illegal]
    payoffs = random_games(5, 3, 3, 1)
    part = payoffs[:, :, rows][..., columns].astype(np.float64)
    payoffs[:, :, ~rows] = 100
    payoffs[..., ~columns] = np.nan
    for rule in (stackelberg, pure_commitment):
        found = solve(payoffs, follower=follower, masks=masks, rule=rule)
        assert found.solved.all()
        assert (found.leader[:, ~rows] == 0).all()
        for i, game in enumerate(part):
            worth = best_commitment(*game, follower == "weak")
            if rule is pure_commitment:
                worth = best_action(*game, follower == "weak")
            assert abs(found.values[i, 0] - worth) < 1e-4 * (np.ptp(game[0]) or 1)
            reply = np.flatnonzero(columns).tolist().index(found.follower[i])
            replies = found.leader[i, rows] @ game[1]
            assert replies[reply] > replies.max() - 1e-4 * (np.ptp(game[1]) or 1)


def test_double_precision():
    payoffs = random_games(3, 3, 3, 2).astype(np.float64)
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(stackelberg))(payoffs)
        assert found.values.dtype == np.float64 and np.asarray(found.solved).all()
        wanted = [best_commitment(*game) for game in payoffs]
        np.testing.assert_allclose(found.values[:, 0], wanted, rtol=1e-9, atol=1e-9)


def test_failure_is_visible():
    payoffs = random_games(2, 3, 3)
    payoffs[0, 1, 2, 2] = np.nan
    payoffs[1, 0, 0, 0] = np.inf
    for rule in (stackelberg, pure_commitment):
        found = solve(payoffs, rule=rule)
        np.testing.assert_array_equal(found.solved, np.arange(len(payoffs)) > 1)
        nothing = solve(payoffs, masks=(np.ones(3, bool), np.zeros(3, bool)), rule=rule)
        assert not nothing.solved.any() and np.isnan(nothing.values).all()


@pytest.mark.parametrize("rule", [stackelberg, pure_commitment])
@pytest.mark.parametrize(
    "arguments,words",
    [
        ({"payoffs": np.zeros((3, 2, 2))}, r"payoffs: expected shape \[2, A, B\]"),
        ({"leader": 2}, "leader: expected 0 or 1"),
        ({"follower": "week"}, "did you mean 'weak'"),
        ({"row_mask": np.ones(3, bool)}, "row_mask"),
    ],
)
def test_mistakes_are_named(rule, arguments, words):
    with pytest.raises(ValueError, match=words):
        rule(**{"payoffs": np.zeros((2, 2, 2)), **arguments})
