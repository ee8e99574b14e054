"""Independent Sarsa: Q-learning's on-policy sibling, which learns what its own exploring is worth.

Each agent's value moves towards that of the action it will really take next, so that next to a
cliff it keeps a distance in proportion to how often it stumbles.

Rummery & Niranjan, 1994, CUED/F-INFENG/TR 166; Sutton, 1996, NIPS 8 (the name).
"""

from functools import partial

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.q_learning import rule as q_rule
from jaxmarl_core.algos.tabular.rates import q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.losses import td_target
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def rule(info: GameInfo, rate: str = "constant") -> Rule:
    """Returns the rule: Q(s, a) moves towards r + gamma Q(s', a'), a' being what comes next."""

    def learn(entry, next_entry, t, hp):
        target = td_target(t.reward, hp.gamma * t.discount, next_entry.q[t.next_action])
        return q_update(entry, t.action, target, hp, t.step, rate), {}

    return q_rule(info, rate)._replace(learn=learn, on_policy=True)


def sarsa(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent Sarsa, epsilon-greedy with a falling epsilon."""
    require_own("sarsa", config, Config)
    config = with_defaults(config, rate="constant")
    return tabular(env, config, partial(rule, rate=decided(config.rate)), name="sarsa")
