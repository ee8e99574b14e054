"""NSCP: answer others whose strategies change, but converge, by believing what is recent.

A learner for non-stationary converging policies keeps values of joint actions and an estimate of
every other's strategy in each state, and plays a best response to it, in its targets too. If the
others converge and the estimate follows them, it is a best response in the limit.

The estimate is our choice among those for which this holds: a mean that weighs the n-th visit by
n^-w, with w = 1 for plain counting (opponent-modelling Q-learning) and less for shorter memory.

Weinberg & Rosenschein, 2004, AAMAS.
"""

from flax import struct

from jaxmarl_core.algos.tabular.engine import Rule, Seat, tabular
from jaxmarl_core.algos.tabular.models import modelling_rule, recent
from jaxmarl_core.algos.tabular.stage import Config
from jaxmarl_core.algos.tabular.stage import Hparams as Common
from jaxmarl_core.hparams import hparam
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams(Common):
    """Those of Q-learning, and how soon the past is forgotten."""

    forgetting: float = hparam(0.6, 0.0, 1.0)  # w; above 1/2 beliefs converge


def rule(seat: Seat, rate: str = "visits") -> Rule:
    """Returns the rule: beliefs are means that weigh what is recent more."""
    watch = lambda belief, done, visits, hp: recent(belief, done, visits, hp.forgetting)
    return modelling_rule(seat, watch, rate)


def nscp(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns NSCP learners, one for every agent."""
    return tabular(env, config, lambda seat: rule(seat, config.rate), Hparams())
