"""MADDPG that infers the others' policies from what they do, in place of being told them.

Every agent models every other one by maximum likelihood on the latest transitions, a step before
each of its critic's, and its targets take the models' actions for the others'. `kl_beliefs` is how
far the models are from the policies as they are played, in nats.

Lowe et al., 2017, arXiv:1706.02275, section 4.2.
"""

import dataclasses

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def maddpg_inferred(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-agent DDPG with inferred policies."""
    config = with_own_options(
        "maddpg_inferred",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        central="observations",
        actor_period=1,
    )
    config = dataclasses.replace(config, critic="agent")  # each believes what it believes
    hparams = explorers(config, output_penalty=1e-3, belief_learning_rate=1e-2, belief_entropy=1e-3)
    return off_policy(
        "maddpg_inferred",
        env,
        config,
        hparams,
        kind=deterministic,
        critics=central_critics,
        order=at_once,
        with_beliefs=True,
    )
