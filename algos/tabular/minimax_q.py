"""Minimax-Q: in a zero-sum game, value what can be had against the worst the other may do.

Q-learning with the game's value in place of the maximum: every state is a matrix game of the
player's own payoffs, played by its maximin strategy, found by linear programming. What is learnt
does not depend on how the other plays, if only everything is tried again and again.

    V(s) = max over pi in D(A) of min over b of sum_a pi(a) Q(s, a, b)

Littman, 1994, ICML; it converges: Littman & Szepesvari, 1996, ICML.
"""

import jax

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import Solution, stage_rule
from jaxmarl_core.errors import require
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum
from jaxmarl_core.types import Algorithm, Environment

HPARAMS = (
    Hparams(  # the paper's: a hundredth of the rate after a million steps; a fifth of play random
        learning_rate=1.0, rate_period=1e6, epsilon=0.2, final_epsilon=0.2, first_value=1.0
    )
)


def solve(info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...]) -> Solution:
    """Returns the player's maximin strategy; q is [1, A_1, A_2], its own payoffs."""
    own, other = info.player, 1 - info.player
    payoff = q[0] if own == 0 else q[0].T
    found = zero_sum(payoff, masks[own], masks[other])
    return Solution(found.row, found.value[None], found.converged)


def rule(info: GameInfo, rate: str = "exponential") -> Rule:
    """Returns the rule of one of two players.

    Raises:
      ValueError: there are not two players.
    """
    require(len(info.num_actions) == 2, "minimax_q", "two players", len(info.num_actions))
    return stage_rule(info, lambda q, masks: solve(info, q, masks), rate)


def minimax_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns minimax-Q for both players of a zero-sum game.

    Raises:
      ValueError: there are not two players.
    """
    require_own("minimax_q", config, Config)
    config = with_defaults(config, rate="exponential")
    return tabular(
        env, config, lambda info: rule(info, decided(config.rate)), HPARAMS, name="minimax_q"
    )
