"""Poker as arrays, against a plain walk through its histories."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.extensive_form import (
    best_response,
    expected_value,
    exploitability,
    kuhn_poker,
    leduc_poker,
    nash_conv,
    poker,
    uniform,
)

GAMES = {
    "kuhn": (kuhn_poker, {"ranks": 3, "suits": 1, "ante": 1, "bets": (1,), "max_raises": 1}),
    "leduc": (leduc_poker, {"ranks": 3, "suits": 2, "ante": 1, "bets": (2, 4), "max_raises": 2}),
    "small": (
        lambda: poker(ranks=2, suits=2, ante=0.5, bets=(1.0, 3.0), max_raises=1),
        {"ranks": 2, "suits": 2, "ante": 0.5, "bets": (1.0, 3.0), "max_raises": 1},
    ),
}


def walk(rules, act):
    """What player 0 wins on average, history by history; act(player, card, public) -> [A]."""
    deck = [(rank, suit) for rank in range(rules["ranks"]) for suit in range(rules["suits"])]

    def pay(hands, board, paid, folded):
        if folded is not None:
            return -paid[0] if folded == 0 else paid[1]
        score = [
            100 * (board is not None and deck[hand][0] == deck[board][0]) + deck[hand][0]
            for hand in hands
        ]
        return paid[0] * ((score[0] > score[1]) - (score[0] < score[1]))

    def play(hands, board, rounds, paid):
        number = len(rounds) - 1
        moves = rounds[-1]
        if moves.endswith("f"):
            return pay(hands, board, paid, (len(moves) - 1) % 2)
        if len(moves) >= 2 and moves.endswith("c"):
            if number + 1 == len(rules["bets"]):
                return pay(hands, board, paid, None)
            rest = [card for card in range(len(deck)) if card not in hands]
            after = [play(hands, card, (*rounds, ""), paid) for card in rest]
            return sum(after) / len(rest)
        player = len(moves) % 2
        probabilities = act(player, hands[player], (rounds, board))
        value = 0.0
        for move, probability in zip("fcr", probabilities):
            facing = paid[player] < paid[1 - player]
            capped = moves.count("r") == rules["max_raises"]
            if (move == "f" and not facing) or (move == "r" and capped):
                assert probability == 0
                continue
            to = list(paid)
            if move != "f":
                to[player] = max(paid) + (rules["bets"][number] if move == "r" else 0)
            value += probability * play(hands, board, (*rounds[:-1], moves + move), to)
        return value

    deals = list(itertools.permutations(range(len(deck)), 2))
    return sum(play(hands, None, ("",), [rules["ante"]] * 2) for hands in deals) / len(deals)


def acting(game, strategies):
    """`act` of `walk` that looks strategies up by the names of public states."""
    tables = [
        {name: np.asarray(s, float)[n] for n, name in enumerate(d.names)}
        for d, s in zip(game.decisions, strategies)
    ]

    def act(player, card, public):
        rounds, board = public
        name = rounds[0] if board is None else f"{rounds[0]} {game.cards[board]} {rounds[1]}"
        return tables[player][name.rstrip()][:, card]

    return act


def random_strategies(game, seed):
    rng = np.random.default_rng(seed)
    strategies = []
    for decisions in game.decisions:
        legal = np.asarray(decisions.legal)
        weights = rng.exponential(size=(*legal.shape, len(game.cards))) * legal[..., None]
        strategies.append(weights / weights.sum(1, keepdims=True))
    return tuple(strategies)


def as_arrays(strategies):
    return tuple(jnp.asarray(each, jnp.float32) for each in strategies)


def test_infosets_and_names():
    kuhn, leduc = kuhn_poker(), leduc_poker()
    assert kuhn.num_infosets == 12 and leduc.num_infosets == 936
    assert [each.names for each in kuhn.decisions] == [("", "cr"), ("c", "r")]
    assert kuhn.cards == ("J", "Q", "K") and leduc.cards[:2] == ("Jc", "Jd")
    assert "crc Kd rr" in leduc.decisions[0].names and "cc Qc c" in leduc.decisions[1].names
    # 5 public histories lead to the second round, 6 cards may be turned, 4 folds + 5 showdowns
    assert leduc.payoff.shape == (4 + 5 * 6 * 9, 6, 6)


@pytest.mark.fast("kuhn", "leduc")
@pytest.mark.parametrize("name", GAMES)
def test_expected_value_is_that_of_a_walk_through_all_histories(name):
    build, rules = GAMES[name]
    game = build()
    for seed in range(3):
        strategies = random_strategies(game, seed)
        truth = walk(rules, acting(game, strategies))
        np.testing.assert_allclose(expected_value(game, as_arrays(strategies)), truth, atol=2e-6)


def test_best_response_is_the_best_of_all_pure_strategies_in_kuhn():
    game, rules = kuhn_poker(), GAMES["kuhn"][1]
    strategies = random_strategies(game, 7)
    for player in (0, 1):
        legal = np.asarray(game.decisions[player].legal)
        values = []
        for choice in itertools.product((0, 1), repeat=6):  # two public states, three cards
            pure = np.zeros((2, 3, 3))
            for (node, card), which in zip(itertools.product(range(2), range(3)), choice):
                pure[node, np.flatnonzero(legal[node])[which], card] = 1
            pair = (pure, strategies[1]) if player == 0 else (strategies[0], pure)
            values.append((1 - 2 * player) * walk(rules, acting(game, pair)))
        value, response = best_response(game, as_arrays(strategies), player)
        np.testing.assert_allclose(value, max(values), atol=1e-6)
        pair = list(as_arrays(strategies))
        pair[player] = response
        won = (1 - 2 * player) * expected_value(game, pair)
        np.testing.assert_allclose(won, max(values), atol=1e-6)


def test_best_response_in_leduc_wins_what_it_says_and_more_than_others():
    game = leduc_poker()
    strategies = random_strategies(game, 1)
    for player in (0, 1):
        value, response = best_response(game, as_arrays(strategies), player)
        pair = list(strategies)
        pair[player] = np.asarray(response)
        sign = 1 - 2 * player
        np.testing.assert_allclose(
            sign * walk(GAMES["leduc"][1], acting(game, pair)), value, atol=1e-5
        )
        for seed in range(3):
            pair[player] = random_strategies(game, seed)[player]
            assert sign * expected_value(game, as_arrays(pair)) < value


def test_an_equilibrium_of_kuhn_is_not_exploitable():
    # Kuhn, 1950: player 0 bets a jack with alpha and a king with 3 alpha, calls with a queen by
    # alpha + 1/3; player 1 calls with a queen and bluffs with a jack by 1/3.
    game, alpha = kuhn_poker(), 0.2
    first = {"": {"r": [alpha, 0, 3 * alpha]}, "cr": {"c": [0, alpha + 1 / 3, 1]}}
    second = {"c": {"r": [1 / 3, 0, 1]}, "r": {"c": [0, 1 / 3, 1]}}
    strategies = []
    for decisions, table in zip(game.decisions, (first, second)):
        strategy = np.zeros((2, 3, 3))
        for n, name in enumerate(decisions.names):
            ((move, share),) = table[name].items()
            strategy[n, "fcr".index(move)] = share
            other = 1 if move == "r" else 0
            strategy[n, other] = 1 - np.asarray(share)
        strategies.append(strategy)
    strategies = as_arrays(strategies)
    np.testing.assert_allclose(exploitability(game, strategies), 0, atol=1e-6)
    np.testing.assert_allclose(expected_value(game, strategies), -1 / 18, atol=1e-6)
    # a queen that never calls is bluffed by every jack
    worse = strategies[1].at[1, :, 1].set(jnp.array([1.0, 0, 0]))
    assert nash_conv(game, (strategies[0], worse)) > 0.05


def test_uniform_strategies_are_legal():
    game = leduc_poker()
    for strategy, decisions in zip(uniform(game), game.decisions):
        np.testing.assert_allclose(strategy.sum(1), 1, rtol=1e-6)
        assert not np.any(strategy[~np.asarray(decisions.legal)])


def test_chance_is_one_behind_every_pair_of_plans():
    """Summed over the ends that pure plans lead to, chance's probabilities are 1."""
    game = leduc_poker()
    ones = game.replace(payoff=jnp.ones_like(game.payoff))
    for seed in range(3):
        value = expected_value(ones, as_arrays(random_strategies(game, seed)))
        np.testing.assert_allclose(value, 1, rtol=1e-5)


def test_values_vmap_over_payoffs_and_strategies():
    game = kuhn_poker()
    strategies = as_arrays(random_strategies(game, 3))
    double = jnp.stack([game.payoff, 2 * game.payoff])
    both = jax.vmap(lambda payoff: exploitability(game.replace(payoff=payoff), strategies))(double)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-5)
    np.testing.assert_allclose(both[0], exploitability(game, strategies), rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("ranks", {"ranks": 1}),
        ("ranks", {"ranks": 14}),
        ("suits", {"suits": 0}),
        ("suits", {"ranks": 2, "suits": 1}),  # nothing left to turn
        ("ante", {"ante": 0.0}),
        ("bets", {"bets": ()}),
        ("bets", {"bets": (2.0, float("nan"))}),
        ("max_raises", {"max_raises": -1}),
    ],
)
def test_mistakes_are_named(field, options):
    with pytest.raises(ValueError, match=f"{field}: expected"):
        poker(**options)
