"""The double oracle and PSRO with exact oracles, against values known otherwise."""

import numpy as np
import pytest

from jaxmarl_core.solvers.extensive_form import from_tree, kuhn_poker, nash_conv
from jaxmarl_core.solvers.extensive_form.tree import Decision, End
from jaxmarl_core.solvers.normal_form import zero_sum
from jaxmarl_core.solvers.population import (
    META_SOLVERS,
    Mixture,
    double_oracle,
    from_cards,
    from_payoffs,
    psro,
)
from jaxmarl_core.solvers.population.exact_games import behaviour
from jaxmarl_core.solvers.population.loop import rectified_targets

RPS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], float)


def solved(game, **options):
    oracle = lambda player, start, mixture: game.best_response(player, mixture)[0]
    return psro(game.payoff, oracle, game.first, nash_conv=game.nash_conv, same=game.same,
                **options)  # fmt: skip


def test_a_step_in_rock_paper_scissors():
    """OpenSpiel's test of a single step: against rock both answer paper, and win 1."""
    game = from_payoffs(RPS)
    only_rock = Mixture([0], np.ones(1))
    assert game.best_response(0, only_rock) == (1, 1.0)
    assert game.best_response(1, only_rock) == (1, 1.0)
    assert game.nash_conv((only_rock, only_rock)) == 2.0


def test_double_oracle_solves_rock_paper_scissors_in_three_iterations():
    """OpenSpiel's double_oracle_test: three iterations from rock, a third each, value 0."""
    found = double_oracle(from_payoffs(RPS))
    assert found.converged and len(found.nash_conv) == 3
    for mixture in found.mixtures:
        assert mixture.strategies == [0, 1, 2]
        np.testing.assert_allclose(mixture.weights, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(found.nash_conv, [2, 2, 0], atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_double_oracle_has_the_value_of_the_whole_game(seed):
    payoff = np.random.default_rng(seed).normal(size=(12, 9))
    found = double_oracle(from_payoffs(payoff))
    assert found.converged
    row, column = (m.weights for m in found.mixtures)
    value = row @ found.payoffs[0] @ column
    np.testing.assert_allclose(value, zero_sum(payoff).value, atol=1e-4)


def test_double_oracle_in_a_game_of_one_equilibrium_in_pure_strategies():
    # prisoner's dilemma is not zero-sum: both defect, after one iteration
    payoffs = np.array([[[3, 0], [5, 1]], [[3, 5], [0, 1]]], float)
    found = double_oracle(from_payoffs(payoffs))
    assert found.converged
    assert [dict(zip(m.strategies, m.weights)).get(1, 0) for m in found.mixtures] == [1, 1]


def test_a_mixture_of_card_players_plays_as_its_members_do():
    """A player decides twice; what is drawn before the first decision shows in the second."""
    end = {"l": End(0.0), "r": End(1.0)}
    after = Decision(0, "second", end)
    game = from_tree(
        Decision(0, "first", {"l": Decision(1, "other", {"l": after, "r": End(0.0)}),
                              "r": End(0.0)})
    )  # fmt: skip
    # strategies [N = 2, A = 2, C = 1]: always l; l with 1/2 and then r
    first = np.array([[[1.0], [0.0]], [[1.0], [0.0]]])
    second = np.array([[[0.5], [0.5]], [[0.0], [1.0]]])
    mixed = behaviour(game.decisions[0], np.stack([first, second]), np.array([0.5, 0.5]))
    # l with 3/4; then it is the first with (1/2) / (3/4)
    np.testing.assert_allclose(mixed[:, :, 0], [[3 / 4, 1 / 4], [2 / 3, 1 / 3]], atol=1e-6)


def test_double_oracle_solves_kuhn_poker():
    game = kuhn_poker()
    exact = from_cards(game)
    found = double_oracle(exact, tolerance=1e-4)
    assert found.converged
    np.testing.assert_allclose(exact.worth(found.mixtures)[0], -1 / 18, atol=1e-4)
    pair = tuple(
        behaviour(decisions, np.stack(m.strategies), m.weights.astype(np.float32))
        for decisions, m in zip(game.decisions, found.mixtures)
    )
    assert float(nash_conv(game, pair)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", META_SOLVERS)
def test_psro_brings_kuhn_pokers_nash_conv_down(name):
    # of uniform play in Kuhn poker it is 11/12
    found = solved(from_cards(kuhn_poker()), meta_solver=name, num_iterations=12)
    np.testing.assert_allclose(found.nash_conv[0], 11 / 12, atol=1e-5)
    assert found.nash_conv[-1] < (0.5 if name in ("uniform", "alpha_rank") else 0.05)


def test_rectified_targets_are_those_it_does_not_lose_to():
    # rock beats scissors and ties with itself; it does not play paper
    targets = rectified_targets(RPS, np.full(3, 1 / 3))
    assert [own for own, _ in targets] == [0, 1, 2]
    np.testing.assert_allclose(targets[0][1], [1 / 2, 0, 1 / 2])
    np.testing.assert_allclose(targets[1][1], [1 / 2, 1 / 2, 0])
    # who is not in the support learns nothing
    assert [own for own, _ in rectified_targets(RPS, np.array([0.0, 0.5, 0.5]))] == [1, 2]


def test_the_rectified_response_fills_out_the_gamescape():
    """On a disc of strategies (Balduzzi's disk game) better ones lie further out."""
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)), -1).reshape(-1, 2)
    points = grid[np.hypot(*grid.T) <= 1]
    disk = points[:, 0][:, None] * points[:, 1] - points[:, 1][:, None] * points[:, 0]
    game = from_payoffs(disk)
    start = int(np.hypot(*(points - [0.25, 0]).T).argmin())
    found = solved(
        game._replace(first=(start, start)),
        meta_solver="rectified_nash", symmetric=True, num_iterations=6,
    )  # fmt: skip
    radii = np.hypot(*points[found.mixtures[0].strategies].T)
    assert radii[0] < 0.3 and radii.max() > 0.95
    np.testing.assert_allclose(found.payoffs[0], -found.payoffs[0].T, atol=1e-12)


