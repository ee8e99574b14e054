"""ISAC: every agent is a soft actor-critic of its own, as if it were alone.

Its twin critics see what it sees and does itself; the others are part of a world that changes as
they learn. What learners with central critics are compared with.

Haarnoja et al., 2018, arXiv:1812.05905, for each agent.
"""

from functools import partial

from jaxmarl_core.algos.off_policy.critics import own_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, soft_hparams
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import soft
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def isac(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent SAC."""
    config = with_own_options(
        "isac", config, normalise_reward=False, gumbel="straight_through", actor_period=1
    )
    critics = partial(own_critics, num_critics=2)
    return off_policy(
        "isac", env, config, soft_hparams(), kind=soft, critics=critics, order=at_once
    )
