"""MADDPG: actors that see their own part, each with a critic of everybody's actions.

    y_i = r_i + gamma Q_i'(x', mu_1'(o_1') ... mu_N'(o_N')),   and agent i climbs
    Q_i(x, a_1 ... mu_i(o_i) ... a_N),   the others' actions being those that the replay holds

so that no critic's world changes as the others learn. Agents may be of one team, of several, or
each for itself. Discrete actions are straight-through one-hots, or relaxed to the critics
(`gumbel`), where the paper's program plays the relaxed ones, too. All agents learn from one batch,
where that program draws one for each.

Lowe et al., 2017, arXiv:1706.02275, algorithm 1.
"""

from jaxmarl_core.algos.off_policy.critics import central_critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.options import Config, explorers
from jaxmarl_core.algos.off_policy.order import at_once
from jaxmarl_core.algos.off_policy.policies import deterministic
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment


def maddpg(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-agent DDPG."""
    config = with_own_options(
        "maddpg",
        config,
        normalise_reward=False,
        gumbel="straight_through",
        exploration="gaussian",
        critic="agent",
        central="observations",
        actor_period=1,
    )
    hparams = explorers(config, output_penalty=1e-3)
    return off_policy(
        "maddpg", env, config, hparams, kind=deterministic, critics=central_critics, order=at_once
    )
