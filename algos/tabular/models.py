"""Learners that model what the others do and answer it: values of joint actions, and beliefs.

In each state a player believes of every other one that it draws its actions on its own, from
shares that are learnt by watching. What an own action is worth there is a mean over them:

    Q(s, a) += alpha (r + gamma max_b E Q(s', b, a_-i) - Q(s, a)),   a_-i ~ prod_j belief_j(s')

One rule, which differs in how beliefs follow what is seen.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Rule, Seat
from jaxmarl_core.algos.tabular.rates import Values, blank, towards
from jaxmarl_core.algos.tabular.wolf_phc import played
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.functional.projections import action_payoffs

Watch = Callable[[jax.Array, jax.Array, jax.Array, Any], jax.Array]
# (belief [A_j], what was done [A_j] one-hot, visits to the state [], hparams) -> new belief [A_j]


@struct.dataclass
class Row:
    values: Values  # q [A_1, ..., A_N], the player's own
    beliefs: tuple[jax.Array, ...]  # N times [A_j] f32 >= 0, in shares; its own is not looked at
    visits: jax.Array  # [] f32


def recent(belief: jax.Array, done: jax.Array, visits: jax.Array, forgetting: Any) -> jax.Array:
    """Returns beliefs [A] that weigh what is recent more: b += n^-w (done - b) on the n-th visit.

    For w = 1 they are plain frequencies. For w in (1/2, 1) they too converge to a strategy that
    converges, since the steps sum to infinity and their squares do not, but forget its past sooner.

    Args:
      belief: [A] f32.
      done: [A] f32, one-hot.
      visits: [] f32, n, from 1.
      forgetting: [] f32, w.
    """
    return belief + visits**-forgetting * (done - belief)


def expected(row: Row, player: int, masks: tuple[jax.Array, ...] | None = None) -> jax.Array:
    """Returns what each own action is worth against the beliefs, kept to what is legal; [A_i]."""
    masks = masks or tuple(jnp.ones(len(belief), bool) for belief in row.beliefs)
    shares = [played(belief, mask, 0.0) for belief, mask in zip(row.beliefs, masks)]
    return action_payoffs(row.values.q, shares, player)


def modelling_rule(
    seat: Seat,
    watch: Watch,
    rate: str,
    first_belief: Callable[[int, Any], jax.Array] = lambda count, hp: jnp.full(count, 1 / count),
) -> Rule:
    """Returns the rule.

    Args:
      seat: whose.
      watch: how a belief follows what is seen; need not sum to 1.
      rate: a key of RATES.
      first_belief: maps (number of actions, hparams) to what is believed at first.
    """
    player = seat.player

    def first(key, hp):
        values = blank(seat.num_actions, rate, hp.first_value)
        beliefs = tuple(first_belief(count, hp) for count in seat.num_actions)
        return Row(values, beliefs, jnp.float32(0))

    def learn(row, next_row, t, hp):
        ahead = expected(next_row, player, t.next_masks)
        target = q_target(t.reward, hp.gamma * t.discount, ahead, t.next_mask)
        values = towards(row.values, tuple(t.joint), target, hp, t.step, rate)
        visits = row.visits + 1
        seen = [
            watch(belief, jax.nn.one_hot(t.joint[j], len(belief)), visits, hp)
            for j, belief in enumerate(row.beliefs)
        ]
        beliefs = tuple(jnp.where(mask, belief, 0.0) for mask, belief in zip(t.masks, seen))
        return Row(values, beliefs, visits), {}

    def strategy(row, mask, epsilon):
        return epsilon_greedy_probs(expected(row, player), epsilon, mask)

    def best(row, mask):
        return strategy(row, mask, jnp.float32(0))

    return Rule(first, strategy, best, learn, informed=True)
