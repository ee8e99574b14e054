"""Equilibria of games of several players: best replies by NumPy, closed forms, known games."""

import jax
import numpy as np
import pytest
from game_oracles import oracle

from jaxmarl_core.solvers.normal_form.bimatrix import bimatrix_nash
from jaxmarl_core.solvers.normal_form.n_player import nash_n

LETTERS = "abcde"
solve = jax.jit(nash_n)
solve_batch = jax.jit(jax.vmap(nash_n))


def nash_conv(payoffs, strategies):
    """What all players gain by their best replies, in float64, and their values."""
    payoffs = np.asarray(payoffs, np.float64)
    names = LETTERS[: len(payoffs)]
    gain, values = 0, []
    for i, u in enumerate(payoffs):
        others = [np.asarray(s, np.float64) for j, s in enumerate(strategies) if j != i]
        subscripts = ",".join(n for j, n in enumerate(names) if j != i)
        worth = np.einsum(f"{names},{subscripts}->{names[i]}", u, *others)
        values.append(worth @ np.asarray(strategies[i], np.float64))
        gain += worth.max() - values[-1]
    return gain, values


def check(payoffs, found, atol=1e-4):
    gain, values = nash_conv(payoffs, found.strategies)
    assert found.solved
    assert gain < atol * np.ptp(payoffs)
    np.testing.assert_allclose(found.residual, gain, atol=1e-4 * np.ptp(payoffs))
    np.testing.assert_allclose(found.values, values, atol=1e-4 * np.ptp(payoffs))
    for strategy in found.strategies:
        assert (np.asarray(strategy) >= 0).all()
        np.testing.assert_allclose(np.sum(strategy), 1, atol=1e-5)


@pytest.mark.parametrize("index", range(len(oracle("bimatrix.json")["three_player"])))
@pytest.mark.slow
def test_recorded_three_player_games(index):
    """An equilibrium, whose welfare no correlated equilibrium's bounds may exclude."""
    game = oracle("bimatrix.json")["three_player"][index]
    payoffs = np.array(game["U"], np.float32)
    found = solve(payoffs)
    check(payoffs, found)
    total = float(np.sum(found.values))
    assert game["ce"]["min_welfare"] - 1e-3 <= total <= game["ce"]["utilitarian"] + 1e-3


@pytest.mark.parametrize("sizes", [(2, 2), (3, 2), (2, 2, 2), (2, 3, 2)])
@pytest.mark.slow
def test_random_games(sizes):
    payoffs = np.random.default_rng(0).normal(size=(40, len(sizes), *sizes)).astype(np.float32)
    found = solve_batch(payoffs)
    for i, game in enumerate(payoffs):
        check(game, jax.tree.map(lambda x, i=i: x[i], found))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 3, 4), (2, 2, 2, 2)])
def test_larger_random_games(sizes):
    payoffs = np.random.default_rng(1).normal(size=(100, len(sizes), *sizes)).astype(np.float32)
    found = solve_batch(payoffs)
    for i, game in enumerate(payoffs):
        check(game, jax.tree.map(lambda x, i=i: x[i], found))


@pytest.mark.slow
def test_two_players_are_bimatrix_games():
    """Of the equilibria that enumeration finds it is one."""
    payoffs = np.random.default_rng(2).normal(size=(30, 2, 3, 2)).astype(np.float32)
    found = solve_batch(payoffs)
    wanted = jax.jit(jax.vmap(bimatrix_nash))(payoffs)
    apart = np.abs(np.asarray(wanted.row) - np.asarray(found.strategies[0])[:, None]).max(-1)
    apart = np.where(np.asarray(wanted.valid), apart, np.inf)
    assert (apart.min(1) < 1e-2).all()


def test_three_player_majority_by_hand():
    """Everybody is paid 1 for being in the minority: with two ways mixed evenly, 1/4 each."""
    joint = np.indices((2, 2, 2))
    alone = [
        (joint[i] != joint[j]) & (joint[i] != joint[k])
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    ]
    found = solve(np.array(alone, np.float32))
    assert found.solved
    for strategy in found.strategies:
        np.testing.assert_allclose(strategy, [0.5, 0.5], atol=1e-4)
    np.testing.assert_allclose(found.values, 0.25, atol=1e-4)


@pytest.mark.slow
def test_path_leads_to_risk_dominance():
    """From even play the path leads to what is best against even play (here: gathering)."""
    stag = np.array([[[4, 0], [3, 3]], [[4, 3], [0, 3]]], np.float32)
    found = solve(stag)
    np.testing.assert_allclose(found.values, [3, 3], atol=1e-4)
    hopeful = tuple(np.array([0.95, 0.05], np.float32) for _ in range(2))
    np.testing.assert_allclose(nash_n(stag, prior=hopeful).values, [4, 4], atol=1e-4)


@pytest.mark.slow
def test_masks_are_subgames():
    masks = (np.array([True, False, True]), np.array([True, True]), np.array([False, True, True]))
    payoffs = np.random.default_rng(3).normal(size=(20, 3, 3, 2, 3)).astype(np.float32)
    part = payoffs[:, :, masks[0]][..., masks[2]]
    payoffs[:, :, ~masks[0]] = 1e6
    found = jax.jit(jax.vmap(lambda p: nash_n(p, masks)))(payoffs)
    wanted = solve_batch(part)
    assert np.asarray(found.solved).all() and np.asarray(wanted.solved).all()
    for strategy, other, mask in zip(found.strategies, wanted.strategies, masks):
        assert (np.asarray(strategy)[:, ~mask] == 0).all()
        np.testing.assert_allclose(np.asarray(strategy)[:, mask], other, atol=1e-2)
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-2)


@pytest.mark.slow
def test_double_precision_and_the_limit():
    payoffs = np.array(oracle("bimatrix.json")["three_player"][0]["U"], np.float64)
    with jax.enable_x64(True):
        found = nash_n(payoffs)
        assert found.solved and found.values.dtype == np.float64
        assert nash_conv(payoffs, found.strategies)[0] < 1e-8
    rng = np.random.default_rng(4).normal(size=(30, 3, 2, 2, 2)).astype(np.float32)
    short = jax.jit(jax.vmap(lambda p: nash_n(p, max_steps=1)))(rng)
    solved = np.asarray(short.solved)
    assert (np.asarray(short.steps) <= 1).all() and not solved.all()
    for i in np.flatnonzero(~solved):  # an honest residual of honest strategies
        strategies = [np.asarray(s)[i] for s in short.strategies]
        gain, _ = nash_conv(rng[i], strategies)
        np.testing.assert_allclose(short.residual[i], gain, rtol=1e-3, atol=1e-4)
        assert gain > 1e-5


def test_no_number_is_no_solution():
    assert not solve(np.full((2, 2, 2), np.nan, np.float32)).solved


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: nash_n(np.zeros((2, 2, 2, 2))), "payoffs: expected shape"),
        (lambda: nash_n(np.zeros((2, 2, 2)), max_steps=0), "max_steps"),
        (lambda: nash_n(np.zeros((2, 2, 2)), (np.ones(3, bool), np.ones(2, bool))), "masks"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
