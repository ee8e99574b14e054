"""HASAC: soft actors of a team that climb its twin critics one after another, and stay uncertain.

    y = r + gamma (min_m Q_m'(s', a') - sum_i alpha_i log pi_i(a'_i | o'_i)),   and agent i in turn
    minimises  alpha_i log pi_i(a_i | o_i) - min_m Q_m(s, (a_i, a_-i))

with the new actions of those before it. Each agent's alpha moves so that its entropy is the one
that is wanted; the team's target weighs entropies by the same numbers, where HARL's program has
one more for it. Of discrete actions the entropy is exact. With one agent it is SAC.

Liu et al., 2024, arXiv:2306.10715; Haarnoja et al., 2018, arXiv:1812.05905.
"""

from functools import partial

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, soft_hparams
from jaxmarl_core.algos.off_policy.order import in_turn
from jaxmarl_core.algos.off_policy.policies import soft
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def hasac(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent SAC."""
    config = with_own_options(
        "hasac",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        critic="environment",
        central="state",
        actor_period=1,
    )
    critics = partial(central_critics, num_critics=2)
    return off_policy(
        "hasac", env, config, soft_hparams(), kind=soft, critics=critics, order=in_turn
    )
