"""The standings of a tournament: win rates, Elo, Nash averaging and alpha-rank of its players."""

from typing import NamedTuple

import numpy as np

from jaxmarl_core.play.tournament import (
    Tournament,
    WinRates,
    pair_win_rates,
    player_win_rates,
    side_win_rates,
)
from jaxmarl_core.solvers.rankings import alpha_rank, elo, nash_averaging, win_logits

PRIOR = 1.0  # a drawn game of all pairs, without which the unbeaten have no finite rating


class Standings(NamedTuple):
    """Figures of P players."""

    win_rates: WinRates  # [P]
    side_win_rates: WinRates  # [2, P]
    elo: np.ndarray  # [P], mean 0
    nash_mass: np.ndarray  # [P], sums to 1
    nash_rating: np.ndarray  # [P], log-odds against the Nash mixture, 0 at best
    alpha_rank: np.ndarray  # [P], sums to 1
    order: np.ndarray  # [P] int, the players by win rate, the best first


def standings(found: Tournament, alpha: float = 100.0, population: int = 50) -> Standings:
    """Returns how the players of a tournament stand.

    For Elo and Nash averaging all are taken to have drawn one game more with everybody (`PRIOR`):
    who won 20 of 20 is not infinitely strong. alpha-rank is that of the symmetric game whose payoff
    is the win rate: a win rate that is better by 1 / alpha counts.

    Args:
      found: the tournament.
      alpha, population: as in `alpha_rank`.
    """
    wins, draws = found.wins.sum(0), found.draws.sum(0)
    rates = player_win_rates(found)
    rate = np.nan_to_num(pair_win_rates(found).rate, nan=0.5)
    average = nash_averaging(win_logits(wins, draws, PRIOR))
    return Standings(
        win_rates=rates,
        side_win_rates=side_win_rates(found),
        elo=np.asarray(elo(wins, draws, PRIOR).rating),
        nash_mass=np.asarray(average.mass),
        nash_rating=np.asarray(average.rating),
        alpha_rank=np.asarray(alpha_rank(rate, alpha, population)),
        order=np.argsort(-rates.rate, kind="stable"),
    )
