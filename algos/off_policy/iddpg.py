"""IDDPG: every agent learns by DDPG, as if it were alone.

Its critic sees what it sees and does itself; the others are part of a world that changes as they
learn. What MADDPG was compared with, there called DDPG.

Lillicrap et al., 2016, arXiv:1509.02971, for each agent; Lowe et al., 2017, arXiv:1706.02275.
"""

from jaxmarl_core.algos.off_policy.critics import own_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def iddpg(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns independent DDPG."""
    config = with_own_options(
        "iddpg",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        actor_period=1,
    )
    hparams = explorers(config, output_penalty=1e-3)
    return off_policy(
        "iddpg", env, config, hparams, kind=deterministic, critics=own_critics, order=at_once
    )