def test_what_was_played_is_not_played_again():
    calls = []

    def payoff(a, b):
        calls.append((a, b))
        return float(RPS[a, b]), -float(RPS[a, b])

    game = from_payoffs(RPS)
    oracle = lambda player, start, mixture: game.best_response(player, mixture)[0]
    psro(payoff, oracle, (0, 0), num_iterations=3, same=game.same)
    assert sorted(calls) == [(a, b) for a in range(3) for b in range(3)]
    calls.clear()
    found = psro(payoff, oracle, (0, 0), num_iterations=3, same=game.same, symmetric=True)
    assert sorted(calls) == [(a, b) for a in range(3) for b in range(a, 3)]
    assert found.converged and np.isnan(found.nash_conv).all()
    np.testing.assert_allclose(found.payoffs[0], RPS)


def test_who_finds_no_room_has_not_converged():
    payoff = np.array([[1.1, -0.1, -0.3, 1.6], [-1.3, -0.6, -0.5, 0.6],
                       [-0.7, -0.6, -1.6, 0.7], [0.8, -0.5, 0.2, -1.3]])  # fmt: skip
    game = from_payoffs(payoff)
    grown = lambda capacity: solved(game, num_iterations=20, capacity=capacity)
    assert not grown(3).converged and grown(3).nash_conv[-1] > 0.1
    assert grown(4).converged and grown(4).nash_conv[-1] < 1e-4


def test_a_strategy_earns_the_same_as_itself():
    rng = np.random.default_rng(0)
    noisy = lambda a, b: tuple(RPS[a, b] * np.array([1, -1]) + rng.normal(scale=0.1, size=2))
    game = from_payoffs(RPS)
    oracle = lambda player, start, mixture: game.best_response(player, mixture)[0]
    found = psro(noisy, oracle, (0, 0), num_iterations=3, same=game.same, symmetric=True)
    np.testing.assert_array_equal(found.payoffs[0], found.payoffs[1].T)
    np.testing.assert_allclose(*[m.weights for m in found.mixtures], atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="did you mean 'rectified_nash'"):
        psro(None, None, (0, 0), num_iterations=1, meta_solver="rectified")
    with pytest.raises(ValueError, match="meta_solver: expected a symmetric game"):
        psro(None, None, (0, 0), num_iterations=1, meta_solver="rectified_nash")
    with pytest.raises(ValueError, match="num_iterations: expected at least 1"):
        psro(None, None, (0, 0), num_iterations=0)
