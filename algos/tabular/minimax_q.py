"""Minimax-Q: in a zero-sum game, value what can be had against the worst the other may do.

Q-learning with the game's value in place of the maximum: every state is a matrix game of the
player's own payoffs, played by its maximin strategy, found by linear programming. What is learnt
does not depend on how the other plays, if only everything is tried again and again.

    V(s) = max over pi in D(A) of min over b of sum_a pi(a) Q(s, a, b)

Littman, 1994, ICML; it converges: Littman & Szepesvari, 1996, ICML.
"""

from dataclasses import dataclass

import jax
from flax import struct

from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.stage import Config as StageConfig
from jaxmarl_core.algos.tabular.stage import Hparams as Common
from jaxmarl_core.algos.tabular.stage import Stage, stage_rule
from jaxmarl_core.errors import require
from jaxmarl_core.hparams import hparam
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum
from jaxmarl_core.types import Algorithm, Environment


@dataclass(frozen=True)
class Config(StageConfig):
    """What shapes the program; learning rates fall exponentially."""

    rate: str = "exponential"


@struct.dataclass
class Hparams(Common):
    """The paper's: the rate falls to a hundredth in a million steps, a fifth of play is random."""

    rate_period: float = hparam(1e6, 1.0, 1e12, "log")  # steps
    epsilon: float = hparam(0.2, 0.0, 1.0)
    final_epsilon: float = hparam(0.2, 0.0, 1.0)
    first_value: float = hparam(1.0, -1e9, 1e9)


def solve(seat: Seat, q: jax.Array, masks: tuple[jax.Array, ...]) -> Stage:
    """Returns the player's maximin strategy; q is [1, A_1, A_2], its own payoffs."""
    own, other = seat.player, 1 - seat.player
    payoff = q[0] if own == 0 else q[0].T
    found = zero_sum(payoff, masks[own], masks[other])
    return Stage(found.row, found.value[None], found.converged)


def rule(seat: Seat, rate: str = "exponential") -> Rule:
    """Returns the rule for one seat at a table of two.

    Raises:
      ValueError: there are not two players.
    """
    require(len(seat.num_actions) == 2, "minimax_q", "two players", len(seat.num_actions))
    return stage_rule(seat, lambda q, masks: solve(seat, q, masks), rate)


def minimax_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns minimax-Q for both players of a zero-sum game.

    Raises:
      ValueError: there are not two players.
    """
    return tabular(env, config, lambda seat: rule(seat, config.rate), Hparams())
