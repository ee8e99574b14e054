"""Nash-Q: in every state, a Nash equilibrium of what joint actions are worth to everybody.

All players keep everyone's values, and each solves the stage games by itself. Where there are
several equilibria they must agree on one; which one, is part of the algorithm.

    V_i(s) = sum_a pi_1(a_1) ... pi_N(a_N) Q_i(s, a),   pi a Nash equilibrium of Q(s, .)

Hu & Wellman, 2003, JMLR 4. It converges where all stage games have one global optimum or one saddle
point, of which they are then solved; elsewhere it often does. Illegal actions are left out of the
stage games: with them in, equilibria are found that nobody can play.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.rates import RATES
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, stage_rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.normal_form import selection
from jaxmarl_core.solvers.normal_form.bimatrix import bimatrix_nash, nash
from jaxmarl_core.solvers.normal_form.lemke_howson import lemke_howson_equilibria
from jaxmarl_core.solvers.normal_form.n_player import nash_n
from jaxmarl_core.types import Algorithm, Environment

# name -> (player -> which equilibrium it takes); of two players only
SELECTIONS: dict[str, Callable[[int], selection.Select]] = {
    "first": lambda player: selection.first,
    "second": lambda player: selection.second,
    "best": selection.best_for,  # for the player itself: the paper's best expected Nash
    "welfare": lambda player: selection.welfare,
    "payoff_dominant": lambda player: selection.payoff_dominant,
    "risk_dominant": lambda player: selection.risk_dominant,
}
# name -> what equilibria are selected from, and in which order they come
FINDERS = {
    "lemke_howson": lemke_howson_equilibria,  # as the paper; of every label, not always all
    "one_path": partial(lemke_howson_equilibria, labels=(0,)),  # the first of these: the cheapest
    "vertices": bimatrix_nash,  # all extreme ones
}


@dataclass(frozen=True)
class Config:
    """What shapes the program; which equilibrium of two players, and how they are found."""

    rollout_length: int = 64
    rate: str = "visits"  # a key of rates.RATES
    select: str = "first"
    find: str = "lemke_howson"

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")
        lookup(SELECTIONS, self.select, "select")
        lookup(FINDERS, self.find, "find")


def solve(
    info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...], select: str, find: str
) -> Solution:
    """Returns the player's part of an equilibrium of the stage game q [N, A_1, ..., A_N].

    Of three players and more it is the one at the end of the path of logit equilibria.
    """
    if len(info.num_actions) == 2:
        chosen = SELECTIONS[select](info.player)
        found = nash(q, *masks, select=chosen, find=FINDERS[find])
    else:
        found = nash_n(q, masks)
    return Solution(found.strategies[info.player], found.values, found.solved)


def rule(
    info: GameInfo, select: str = "first", find: str = "lemke_howson", rate: str = "visits"
) -> Rule:
    """Returns the rule of one player; those who select differently may meet."""
    solution = partial(solve, info, select=select, find=find)
    return stage_rule(info, solution, rate, all_players=True)


def nash_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Nash-Q for every player of a general-sum game; all select alike."""
    require_own("nash_q", config, Config)
    rules = partial(rule, select=config.select, find=config.find, rate=config.rate)
    return tabular(env, config, rules, HPARAMS, name="nash_q")
