"""Kuhn and Leduc poker, and their relatives: a card each, betting, perhaps a card for both.

Kuhn, 1950; Southey et al., 2005, "Bayes' bluff", UAI. The rules are OpenSpiel's, to the number.
"""

import math

import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form.assembly import End, Levels, Met, Place, assemble
from jaxmarl_core.solvers.extensive_form.card_game import CardGame

FOLD, CALL, RAISE = 0, 1, 2
ACTIONS = ("fold", "call", "raise")
RANKS, SUITS = "A23456789TJQK", "cdhs"  # three ranks are jack, queen and king


def kuhn_poker(*, ranks: int = 3, ante: float = 1.0, bet: float = 1.0) -> CardGame:
    """Returns Kuhn poker: three cards, one bet. "call" without a bet to match is Kuhn's pass.

    12 infosets; with the numbers of the paper player 0 loses 1/18 a game. Arguments and errors as
    of `poker`.
    """
    return poker(ranks=ranks, suits=1, ante=ante, bets=(bet,), max_raises=1)


def leduc_poker(
    *,
    ranks: int = 3,
    suits: int = 2,
    ante: float = 1.0,
    bets: tuple[float, float] = (2.0, 4.0),
    max_raises: int = 2,
) -> CardGame:
    """Returns Leduc hold'em: six cards, a second round of betting after a card for both.

    936 infosets; with the usual numbers player 0 loses 0.0856064 a game. Arguments and errors as of
    `poker`.
    """
    return poker(ranks=ranks, suits=suits, ante=ante, bets=bets, max_raises=max_raises)


def poker(
    *,
    ranks: int = 3,
    suits: int = 2,
    ante: float = 1.0,
    bets: tuple[float, ...] = (2.0, 4.0),
    max_raises: int = 2,
) -> CardGame:
    """Returns two-player limit poker with one hidden card each.

    Each puts in the ante and is dealt a card. Player 0 begins every round; one may fold when there
    is a bet to match, call, or raise by the round's bet. Before a second round a card is turned
    that counts for both. A pair with it beats any other card, then the higher rank wins; equals
    share.

    Args:
      ranks: 2 to 13.
      suits: 1 to 4, cards of each rank; with two rounds at least three cards in all.
      ante: above 0.
      bets: what a raise adds in each of one or two rounds, above 0.
      max_raises: in a round, at least 0.

    Raises:
      ValueError: naming the argument.
    """
    require(2 <= ranks <= len(RANKS), "ranks", f"2 to {len(RANKS)}", ranks)
    require(1 <= suits <= len(SUITS), "suits", f"1 to {len(SUITS)}", suits)
    require(0 < ante < math.inf, "ante", "above 0", ante)
    require(len(bets) in (1, 2), "bets", "one or two rounds", bets)
    require(all(0 < bet < math.inf for bet in bets), "bets", "numbers above 0", bets)
    require(max_raises >= 0, "max_raises", "at least 0", max_raises)
    num_cards = ranks * suits
    require(num_cards > len(bets), "suits", "a card for each player and for the board", suits)
    marks = SUITS[:suits] if suits > 1 else ("",)
    cards = tuple(rank + suit for rank in RANKS[-ranks:] for suit in marks)
    deal = (1 - np.eye(num_cards)) / (num_cards * (num_cards - 1))
    table = _Table(cards, np.arange(num_cards) // suits, deal, bets, max_raises)
    table.play("", "", None, (ante, ante), (Place(), Place()))
    return assemble(table.levels, table.ends, cards, ACTIONS)


class _Table:
    """Deals and plays every public history once, and writes down what it meets."""

    def __init__(self, cards, rank, deal, bets, max_raises):
        self.cards, self.rank, self.deal = cards, rank, deal
        self.bets, self.max_raises = bets, max_raises
        self.levels: tuple[Levels, Levels] = ([], [])
        self.ends: list[End] = []

    def play(self, before, moves, board, paid, places):
        """Plays on from a public state: what came before this round, its moves, who paid what."""
        player, pot = len(moves) % 2, max(paid)
        legal = (paid[player] < pot, True, moves.count("r") < self.max_raises)
        level, sequence = places[player]
        levels = self.levels[player]
        if level == len(levels):
            levels.append([])
        first = len(levels[level]) * len(ACTIONS)
        possible = np.arange(len(self.cards)) != board
        levels[level].append(Met((before + moves).rstrip(), legal, possible, sequence))
        for action in np.flatnonzero(legal):
            following = moves + ACTIONS[action][0]
            there = _put(places, player, Place(level + 1, first + int(action)))
            if action == FOLD:
                self.end(np.full_like(self.deal, paid[1] if player else -paid[0]), board, there)
            elif action == RAISE:
                bet = self.bets[0 if board is None else 1]
                self.play(before, following, board, _put(paid, player, pot + bet), there)
            elif not moves:  # the first to act has checked
                self.play(before, following, board, paid, there)
            elif board is None and len(self.bets) == 2:
                for card, name in enumerate(self.cards):
                    self.play(f"{following} {name} ", "", card, (pot, pot), there)
            else:
                self.end(pot * self.showdown(board), board, there)

    def showdown(self, board):
        """Returns who wins, [C, C]: 1 for player 0, 0 where they share."""
        paired = self.rank == self.rank[board] if board is not None else False
        strength = self.rank + len(self.cards) * paired
        return np.sign(strength[:, None] - strength).astype(float)

    def end(self, payoff, board, places):
        chance = self.deal
        if board is not None:
            free = np.arange(len(self.cards)) != board
            chance = chance * np.outer(free, free) / (len(self.cards) - 2)
        self.ends.append(End(payoff, chance, places))


def _put(pair, player, value):
    return (value, pair[1]) if player == 0 else (pair[0], value)
