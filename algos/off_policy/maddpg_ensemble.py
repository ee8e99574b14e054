"""MADDPG with policy ensembles: every agent has several policies, and plays an episode by one.

What others learn against is then no single policy that may change overnight. Each policy learns
from the episodes that it played: transitions say which that was, and reach no other. So the one
replay is a replay for each policy, as the paper has it; of a batch each learns from its share, and
a batch `num_policies` times as large is as much for each. An agent's critic is that of all its
policies.

Lowe et al., 2017, arXiv:1706.02275, section 4.3 and eq. 9.
"""

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def maddpg_ensemble(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-agent DDPG with policy ensembles; played greedily, a policy is still drawn."""
    config = with_own_options(
        "maddpg_ensemble",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        critic="agent",
        central="observations",
        actor_period=1,
        num_policies=3,
    )
    return off_policy(
        "maddpg_ensemble",
        env,
        config,
        explorers(config, output_penalty=1e-3),
        kind=deterministic,
        critics=central_critics,
        order=at_once,
    )
