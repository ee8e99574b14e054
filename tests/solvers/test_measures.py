"""Distances to equilibrium, against loops over joint actions in NumPy, and closed forms."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle

from jaxmarl_core.solvers.normal_form.measures import (
    correlated_gap,
    deviation_gain,
    empirical_play,
    expected_payoffs,
    exploitability,
    joint_play,
    nash_conv,
    regret,
    social_welfare,
)

SIZES = (2, 3, 2)
PRISONERS = np.array([[[3, 0], [5, 1]], [[3, 5], [0, 1]]], np.float32)
PENNIES = np.array([[[1, -1], [-1, 1]], [[-1, 1], [1, -1]]], np.float32)
# Chicken: both dare is worth 0 to both, the one who dares alone 7 and the other 2, else 6.
CHICKEN = np.array([[[0, 7], [2, 6]], [[0, 2], [7, 6]]], np.float32)


def random_case(seed):
    rng = np.random.default_rng(seed)
    payoffs = rng.normal(size=(3, *SIZES)).astype(np.float32)
    strategies = [rng.dirichlet(np.ones(size)).astype(np.float32) for size in SIZES]
    joint = rng.dirichlet(np.ones(np.prod(SIZES))).reshape(SIZES).astype(np.float32)
    return payoffs, strategies, joint


def replaced(joint, player, action):
    return (*joint[:player], action, *joint[player + 1 :])


def play(payoffs, chance, player, rule):
    """What a player gets if it plays rule[a] where it would play a, by a loop."""
    return sum(
        chance[a] * payoffs[(player, *replaced(a, player, rule[a[player]]))]
        for a in np.ndindex(*chance.shape)
    )


def regrets_by_loops(payoffs, joint, kind, actions=None):
    """Every rule of exchanging actions is tried: constant ones, of one action, or any."""
    each = []
    for player, size in enumerate(joint.shape):
        allowed = range(size) if actions is None else actions[player]
        rules = {
            "external": [[d] * size for d in allowed],
            "internal": [
                [d if b == a else b for b in range(size)] for a in range(size) for d in allowed
            ],
            "swap": list(product(*[{a, *allowed} for a in range(size)])),
        }[kind]
        base = play(payoffs, joint, player, range(size))
        each.append(max(play(payoffs, joint, player, rule) for rule in rules) - base)
    return np.array(each)


@pytest.mark.parametrize("kind", ["external", "internal", "swap"])
def test_regret_by_loops(kind):
    measure = jax.jit(lambda payoffs, joint: regret(payoffs, joint, kind))
    masks = (None, np.array([True, False, True]), None)
    masked = jax.jit(lambda payoffs, joint: regret(payoffs, joint, kind, masks))
    for seed in range(5):
        payoffs, _, joint = random_case(seed)
        wanted = regrets_by_loops(payoffs, joint, kind)
        np.testing.assert_allclose(measure(payoffs, joint), wanted, atol=1e-5)
        joint[:, 1] = 0
        joint /= joint.sum()
        wanted = regrets_by_loops(payoffs, joint, kind, [[0, 1], [0, 2], [0, 1]])
        payoffs[:, :, 1] = np.nan  # nobody looks there
        np.testing.assert_allclose(masked(payoffs, joint), wanted, atol=1e-5)


def test_gains_by_loops():
    for seed in range(5):
        payoffs, strategies, _ = random_case(seed)
        chance = np.einsum("a,b,c->abc", *strategies)
        np.testing.assert_allclose(joint_play(strategies), chance, atol=1e-6)
        base = np.array([play(payoffs, chance, i, range(size)) for i, size in enumerate(SIZES)])
        wanted = regrets_by_loops(payoffs, chance, "external")
        np.testing.assert_allclose(deviation_gain(payoffs, strategies), wanted, atol=1e-5)
        np.testing.assert_allclose(nash_conv(payoffs, strategies), wanted.sum(), atol=1e-5)
        np.testing.assert_allclose(exploitability(payoffs, strategies), wanted.mean(), atol=1e-5)
        np.testing.assert_allclose(expected_payoffs(payoffs, chance), base, atol=1e-5)
        np.testing.assert_allclose(social_welfare(payoffs, chance), base.sum(), atol=1e-5)


def test_recorded_equilibria_cannot_be_exploited():
    """Nash equilibria of exact arithmetic: no gain, no regret; mixtures of them are correlated."""
    measure = jax.jit(lambda p, x: (nash_conv(p, x), correlated_gap(p, joint_play(x))))
    for game in oracle("bimatrix.json")["bimatrix"][:12]:
        payoffs = np.array([game["A"], game["B"]], np.float32)
        for e in game["equilibria"]:
            strategies = [np.array(e[name], np.float32) for name in "xy"]
            for value in measure(payoffs, strategies):
                assert abs(float(value)) < 1e-5 * np.ptp(payoffs)


def test_prisoners_by_hand(variant):
    """Both cooperate with probability p: defecting gains 2 p + 1 (1 - p) = 1 + p against it."""
    p = 0.25
    strategies = [jnp.array([p, 1 - p])] * 2
    # u(D) - u(C) = p (5 - 3) + (1 - p) (1 - 0) = 1 + p, and cooperation happens with p
    wanted = p * (1 + p)
    found = variant(deviation_gain)(jnp.asarray(PRISONERS), strategies)
    np.testing.assert_allclose(found, [wanted, wanted], atol=1e-6)
    found = variant(lambda u, s: regret(u, joint_play(s), "swap"))(
        jnp.asarray(PRISONERS), strategies
    )
    np.testing.assert_allclose(found, [wanted, wanted], atol=1e-6)


def test_zero_sum_exploitability_by_hand():
    """Heads with p: the other wins |2 p - 1| too much."""
    strategies = [np.array([0.8, 0.2]), np.array([0.5, 0.5])]
    np.testing.assert_allclose(nash_conv(PENNIES, strategies), 0.6, atol=1e-6)
    np.testing.assert_allclose(exploitability(PENNIES, strategies), 0.3, atol=1e-6)
    np.testing.assert_allclose(deviation_gain(PENNIES, strategies), [0, 0.6], atol=1e-6)


def test_correlated_equilibria_of_chicken():
    """Three outcomes evenly are Aumann's; to dare alone by turns also; to meet half-way is not."""
    third = np.array([[0, 1 / 3], [1 / 3, 1 / 3]])
    turns = np.array([[0, 0.5], [0.5, 0]])
    yields = np.array([[0, 0], [0, 1.0]])
    for joint in (third, turns):
        np.testing.assert_allclose(correlated_gap(CHICKEN, joint), 0, atol=1e-6)
        np.testing.assert_allclose(correlated_gap(CHICKEN, joint, coarse=True), 0, atol=1e-6)
    np.testing.assert_allclose(correlated_gap(CHICKEN, yields), 1, atol=1e-6)  # 7 instead of 6
    np.testing.assert_allclose(correlated_gap(CHICKEN, yields, coarse=True), 1, atol=1e-6)
    np.testing.assert_allclose(social_welfare(CHICKEN, third), 10, atol=1e-5)


