"""Games from trees: Kuhn and Leduc against the arrays of `poker`; what is no game is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.extensive_form import (
    CFR_PLUS,
    Chance,
    Decision,
    End,
    best_response,
    cfr,
    expected_value,
    exploitability,
    from_tree,
    kuhn_poker,
    leduc_poker,
    nash_conv,
    poker,
    require_game,
    require_strategies,
    uniform,
)

KUHN = {"ranks": 3, "suits": 1, "bets": (1,), "max_raises": 1}
LEDUC = {"ranks": 3, "suits": 2, "bets": (2, 4), "max_raises": 2}


def poker_tree(ranks, suits, bets, max_raises):
    """The game history by history: every deal, every board, every move, who sees what."""
    deck = [rank for rank in range(ranks) for _ in range(suits)]

    def showdown(hands, board, pot):
        score = [100 * (board is not None and deck[h] == deck[board]) + deck[h] for h in hands]
        return End(pot * ((score[0] > score[1]) - (score[0] < score[1])))

    def play(hands, board, before, moves, paid):
        player = len(moves) % 2
        name = f"{player} holds {hands[player]}: {before}{moves}"
        actions = {}
        if paid[player] < max(paid):
            actions["fold"] = End(paid[1] if player else -paid[0])
        level = [max(paid)] * 2
        if not moves:
            actions["call"] = play(hands, board, before, "c", paid)
        elif board is None and len(bets) == 2:
            rest = [card for card in range(len(deck)) if card not in hands]
            turned = [play(hands, card, f"{moves}c {card} ", "", level) for card in rest]
            actions["call"] = Chance([(1 / len(rest), following) for following in turned])
        else:
            actions["call"] = showdown(hands, board, max(paid))
        if moves.count("r") < max_raises:
            raised = list(paid)
            raised[player] = max(paid) + bets[0 if board is None else 1]
            actions["raise"] = play(hands, board, before, moves + "r", raised)
        return Decision(player, name, actions)

    deals = list(itertools.permutations(range(len(deck)), 2))
    return Chance([(1 / len(deals), play(hands, None, "", "", [1, 1])) for hands in deals])


def by_card(game, tree, strategies):
    """Strategies of the tree [N, A, 1] as arrays over cards [N, A, C]."""
    found = []
    order = [tree.actions.index(action) for action in game.actions]
    for player, (decisions, flat) in enumerate(zip(game.decisions, tree.decisions)):
        where = {name: n for n, name in enumerate(flat.names)}
        table = np.array(uniform(game)[player], np.float64)
        cards = {name: str(number) for number, name in enumerate(game.cards)}
        for n, name in enumerate(decisions.names):
            words = name.split(" ")
            seen = name if len(words) == 1 else f"{words[0]} {cards[words[1]]} "
            seen += words[2] if len(words) == 3 else ""
            for card in np.flatnonzero(np.asarray(decisions.possible)[n]):
                row = where[f"{player} holds {card}: {seen}"]
                table[n, :, card] = np.asarray(strategies[player])[row, order, 0]
        found.append(jnp.asarray(table, jnp.float32))
    return tuple(found)


@pytest.mark.parametrize(
    ("build", "rules", "num_infosets"),
    [(kuhn_poker, KUHN, 12), pytest.param(leduc_poker, LEDUC, 936, marks=pytest.mark.slow)],
)
def test_poker_from_its_tree_is_poker(build, rules, num_infosets):
    game, tree = build(), from_tree(poker_tree(**rules))
    require_game(game)
    require_game(tree)
    assert tree.num_infosets == num_infosets and tree.payoff.shape[1:] == (1, 1)
    rng = np.random.default_rng(0)
    for _ in range(2):
        strategies = []
        for decisions in tree.decisions:
            weights = rng.exponential(size=(*decisions.legal.shape, 1))
            weights *= np.asarray(decisions.legal)[..., None]
            strategies.append((weights / weights.sum(1, keepdims=True)).astype(np.float32))
        require_strategies(tree, tuple(strategies))
        same = by_card(game, tree, strategies)
        for measure in (expected_value, nash_conv):
            found = measure(tree, tuple(strategies))
            np.testing.assert_allclose(found, measure(game, same), atol=1e-5)


@pytest.mark.parametrize(
    ("rules", "iterations", "truth"),
    [(KUHN, 100, 0.0011944041011116846), (LEDUC, 10, 0.6104389015904066)],
)
def test_cfr_of_a_tree_walks_openspiels_path(rules, iterations, truth):
    with jax.enable_x64(True):
        tree = from_tree(poker_tree(**rules))
        found = cfr(tree, iterations, CFR_PLUS, evaluate_every=iterations).exploitability
    np.testing.assert_allclose(found[-1], truth, rtol=1e-8)


def pennies(value=1.0, second="second"):
    after = lambda name, x: Decision(1, name, {"heads": End(x), "tails": End(-x)})
    return Decision(0, "first", {"heads": after(second, value), "tails": after("second", -value)})


def test_whoever_sees_the_penny_wins_it():
    """One infoset for the second player: the game is worth 0; two: it always wins."""
    blind, seeing = from_tree(pennies()), from_tree(pennies(second="after heads"))
    assert blind.num_infosets == 2 and seeing.num_infosets == 3
    for game, value in ((blind, 0), (seeing, -1)):
        result = cfr(game, 200)
        np.testing.assert_allclose(expected_value(game, result.strategies), value, atol=0.02)
        assert exploitability(game, result.strategies) < 0.02
    value, strategy = best_response(seeing, uniform(seeing), 1)
    assert value == 1
    best = dict(zip(seeing.decisions[1].names, np.asarray(strategy)[..., 0]))
    assert best["after heads"].tolist() == [0, 1] and best["second"].tolist() == [1, 0]


def forgetful():
    """The first player moves, and then no longer knows how."""
    after = lambda x: Decision(0, "again", {"a": End(x), "b": End(0)})
    second = Decision(1, "second", {"a": after(1), "b": after(0)})
    return Decision(0, "first", {"a": second, "b": after(2)})


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (Chance([(0.5, pennies()), (0.4, pennies())]), "root: chance: expected probabilities that"),
        (
            Chance([(1.5, pennies()), (-0.5, pennies())]),
            "root: chance: expected probabilities that",
        ),
        (Chance([]), "root: chance: expected probabilities that"),
        (pennies(np.nan), "root, heads, heads: payoff: expected a number, got nan"),
        (Decision(2, "first", {"a": End(0)}), "root: player: expected 0 or 1, got 2"),
        (Decision(0, "first", {}), 'infoset "first": expected an action'),
        (Decision(0, "first", {"a": End(0)}), "root: expected a decision of player 1"),
        (pennies(second="first"), 'infoset "first": expected player 0, as elsewhere, got 1'),
        (forgetful(), r'infoset "again": expected .* \(perfect recall\)'),
        (
            Decision(
                0,
                "first",
                {
                    "a": Decision(1, "second", {"a": End(0)}),
                    "b": Decision(1, "second", {"a": End(1), "b": End(0)}),
                },
            ),
            r'infoset "second": expected the actions \[\'a\'\]',
        ),
        (Decision(0, "first", {"a": 3}), "root, a: expected End, Chance or Decision, got int"),
    ],
)
def test_what_is_no_game_is_refused(root, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        from_tree(root)


def planted(game, player=0, **changes):
    decisions = list(game.decisions)
    decisions[player] = decisions[player].replace(**changes)
    return game.replace(decisions=tuple(decisions))


def test_errors_planted_in_arrays_are_found():
    game = kuhn_poker()
    first, second = game.decisions
    wrong = {
        "chance: expected probabilities that sum to 1": game.replace(chance=2 * game.chance),
        "chance: expected every end to be possible": game.replace(
            chance=game.chance.at[0].set(0.0)
        ),
        "chance: expected finite": game.replace(chance=game.chance.at[0, 0, 1].set(jnp.nan)),
        "payoff: expected shape": game.replace(payoff=game.payoff[:, 0]),
        r"decisions\[0\].leaves: expected every end once": planted(
            game, leaves=first.leaves.at[first.last[0]].set(len(game.payoff))
        ),
        r"decisions\[1\].leaves: expected every end once": planted(
            game, 1, last=second.last.at[0].set(second.last[-1])
        ),
        r"decisions\[0\].children: expected every decision once": planted(
            game, children=(jnp.ones_like(first.children[0]), *first.children[1:])
        ),
        r"decisions\[0\]: expected legal sequences": planted(
            game, legal=first.legal.at[0, 0].set(True)
        ),
    }
    for words, each in wrong.items():
        with pytest.raises(ValueError, match=f"^{words}"):
            require_game(each)
    # an end that no sequence leads to and that chance forgot as well
    leaves = jnp.where(first.leaves == 0, len(game.payoff), first.leaves)
    with pytest.raises(ValueError, match="leaves"):
        require_game(planted(game, leaves=leaves))


def test_strategies_of_another_shape_are_refused():
    """They would broadcast: one decision's for all, one card's for all."""
    game = kuhn_poker()
    first, second = uniform(game)
    for call in (expected_value, nash_conv, exploitability):
        for wrong in ((first[:1], second), (first, second[..., :1]), (first[..., 0], second)):
            with pytest.raises(ValueError, match=r"strategies\[[01]\]: expected shape"):
                jax.eval_shape(call, game, wrong)
    with pytest.raises(ValueError, match="player: expected 0 or 1"):
        best_response(game, (first, second), 2)
    with pytest.raises(ValueError, match="sum to 1"):
        require_strategies(game, (2 * first, second))
    with pytest.raises(ValueError, match="not legal"):
        require_strategies(game, (first.at[0, 0].set(0.5), second))
    require_strategies(game, (first, second))


@pytest.mark.slow
def test_relatives_of_poker_are_games():
    rules = {"ranks": 2, "suits": 2, "bets": (1.0, 3.0), "max_raises": 1}
    game, tree = poker(**rules), from_tree(poker_tree(**rules))
    require_game(game)
    ours, theirs = (float(nash_conv(x, uniform(x))) for x in (game, tree))
    assert ours == pytest.approx(theirs, abs=1e-5) and ours > 0.1
