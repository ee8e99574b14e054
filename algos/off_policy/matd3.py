"""MATD3: MADDPG with TD3's three remedies against values that are too high.

The lower of two critics is believed, target actions are smoothed by a little noise, and actors and
target networks move once in two steps of the critics.

Ackermann et al., 2019, arXiv:1910.01465; Fujimoto et al., 2018, arXiv:1802.09477.
"""

from functools import partial

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def matd3(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-agent TD3."""
    config = with_own_options(
        "matd3",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        critic="agent",
        central="observations",
        actor_period=2,
    )
    hparams = explorers(config, output_penalty=1e-3, target_noise=0.2, target_clip=0.5)
    critics = partial(central_critics, num_critics=2)
    return off_policy(
        "matd3", env, config, hparams, kind=deterministic, critics=critics, order=at_once
    )
