"""Team-Q: one common goal, so every agent learns the joint action's value and plays its part.

With a shared order of joint actions (the first of the best) mates agree among several optima
without a word; then this is Q-learning of one agent with many hands.

Littman, 2001, J. Cognitive Systems Research 2; Boutilier, 1996, TARK (the convention).
"""

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, legal_joint, stage_rule
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def solve(info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...]) -> Solution:
    """Returns the stage game's first best joint action; q is [1, A_1, ..., A_N]."""
    worth = jnp.where(legal_joint(masks), q[0], -jnp.inf)
    joint = jnp.unravel_index(jnp.argmax(worth), worth.shape)
    own = jax.nn.one_hot(joint[info.player], info.num_actions[info.player])
    # NaN values are no solution: argmax would take them for the best.
    value = worth.max()
    return Solution(own, value[None], jnp.isfinite(value))


def team_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Team-Q for every agent; all must be on one team.

    Raises:
      ValueError: agents on several teams.
    """
    require_own("team_q", config, Config)
    config = with_defaults(config, rate="visits")
    teams = {group.team for group in env.groups.values()}
    if len(teams) > 1:
        raise ValueError(f"team_q: needs one team, the environment has {len(teams)}")
    rule = lambda info: stage_rule(
        info, lambda q, masks: solve(info, q, masks), decided(config.rate)
    )
    return tabular(env, config, rule, HPARAMS, name="team_q")
