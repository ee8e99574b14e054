"""Rankings of players by the games between them: pure functions of arrays, under `jit` and `vmap`.

Each answers another question. `elo`: one number a player that predicts who wins, where strength is
all there is. `alpha_rank`: how long a population that imitates the better stays with each of them,
cycles and all. `nash_averaging`: who is needed to leave nobody an advantage; a copy of a player, or
a victim of all others, changes nothing.
"""

from jaxmarl_core.solvers.rankings.alpha_rank import (
    alpha_rank,
    alpha_rank_profiles,
    fixation_probability,
)
from jaxmarl_core.solvers.rankings.elo import elo
from jaxmarl_core.solvers.rankings.nash_averaging import nash_averaging, win_logits

__all__ = [
    "alpha_rank",
    "alpha_rank_profiles",
    "elo",
    "fixation_probability",
    "nash_averaging",
    "win_logits",
]
