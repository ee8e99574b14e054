"""NSCP: answer others whose strategies change, but converge, by believing what is recent.

A learner for non-stationary converging policies keeps values of joint actions and an estimate of
every other's strategy in each state, and plays a best response to it, in its targets too. If the
others converge and the estimate follows them, it is a best response in the limit.

The estimate is our choice among those for which this holds: a mean that weighs the n-th visit by
n^-w, with w = 1 for plain counting (opponent-modelling Q-learning) and less for shorter memory.

Weinberg & Rosenschein, 2004, AAMAS.
"""

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.models import modelling_rule, recency_weighted
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment

HPARAMS = Hparams(learning_rate=1.0, first_value=0.0, forgetting=0.6)  # above 1/2 beliefs converge


def rule(info: GameInfo, rate: str = "visits") -> Rule:
    """Returns the rule: beliefs are means that weigh what is recent more."""
    belief_update = lambda belief, done, visits, hp: recency_weighted(
        belief, done, visits, hp.forgetting
    )
    return modelling_rule(info, belief_update, rate)


def nscp(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns NSCP learners, one for every agent."""
    require_own("nscp", config, Config)
    config = with_defaults(config, rate="visits")
    return tabular(env, config, lambda info: rule(info, decided(config.rate)), HPARAMS, name="nscp")
