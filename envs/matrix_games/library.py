"""Payoffs of the matrix games that the literature keeps coming back to.

Rows are player 0's actions, columns player 1's. Every entry of `GAMES` maps (num_agents, penalty)
to a `Game`; most are for two players, and say so if asked for more.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxmarl_core.errors import lookup, require


class Game(NamedTuple):
    """A normal-form game of N players; outcomes may hang on one coin that all players share."""

    payoffs: np.ndarray  # [N, A_1, ..., A_N] f32, the mean payoff to each player
    spread: np.ndarray  # same shape; a fair coin pays `payoffs + spread` or `payoffs - spread`


Table = Sequence | np.ndarray  # of numbers, [A_1, ..., A_N]


def team(payoff: Table, spread: Table | float = 0.0) -> Game:
    """Returns the game in which all players get `payoff` [A_1, ..., A_N]."""
    mean = np.asarray(payoff, np.float32)
    everyone = (mean.ndim, *mean.shape)
    return Game(
        np.broadcast_to(mean, everyone).copy(),
        np.broadcast_to(np.asarray(spread, np.float32), everyone).copy(),
    )


def bimatrix(row: Table, column: Table | None = None) -> Game:
    """Returns a two-player game; `column` defaults to the symmetric game's, `row` transposed."""
    row = np.asarray(row, np.float32)
    payoffs = np.stack([row, row.T if column is None else np.asarray(column, np.float32)])
    return Game(payoffs, np.zeros_like(payoffs))


def zero_sum(row: Table) -> Game:
    """Returns the two-player game in which one wins what the other loses."""
    return bimatrix(row, -np.asarray(row, np.float32))


def two_outcomes(high: Table, low: Table) -> Game:
    """Returns the team game that pays `high` or `low`, each with probability 1/2."""
    high, low = np.asarray(high, np.float32), np.asarray(low, np.float32)
    return team((high + low) / 2, (high - low) / 2)


def _two_players(game: Game) -> Callable[[int, float], Game]:
    def build(num_agents: int, penalty: float) -> Game:
        require(num_agents == 2, "num_agents", "2 for this game", num_agents)
        return game

    return build


def coordination(num_agents: int, penalty: float) -> Game:
    """Returns N players, two actions: 10 if all choose the same, else 0."""
    payoff = np.zeros((2,) * num_agents)
    payoff[(0,) * num_agents] = payoff[(1,) * num_agents] = 10
    return team(payoff)


def penalty_game(num_agents: int, penalty: float) -> Game:
    """Returns the penalty game: two optima (10), a safe equilibrium (2), `penalty` k between.

    Claus & Boutilier, 1998, AAAI: k in [-100, 0]; the lower k, the rarer the optimum.
    """
    require(num_agents == 2, "num_agents", "2 for this game", num_agents)
    require(penalty <= 0, "penalty", "at most 0", penalty)
    return team([[10, 0, penalty], [0, 2, 0], [penalty, 0, 10]])


def shared_policy_trap(num_agents: int, penalty: float) -> Game:
    """Returns the game in which agents with one shared policy are at their worst.

    1 if the first half of an even number of agents plays 0 and the second half 1, or the other way
    round; else 0. Agents who know neither their index nor each other's draw can do no better than
    2 / 2^n together, and agents with policies of their own reach 1.
    Kuba et al., 2021, arXiv:2109.11251, proposition 1; Zhong et al., 2023, arXiv:2304.09870.
    """
    even = num_agents % 2 == 0 and num_agents >= 2
    require(even, "num_agents", "an even number for this game", num_agents)
    half = num_agents // 2
    payoff = np.zeros((2,) * num_agents)
    payoff[(0,) * half + (1,) * half] = payoff[(1,) * half + (0,) * half] = 1
    return team(payoff)


_CLIMBING = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]

GAMES: dict[str, Callable[[int, float], Game]] = {
    # Action 0 cooperates, 1 defects.
    "prisoners_dilemma": _two_players(bimatrix([[3, 0], [5, 1]])),
    "matching_pennies": _two_players(zero_sum([[1, -1], [-1, 1]])),
    "rock_paper_scissors": _two_players(zero_sum([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])),
    # Mixed equilibrium: each plays its favourite with probability 2/3.
    "battle_of_the_sexes": _two_players(bimatrix([[2, 0], [0, 1]], [[1, 0], [0, 2]])),
    # 0 swerves, 1 goes straight. Mixed equilibrium: swerve with probability 9/10.
    "chicken": _two_players(bimatrix([[0, -1], [1, -10]])),
    # 0 hunts the stag, which takes two; 1 the hare. Mixed equilibrium: stag with probability 3/4.
    "stag_hunt": _two_players(bimatrix([[4, 0], [3, 3]])),
    "coordination": coordination,
    # Claus & Boutilier, 1998, AAAI. Optimum (0, 0), shadowed by the penalties beside it. Several
    # code bases carry the transpose; in the paper agent 1's actions are the columns.
    "climbing": _two_players(team(_CLIMBING)),
    "penalty": penalty_game,
    # Kapetanakis & Kudenko, 2002, AAAI: (1, 1) pays 14 or 0; then every joint action pays one of
    # two values. The means are those of climbing.
    "partially_stochastic_climbing": _two_players(team(_CLIMBING, np.diag([0, 7, 0]))),
    "fully_stochastic_climbing": _two_players(
        two_outcomes(
            [[12, 5, 8], [5, 14, 12], [5, 5, 7]],
            [[10, -65, -8], [-65, 0, 0], [-5, -5, 3]],
        )
    ),
    # Shapley, 1964: fictitious play cycles for ever around the one equilibrium, uniform play.
    "shapley": _two_players(
        bimatrix([[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    ),
    # Bowling, 2005, NIPS 17: gradient play and WoLF-PHC orbit around the equilibrium (1/2, 1/2).
    "tricky": _two_players(bimatrix([[0, 3], [1, 2]], [[3, 2], [0, 1]])),
    # Son et al., 2019, arXiv:1905.05408, table 1: not monotone, so beyond VDN and QMIX.
    "qtran": _two_players(team([[8, -12, -12], [-12, 0, 0], [-12, 0, 0]])),
    "shared_policy_trap": shared_policy_trap,
    # Zhong et al., 2023, arXiv:2304.09870: where both play 0 with probability above 0.6, the best
    # reply of each alone is 1; when both take it they land on the worst joint action.
    "simultaneous_update_trap": _two_players(team([[0, 2], [2, -1]])),
}


ACTION_NAMES: dict[str, tuple[str, ...]] = {
    "prisoners_dilemma": ("cooperate", "defect"),
    "matching_pennies": ("heads", "tails"),
    "rock_paper_scissors": ("rock", "paper", "scissors"),
    "chicken": ("swerve", "straight"),
    "stag_hunt": ("stag", "hare"),
}  # where the literature gives both players the same


def game(name: str, num_agents: int = 2, penalty: float = -10.0) -> Game:
    """Returns a game by name.

    Args:
      name: a key of `GAMES`.
      num_agents: 2; up to 16 where the game is defined for more.
      penalty: at most 0; k of "penalty", without effect elsewhere.

    Raises:
      ValueError: for an unknown name (with the nearest one), or arguments the game does not take.
    """
    build = lookup(GAMES, name, "name")
    # a table of 2^16 joint actions for each of 16 players is 4 MB; each player more doubles it
    require(2 <= num_agents <= 16, "num_agents", "in [2, 16]", num_agents)
    return build(num_agents, penalty)
