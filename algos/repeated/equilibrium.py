"""The equilibrium that players who know the game agree on beforehand, without a word.

All compute it from the same payoffs by the same rule, and so have the same one in mind.
"""

from functools import partial
from math import comb
from typing import NamedTuple

import jax

from jaxmarl_core.errors import lookup
from jaxmarl_core.solvers.normal_form.bimatrix import MOST_SYSTEMS, bimatrix_nash, nash
from jaxmarl_core.solvers.normal_form.lemke_howson import lemke_howson_equilibria
from jaxmarl_core.solvers.normal_form.n_player import nash_n
from jaxmarl_core.solvers.normal_form.selection import (
    first,
    payoff_dominant,
    risk_dominant,
    second,
    welfare,
)

SELECTIONS = {
    "first": first,
    "second": second,
    "welfare": welfare,
    "payoff_dominant": payoff_dominant,
    "risk_dominant": risk_dominant,
}


class Equilibrium(NamedTuple):
    """An equilibrium; where not `solved`, zeros of two players, or the best found of more."""

    strategies: tuple[jax.Array, ...]  # N times [A_j] f32
    solved: jax.Array  # [] bool


@partial(jax.jit, static_argnames="select")
def agreed_equilibrium(payoffs: jax.Array, select: str = "first") -> Equilibrium:
    """Returns the equilibrium all players hold on to.

    Of two players' equilibria, all extreme ones in games up to 6 x 6 or so and those that
    Lemke-Howson's paths lead to beyond, `select` chooses. More players follow the path of logit
    equilibria, which ends in one alone.

    Args:
      payoffs: [N, A_1, ..., A_N] f32, to every player.
      select: a key of SELECTIONS, static.

    Raises:
      ValueError: an unknown selection.
    """
    choose = lookup(SELECTIONS, select, "select")
    if len(payoffs) != 2:
        found = nash_n(payoffs)
        return Equilibrium(found.strategies, found.solved)
    rows, columns = payoffs.shape[1:]
    small = comb(rows + columns, rows) <= MOST_SYSTEMS
    found = nash(payoffs, select=choose, find=bimatrix_nash if small else lemke_howson_equilibria)
    return Equilibrium(found.strategies, found.solved)
