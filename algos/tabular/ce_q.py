"""CE-Q: in every state, a correlated equilibrium of what joint actions are worth to everybody.

All players keep everyone's values. A referee draws the joint action from an equilibrium, the best
by an objective that all agree on, and tells each its part. Such an equilibrium is a linear program,
and may be worth more to all than any Nash equilibrium.

    V_i(s) = sum_a pi(a) Q_i(s, a),   pi = argmax objective, over correlated equilibria of Q(s, .)

Greenwald & Hall, 2003, ICML; Greenwald, Hall & Zinkevich, 2007, Brown University CS-05-08. They
learn values times 1 - gamma; here they are plain.
"""

from dataclasses import dataclass
from functools import partial

import jax

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.rates import RATES
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, stage_rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.normal_form.correlated import correlated
from jaxmarl_core.types import Algorithm, Environment

OBJECTIVES = {
    "utilitarian": "the sum of all values",
    "egalitarian": "the least value",
    "plutocratic": "the largest value; in the paper of 2003: republican",
    "libertarian": "the player's own, so that they need not agree; in 2007: dictatorial",
}
PLAYS = {
    "referee": "all play their parts of one draw",
    "marginals": "each draws from its own part of the equilibrium, alone",
}


@dataclass(frozen=True)
class Config:
    """What shapes the program; which equilibrium, and whether a referee draws from it."""

    rollout_length: int = 64
    rate: str = "visits"  # a key of rates.RATES
    objective: str = "utilitarian"
    play: str = "referee"

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")
        lookup(OBJECTIVES, self.objective, "objective")
        lookup(PLAYS, self.play, "play")


def solve(info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...], objective: str) -> Solution:
    """Returns the best correlated equilibrium of the stage game q [N, A_1, ..., A_N].

    The strategy is the player's marginal, of which the product with the others' is in general no
    equilibrium.
    """
    found = correlated(q, info.player if objective == "libertarian" else objective, masks)
    others = tuple(i for i in range(len(masks)) if i != info.player)
    return Solution(found.joint.sum(others), found.values, found.converged, found.joint)


def rule(
    info: GameInfo, objective: str = "utilitarian", play: str = "referee", rate: str = "visits"
) -> Rule:
    """Returns the rule of one player."""

    def solution(q, masks):
        found = solve(info, q, masks, objective)
        return found if play == "referee" else found._replace(joint=())

    return stage_rule(info, solution, rate, all_players=True, referee=play == "referee")


def ce_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns CE-Q for every player of a general-sum game."""
    require_own("ce_q", config, Config)
    options = {"objective": config.objective, "play": config.play, "rate": config.rate}
    return tabular(env, config, partial(rule, **options), HPARAMS, name="ce_q")
