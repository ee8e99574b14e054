"""Players who do not learn: a strategy for every state, uniform until another one is put in.

For opponents in an engine of learners. A `State` holds the strategies as a table like any other,
so that a learnt policy is frozen by writing it there:

    tables = state.params.tables | {"A": strategies[None]}  # [n, S, A]
    state = state.replace(params=state.params.replace(tables=tables))
"""

import jax.numpy as jnp

from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.wolf_phc import epsilon_soft


def fixed(info: GameInfo) -> Rule:
    """Returns the rule: an entry is the strategy [A], never explored from and never changed."""
    count = info.num_actions[info.player]

    def act(entry, mask, exploration=0.0):
        return epsilon_soft(entry, mask, 0.0)

    return Rule(lambda key, hp: jnp.full(count, 1 / count), act, act, lambda entry, *_: (entry, {}))
