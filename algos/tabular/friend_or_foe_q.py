"""Friend-or-Foe Q: value what friends can reach jointly against the worst that foes may do.

Every player sorts the others into friends and foes, and needs no values but its own. Friends alone
make it Q-learning on joint actions (Friend-Q, for coordination games), foes alone minimax-Q (Foe-Q,
for adversarial ones). It always converges; to what, depends on who was sorted rightly.

    V(s) = max over pi in D(A_friends) of min over foes' o of sum_a pi(a) Q(s, a, o)

Littman, 2001, ICML. As there, pi is over the friends' joint actions, so that they need a common
coin; players with the same friends throw one here.
"""

from dataclasses import dataclass
from functools import partial
from math import prod

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.rates import RATES
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, stage_rule
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.normal_form.zero_sum import friend_or_foe
from jaxmarl_core.types import Algorithm, Environment

# name -> (info -> the player's friends, itself one of them)
FRIENDS = {
    "team": lambda info: [i for i, t in enumerate(info.teams) if t == info.teams[info.player]],
    "all": lambda info: list(range(len(info.teams))),
    "none": lambda info: [info.player],
}


@dataclass(frozen=True)
class Config:
    """What shapes the program; who is a friend: the own team, all, or none."""

    rollout_length: int = 64
    rate: str = "visits"  # a key of rates.RATES
    friends: str = "team"

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")
        lookup(FRIENDS, self.friends, "friends")


def solve(
    info: GameInfo, q: jax.Array, masks: tuple[jax.Array, ...], friends: list[int]
) -> Solution:
    """Returns the friends' maximin strategy; q is [1, A_1, ..., A_N].

    The joint distribution that friends draw from has the foes at random: they draw for themselves.
    """
    found = friend_or_foe(q[0], friends, masks)
    own = found.friends.sum(tuple(k for k, i in enumerate(friends) if i != info.player))
    foes = [i for i in range(len(masks)) if i not in friends]
    joint = jnp.broadcast_to(jnp.expand_dims(found.friends, foes), q.shape[1:])
    joint = joint / prod(info.num_actions[i] for i in foes)
    return Solution(own, found.value[None], found.converged, joint if len(friends) > 1 else ())


def rule(info: GameInfo, friends: str = "team", rate: str = "visits") -> Rule:
    """Returns the rule of one player."""
    mine = FRIENDS[friends](info)
    solution = lambda q, masks: solve(info, q, masks, mine)
    made = stage_rule(info, solution, rate, referee=len(mine) > 1)
    return made._replace(coin=mine[0])


def friend_or_foe_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns Friend-or-Foe Q-learning for every player."""
    require_own("friend_or_foe_q", config, Config)
    rules = partial(rule, friends=config.friends, rate=config.rate)
    return tabular(env, config, rules, HPARAMS, name="friend_or_foe_q")
