"""Poker as a world is the game that is solved: by hand, and by playing out every line of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.checks.environment import check_environment
from jaxmarl_core.envs.card_games import card_world, kuhn, leduc
from jaxmarl_core.envs.card_games.card_world import CardState, states
from jaxmarl_core.envs.card_games.public_tree import NOBODY
from jaxmarl_core.solvers.extensive_form import (
    Decision,
    End,
    expected_value,
    from_tree,
    kuhn_poker,
    uniform,
)

FOLD, CALL, RAISE = 0, 1, 2
JACK, QUEEN, KING = 0, 1, 2


def played(world, cards, moves):
    """The time steps of a game of given cards and moves, in order."""
    state = CardState(jnp.int32(0), jnp.array(cards, jnp.int32))
    step = jax.jit(world.advance)
    seen = [world.observe(state)]
    for move in moves:
        actions = {name: jnp.array([move]) for name in ("player_0", "player_1")}
        state = step(jax.random.key(0), state, actions)
        seen.append(world.observe(state))
    return seen


@pytest.mark.parametrize(
    ("cards", "moves", "pay"),
    [
        ((KING, JACK), (CALL, CALL), 1),  # both pass: the higher card wins the antes
        ((JACK, KING), (CALL, CALL), -1),
        ((JACK, QUEEN), (RAISE, FOLD), 1),  # a bluff
        ((JACK, QUEEN), (RAISE, CALL), -2),
        ((QUEEN, JACK), (CALL, RAISE, FOLD), -1),
        ((QUEEN, JACK), (CALL, RAISE, CALL), 2),
    ],
)
def test_kuhn_poker_pays_as_the_rules_say(cards, moves, pay):
    seen = played(kuhn(), cards, moves)
    assert not any(bool(each.last) for each in seen[:-1]) and seen[-1].last
    assert all(float(each.reward["player_0"][0]) == 0 for each in seen[:-1])
    assert float(seen[-1].reward["player_0"][0]) == pay
    assert float(seen[-1].reward["player_1"][0]) == -pay


def test_each_sees_its_own_card_and_who_is_to_move():
    world = kuhn(observation="index")
    first, second = played(world, (KING, JACK), (RAISE,))
    assert first.observation["player_0"][0] == KING * world.num_nodes
    assert first.observation["player_1"][0] == JACK * world.num_nodes
    # the first may pass or bet, the other does nothing; then it may fold or call
    assert first.action_mask["player_0"][0].tolist() == [False, True, True]
    assert first.action_mask["player_1"][0].tolist() == [True, False, False]
    assert second.action_mask["player_0"][0].tolist() == [True, False, False]
    assert second.action_mask["player_1"][0].tolist() == [True, True, False]


def value_of_every_line(world, strategies):
    """What player 0 wins, by walking every deal, move and public card in Python."""
    tree, game = jax.tree.map(np.asarray, (world.tree, world.game))

    def below(node, cards):
        player = tree.player[node]
        if player == NOBODY:
            return game.payoff[tree.end[node], cards[0], cards[1]]
        total = 0.0
        for action in np.flatnonzero(tree.legal[node]):
            share = strategies[player][tree.decision[node], action, cards[player]]
            places = np.flatnonzero(tree.possible[node, action])
            chance = game.chance[tree.witness[node, action, places], cards[0], cards[1]]
            for place, weight in zip(places, chance / max(chance.sum(), 1e-12)):
                total += share * weight * below(tree.following[node, action, place], cards)
        return total

    deals = np.argwhere(tree.deal > 0)
    return sum(tree.deal[tuple(cards)] * below(0, cards) for cards in deals)


def random_strategies(game, seed):
    rng, found = np.random.default_rng(seed), []
    for each in uniform(game):
        weights = np.asarray(each) * rng.uniform(0.1, 1, each.shape)
        found.append((weights / weights.sum(1, keepdims=True)).astype(np.float32))
    return found[0], found[1]


@pytest.mark.parametrize("make", [kuhn, pytest.param(leduc, marks=pytest.mark.slow)])
def test_every_line_is_worth_what_the_solver_says(make):
    world = make()
    for seed in range(2):
        strategies = random_strategies(world.game, seed)
        expected = float(expected_value(world.game, strategies))
        assert value_of_every_line(world, strategies) == pytest.approx(expected, abs=1e-5)


def test_states_are_where_a_player_decides():
    world = kuhn()
    for player in (0, 1):
        found = states(world, player)
        count = len(world.game.decisions[player].names)
        assert found.node.shape == (count, 3) and found.cards.shape == (count, 3, 2)
        np.testing.assert_array_equal(world.tree.player[found.node], player)
        np.testing.assert_array_equal(
            world.tree.decision[found.node], np.arange(count)[:, None].repeat(3, 1)
        )
        np.testing.assert_array_equal(found.cards[..., player], [[0, 1, 2]] * count)


@pytest.mark.slow
@pytest.mark.parametrize("observation", ["index", "features"])
def test_it_keeps_the_contract(observation):
    assert check_environment(kuhn(observation=observation)) == []


def test_chance_shows_a_public_card_that_nobody_holds():
    world = leduc()
    moves = {name: jnp.array([CALL]) for name in ("player_0", "player_1")}
    deal = jax.jit(jax.vmap(world.initial))(jax.random.split(jax.random.key(0), 500))
    assert (deal.cards[:, 0] != deal.cards[:, 1]).all()
    step = jax.jit(jax.vmap(world.advance, (0, 0, None)))
    later = step(jax.random.split(jax.random.key(1), 500), deal, moves)
    later = step(jax.random.split(jax.random.key(2), 500), later, moves)
    # 6 cards: each of the public nodes after two calls is met about as often
    _, counts = np.unique(later.node, return_counts=True)
    assert len(counts) == 6 and counts.min() > 50
    names = world.game.decisions[0].names
    card = [names[int(world.tree.decision[node])] for node in later.node]
    held = [[world.game.cards[c] for c in cards] for cards in later.cards.tolist()]
    assert not any(any(h in name for h in pair) for name, pair in zip(card, held))


def test_hidden_moves_are_refused():
    pennies = Decision(0, "first", {
        "heads": Decision(1, "second", {"heads": End(1), "tails": End(-1)}),
        "tails": Decision(1, "second", {"heads": End(-1), "tails": End(1)}),
    })  # fmt: skip
    with pytest.raises(ValueError, match="game: expected"):
        card_world(from_tree(pennies))
    with pytest.raises(ValueError, match=r"observation: .* did you mean 'features'"):
        card_world(kuhn_poker(), "feature")
