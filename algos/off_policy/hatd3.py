"""HATD3: HADDPG with twin critics, smoothed targets and delayed actors.

With one agent it is TD3; actors climb the first of the two critics.

Zhong et al., 2023, arXiv:2304.09870, algorithm 6; Fujimoto et al., 2018, arXiv:1802.09477.
"""

from functools import partial

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import in_turn
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def hatd3(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent TD3."""
    config = with_own_options(
        "hatd3",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        critic="environment",
        central="state",
        actor_period=2,
    )
    hparams = explorers(config, target_noise=0.2, target_clip=0.5)
    critics = partial(central_critics, num_critics=2)
    return off_policy(
        "hatd3", env, config, hparams, kind=deterministic, critics=critics, order=in_turn
    )
