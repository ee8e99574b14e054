"""What a tabular learner is made of: a rule, what it may know, and what it learns from.

An entry is what an agent keeps about one state: any pytree (values, a policy, visit counts). A
`Rule` says what an entry is at first, how the agent acts in a state by its entry, and how the entry
of the state it has just left changes.

Rules come in two kinds. One that minds its own action and reward only serves a whole group of
agents at once. An `informed` one is told everybody's actions, rewards and strategies, serves one
player, and may keep tables over joint actions: [A_1, ..., A_N] in the order of the players, which
is groups in their order and the agents of a group by index. Either kind may `plan`: once an update
it is given an agent's whole table, which a model of the world needs and a single transition does
not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxmarl_core.types import Key, Metrics

Entry = Any  # a pytree of arrays: what an agent has learnt about one state
Table = Any  # the same pytree, leaves [S, ...]; of n agents [n, S, ...]


class GameInfo(NamedTuple):
    """Which player a rule serves, and what it may know of the game beforehand."""

    player: int  # its number among all players; the group's first, if the rule is not informed
    num_states: int  # it may observe
    num_actions: tuple[int, ...]  # of every player
    teams: tuple[int, ...]  # of every player
    payoffs: Any  # [N, A_1, ..., A_N] f32 in a matrix game, else None


class Transition(NamedTuple):
    """What one agent learns from. The last five are for informed rules, None for others."""

    obs: jax.Array  # [] int32
    action: jax.Array  # [] int32
    reward: jax.Array  # [] f32
    discount: jax.Array  # [] f32, 0 where the agent's episode ended
    next_obs: jax.Array  # [] int32
    next_action: jax.Array | None  # [] int32, where the rule is `on_policy`, else None
    mask: jax.Array  # [A] bool, legal in obs
    next_mask: jax.Array  # [A] bool, legal in next_obs
    step: jax.Array  # [] f32, environment steps before this one, see rates.env_steps
    key: Key  # the agent's own randomness
    joint_action: Any = None  # [N] int32
    rewards: Any = None  # [N] f32
    strategies: Any = None  # N times [A_j], what they were drawn from
    masks: Any = None  # N times [A_j] bool, legal in obs
    next_masks: Any = None  # N times [A_j] bool


class Rule(NamedTuple):
    """How one agent learns and acts. Every function is given one entry: one agent, one state."""

    init: Callable[[Key, Any], Entry]  # (key, hparams) -> what an entry is at first
    strategy: Callable[[Entry, jax.Array, Any], jax.Array]
    # (entry, mask [A], exploration []) -> [A], what it draws from while it learns
    greedy: Callable[[Entry, jax.Array], jax.Array]  # (entry, mask) -> [A], and afterwards
    learn: Callable[[Entry, Entry, Transition, Any], tuple[Entry, Metrics]]
    # (entry of obs, entry of next_obs, transition, hparams) -> new entry of obs, metrics
    informed: bool = False
    on_policy: bool = False  # the next action is chosen before the transition is learnt (Sarsa)
    recommend: Callable[[Entry], jax.Array] | None = None
    # entry -> [A_1, ..., A_N]: what a referee draws the joint action from by a coin all players
    # share, each then playing its part with probability 1 - exploration; None: each draws alone
    plan: Callable[[Table, Any], Table] | None = None
    # (an agent's table, leaves [S, ...], hparams) -> the table, once after each update's steps
    coin: int = 0  # the number of that coin: players with the same one draw alike


RuleBuilder = Callable[[GameInfo], Rule]