def test_coarse_equilibria_need_not_be_correlated():
    """Rock, paper, scissors without ties, which cost 1/2: no external regret, but swap regret.

    Told rock, the other shows paper or scissors: rock is worth 0, scissors (1 - 1/2) / 2 = 1/4.
    One action throughout meets each other one evenly: -1/6.
    """
    rps = np.array([[-0.5, -1, 1], [1, -0.5, -1], [-1, 1, -0.5]], np.float32)
    payoffs = np.stack([rps, rps.T])
    joint = (1 - np.eye(3)) / 6
    np.testing.assert_allclose(regret(payoffs, joint), [-1 / 6, -1 / 6], atol=1e-6)
    np.testing.assert_allclose(regret(payoffs, joint, "swap"), [0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(regret(payoffs, joint, "internal"), [1 / 12] * 2, atol=1e-6)
    assert correlated_gap(payoffs, joint, coarse=True) == 0


def test_history_by_loops():
    """Regret of a history is what one action throughout would have gained, a step."""
    rng = np.random.default_rng(9)
    payoffs = rng.normal(size=(3, *SIZES)).astype(np.float32)
    history = np.stack([rng.integers(0, size, 50) for size in SIZES], axis=1)
    found = jax.jit(lambda u, h: regret(u, empirical_play(h, SIZES)))(payoffs, history)
    for player, size in enumerate(SIZES):
        got = sum(payoffs[(player, *joint)] for joint in history)
        best = max(
            sum(payoffs[(player, *replaced(tuple(joint), player, a))] for joint in history)
            for a in range(size)
        )
        np.testing.assert_allclose(found[player], (best - got) / 50, atol=1e-5)


def test_history_of_strategies():
    """The mean of joint plays: external regret against the sequence of strategies, by a loop."""
    rng = np.random.default_rng(10)
    payoffs = rng.normal(size=(2, 2, 3))
    history = [rng.dirichlet(np.ones(size), 20) for size in (2, 3)]
    found = regret(payoffs, joint_play([jnp.asarray(h) for h in history]).mean(0))
    worth = np.array([payoffs[0] @ y for y in history[1]])
    wanted = worth.sum(0).max() - sum(w @ x for w, x in zip(worth, history[0]))
    np.testing.assert_allclose(found[0], wanted / 20, atol=1e-5)


def test_regret_matching_approaches_coarse_equilibria():
    """Hart & Mas-Colell's procedure, in NumPy: external regret falls as it should."""
    rng = np.random.default_rng(11)
    payoffs = rng.normal(size=(2, 3, 3))
    total, gaps, history = [np.zeros(3), np.zeros(3)], [], []
    for t in range(1, 4001):
        weights = [np.maximum(r, 0) for r in total]
        chance = [w / w.sum() if w.sum() > 0 else np.full(3, 1 / 3) for w in weights]
        a, b = (rng.choice(3, p=p) for p in chance)
        history.append((a, b))
        total[0] += payoffs[0][:, b] - payoffs[0][a, b]
        total[1] += payoffs[1][a, :] - payoffs[1][a, b]
        if t in (40, 4000):
            gap = correlated_gap(payoffs, empirical_play(np.array(history), (3, 3)), coarse=True)
            np.testing.assert_allclose(gap, max(r.max() for r in total) / t, atol=1e-4)
            gaps.append(float(gap))
    assert gaps[1] < 0.05 and gaps[1] < gaps[0]


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: regret(PENNIES, np.ones((2, 3))), "joint: expected"),
        (lambda: regret(PENNIES, np.ones((2, 2)), "inner"), "kind: expected one of"),
        (
            lambda: empirical_play(np.zeros((5, 3), int), (2, 2)),
            r"history: expected shape \[T, 2\]",
        ),
        (lambda: nash_conv(PENNIES[0], [np.ones(2)] * 2), "payoffs: expected shape"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
