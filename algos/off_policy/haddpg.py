"""HADDPG: deterministic actors of a team that climb its one critic, one after another.

Each agent in turn, in an order drawn anew, climbs Q(s, a_1 ... mu_i(o_i) ... a_N) with the new
actions of those before it and the present ones of those after, so that every step improves on what
the others have just become. With one agent it is DDPG.

Zhong et al., 2023, arXiv:2304.09870, section 4.4 and algorithm 5.
"""

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import in_turn
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def haddpg(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns heterogeneous-agent DDPG."""
    config = with_own_options(
        "haddpg",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        critic="environment",
        central="state",
        actor_period=1,
    )
    return off_policy(
        "haddpg",
        env,
        config,
        explorers(config),
        kind=deterministic,
        critics=central_critics,
        order=in_turn,
    )
