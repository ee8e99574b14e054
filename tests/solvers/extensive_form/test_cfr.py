"""CFR and its relatives, against figures of OpenSpiel 2.0.2 and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.extensive_form import (
    CFR,
    CFR_PLUS,
    DISCOUNTED_CFR,
    LINEAR_CFR,
    Discounts,
    cfr,
    expected_value,
    exploitability,
    kuhn_poker,
    leduc_poker,
)

LEDUC_VALUE = -0.0856064  # by a linear program over sequences

# Exploitability of the average strategy after so many iterations, as OpenSpiel computes it in
# float64: its C++ solvers, its Python ones for the discounted and the simultaneous.
OPENSPIEL = {
    ("kuhn", "cfr"): {
        1: 0.4583333333333333,
        2: 0.27083333333333337,
        3: 0.1944444444444444,
        10: 0.06869879381715754,
        100: 0.008225977315915206,
        1000: 0.0009376166469929614,
    },
    ("kuhn", "cfr_plus"): {
        1: 0.4583333333333333,
        3: 0.14131701631701638,
        10: 0.032687090668344826,
        100: 0.0011944041011116846,
        1000: 8.736532252084928e-05,
    },
    ("kuhn", "linear"): {3: 0.14062499999999994},
    ("kuhn", "discounted"): {3: 0.13318452380952386, 10: 0.0227787839257636},
    ("kuhn", "simultaneous"): {3: 0.2708333333333333, 10: 0.09620850020140503},
    ("leduc", "cfr"): {10: 0.888578983168769, 100: 0.09571635300459762},
    ("leduc", "cfr_plus"): {10: 0.6104389015904066, 100: 0.013415994970897835},
    ("leduc", "linear"): {10: 0.7210651557072468},
    ("leduc", "discounted"): {10: 0.7788020469962015},
    ("leduc", "simultaneous"): {10: 0.9270185719676691},
}
GAMES = {"kuhn": kuhn_poker, "leduc": leduc_poker}
VARIANTS = {
    "cfr": (CFR, True),
    "cfr_plus": (CFR_PLUS, True),
    "linear": (LINEAR_CFR, True),
    "discounted": (DISCOUNTED_CFR, True),
    "simultaneous": (CFR, False),
}


def curve(name, variant):
    """The exploitability after each iteration of Kuhn, after every tenth of Leduc."""
    discounts, alternating = VARIANTS[variant]
    num_iterations, every = {"kuhn": (1000, 1), "leduc": (100, 10)}[name]
    game = GAMES[name]()
    result = cfr(game, num_iterations, discounts, alternating=alternating, evaluate_every=every)
    return np.repeat(np.asarray(result.exploitability), every)


@pytest.mark.parametrize(("name", "variant"), OPENSPIEL)
def test_the_path_of_openspiel_in_float64(name, variant):
    with jax.enable_x64(True):
        ours = curve(name, variant)
    assert ours.dtype == np.float64
    for iterations, truth in OPENSPIEL[name, variant].items():
        np.testing.assert_allclose(ours[iterations - 1], truth, rtol=1e-8)


@pytest.mark.parametrize(("name", "variant"), OPENSPIEL)
def test_the_path_of_openspiel_in_float32(name, variant):
    ours = curve(name, variant)
    assert ours.dtype == np.float32
    for iterations, truth in OPENSPIEL[name, variant].items():
        if iterations <= 10 or variant == "cfr" or name == "kuhn":  # later, rounding breaks ties
            np.testing.assert_allclose(ours[iterations - 1], truth, rtol=1e-3)


def test_the_value_of_kuhn():
    game = kuhn_poker()
    result = cfr(game, 1000, CFR_PLUS)
    np.testing.assert_allclose(expected_value(game, result.strategies), -1 / 18, atol=1e-4)
    # what player 1 does is the same in every equilibrium
    second = dict(zip(game.decisions[1].names, np.asarray(result.strategies[1])))
    np.testing.assert_allclose(second["r"][1], [0, 1 / 3, 1], atol=0.02)  # calls
    np.testing.assert_allclose(second["c"][2], [1 / 3, 0, 1], atol=0.02)  # raises


@pytest.mark.slow
def test_leduc_after_a_thousand_iterations():
    game = leduc_poker()
    result = cfr(game, 1000, CFR_PLUS, evaluate_every=250)
    assert result.exploitability.shape == (4,)
    assert np.all(np.diff(result.exploitability) < 0)
    assert result.exploitability[-1] < 3e-4  # OpenSpiel: 2.57e-4, in float64
    value = expected_value(game, result.strategies)
    # a pair of strategies is worth the game's value up to what they can be exploited by
    assert abs(value - LEDUC_VALUE) < 2 * result.exploitability[-1]
    strategies = cfr(game, 1000, CFR).strategies
    assert exploitability(game, strategies) < 0.014  # OpenSpiel: 0.0118


def test_discounts_and_payoffs_are_swept_in_one_program():
    game = kuhn_poker()
    all_discounts = [CFR, CFR_PLUS, LINEAR_CFR, DISCOUNTED_CFR, Discounts(2.0, -1.0, 3.0)]
    stacked = Discounts(*(jnp.asarray(each) for each in zip(*all_discounts)))
    swept = jax.vmap(lambda discounts: cfr(game, 10, discounts).strategies)(stacked)
    for row, discounts in enumerate(all_discounts):
        alone = cfr(game, 10, discounts).strategies
        np.testing.assert_allclose(swept[0][row], alone[0], atol=1e-5)
        np.testing.assert_allclose(swept[1][row], alone[1], atol=1e-5)

    # 1950's numbers twice as high, and a higher bet: the tree stays
    games = [game, kuhn_poker(ante=2.0, bet=2.0), kuhn_poker(bet=2.0)]
    payoffs = jnp.stack([each.payoff for each in games])
    values = jax.vmap(
        lambda payoff: expected_value(
            game.replace(payoff=payoff), cfr(game.replace(payoff=payoff), 1000).strategies
        )
    )(payoffs)
    np.testing.assert_allclose(values[:2], [-1 / 18, -2 / 18], atol=2e-4)
    alone = expected_value(games[2], cfr(games[2], 1000).strategies)
    np.testing.assert_allclose(values[2], alone, atol=2e-4)


def test_a_run_goes_on_where_it_stopped():
    game = kuhn_poker()
    whole = cfr(game, 20, DISCOUNTED_CFR)
    resumed = cfr(game, 10, DISCOUNTED_CFR, state=cfr(game, 10, DISCOUNTED_CFR).state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole, resumed)
    assert int(resumed.state.iteration) == 20


def test_infinite_discounts_are_the_limits_of_large_ones():
    game = kuhn_poker()
    # 1 + t^-40 is 1 from the second iteration on; in the first it halves all regrets alike, which
    # regret matching does not see, so start from an equal footing after it
    state = cfr(game, 1, CFR_PLUS).state
    plus = cfr(game, 9, CFR_PLUS, state=state).strategies
    large = cfr(game, 9, Discounts(40.0, -40.0, 1.0), state=state).strategies
    np.testing.assert_allclose(plus[0], large[0], atol=1e-5)
    np.testing.assert_allclose(plus[1], large[1], atol=1e-5)


def test_mistakes_are_named():
    game = kuhn_poker()
    with pytest.raises(ValueError, match="num_iterations: expected at least 1, got 0"):
        cfr(game, 0)
    with pytest.raises(ValueError, match=r"evaluate_every: expected a divisor .*\(10\).*got 3"):
        cfr(game, 10, evaluate_every=3)
