"""Independent Sarsa: Q-learning's on-policy sibling, which learns what its own exploring is worth.

Each agent's value moves towards that of the action it will really take next, so that next to a
cliff it keeps a distance in proportion to how often it stumbles.

Rummery & Niranjan, 1994, CUED/F-INFENG/TR 166; Sutton, 1996, NIPS 8 (the name).
"""

from functools import partial

from jaxmarl_core.algos.tabular.engine import Config, Rule, Seat, tabular
from jaxmarl_core.algos.tabular.q_learning import rule as q_rule
from jaxmarl_core.algos.tabular.rates import towards
from jaxmarl_core.functional.losses import td_target
from jaxmarl_core.types import Algorithm, Environment


def rule(seat: Seat, rate: str = "constant") -> Rule:
    """Returns the rule: Q(s, a) moves towards r + gamma Q(s', a'), a' being what comes next."""

    def learn(row, next_row, t, hp):
        target = td_target(t.reward, hp.gamma * t.discount, next_row.q[t.next_action])
        return towards(row, t.action, target, hp, t.step, rate), {}

    return q_rule(seat, rate)._replace(learn=learn, ahead=True)


def sarsa(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Sarsa, epsilon-greedy with a falling epsilon."""
    return tabular(env, config, partial(rule, rate=config.rate))
