"""Learners that model what the others do and answer it: values of joint actions, and beliefs.

In each state a player believes of every other one that it draws its actions on its own, from
shares that are learnt by watching. What an own action is worth there is a mean over them:

    Q(s, a) += alpha (r + gamma max_b E Q(s', b, a_-i) - Q(s, a)),   a_-i ~ prod_j belief_j(s')

One rule, which differs in how beliefs follow what the others do.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.rates import Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.wolf_phc import epsilon_soft
from jaxmarl_core.functional.exploration import epsilon_greedy_probs
from jaxmarl_core.functional.losses import q_target
from jaxmarl_core.functional.projections import action_payoffs

BeliefUpdate = Callable[[jax.Array, jax.Array, jax.Array, Any], jax.Array]
# (belief [A_j], what was done [A_j] one-hot, visits to the state [], hparams) -> new belief [A_j]


@struct.dataclass
class Entry:
    values: Values  # q [A_1, ..., A_N], the player's own
    beliefs: tuple[jax.Array, ...]  # N times [A_j] f32 >= 0, in shares; its own is not used
    visits: jax.Array  # [] f32


def recency_weighted(
    belief: jax.Array, done: jax.Array, visits: jax.Array, forgetting: Any
) -> jax.Array:
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


def expected_values(
    entry: Entry, player: int, masks: tuple[jax.Array, ...] | None = None
) -> jax.Array:
    """Returns what each own action is worth against the beliefs, kept to what is legal; [A_i]."""
    masks = masks or tuple(jnp.ones(len(belief), bool) for belief in entry.beliefs)
    shares = [epsilon_soft(belief, mask, 0.0) for belief, mask in zip(entry.beliefs, masks)]
    return action_payoffs(entry.values.q, shares, player)


def modelling_rule(
    info: GameInfo,
    belief_update: BeliefUpdate,
    rate: str,
    first_belief: Callable[[int, Any], jax.Array] = lambda count, hp: jnp.full(count, 1 / count),
) -> Rule:
    """Returns the rule.

    Args:
      info: whose.
      belief_update: how a belief follows what the others do; need not sum to 1.
      rate: a key of RATES.
      first_belief: maps (number of actions, hparams) to what is believed at first.
    """
    player = info.player

    def init(key, hp):
        values = initial_values(info.num_actions, rate, hp.first_value)
        beliefs = tuple(first_belief(count, hp) for count in info.num_actions)
        return Entry(values, beliefs, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        next_values = expected_values(next_entry, player, t.next_masks)
        target = q_target(t.reward, hp.gamma * t.discount, next_values, t.next_mask)
        values = q_update(entry.values, tuple(t.joint_action), target, hp, t.step, rate)
        visits = entry.visits + 1
        updated = [
            belief_update(belief, jax.nn.one_hot(t.joint_action[j], len(belief)), visits, hp)
            for j, belief in enumerate(entry.beliefs)
        ]
        beliefs = tuple(jnp.where(mask, belief, 0.0) for mask, belief in zip(t.masks, updated))
        return Entry(values, beliefs, visits), {}

    def strategy(entry, mask, epsilon):
        return epsilon_greedy_probs(expected_values(entry, player), epsilon, mask)

    def greedy(entry, mask):
        return strategy(entry, mask, jnp.float32(0))

    return Rule(init, strategy, greedy, learn, informed=True)
