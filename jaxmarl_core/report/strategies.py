"""What agents do where: the strategies of a trained policy, counted while it plays.

For worlds in which an observation is a number, as tabular learners need them: then a strategy is a
table, and a table can be read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.play.policies import Player
from jaxmarl_core.play.rollout import acting, begin, rollout
from jaxmarl_core.play.wrappers import AutoReset
from jaxmarl_core.spaces import Discrete, num_values
from jaxmarl_core.types import Environment, Key

NUM_COPIES, NUM_STEPS = 512, 40  # played side by side; 20,480 decisions of each agent
MOST_AGENTS, MOST_ACTIONS = 8, 12  # that fit on a page


class Strategy(NamedTuple):
    """How often one agent chose each action, by what it observed."""

    agent: str
    actions: tuple[str, ...]  # [A]
    observations: np.ndarray  # [K] int, those it met, the most frequent first
    visits: np.ndarray  # [K] f64, their share of its decisions
    shares: np.ndarray  # [K, A] f64, rows sum to 1


def has_strategies(env: Environment) -> bool:
    """Returns whether all that agents observe and do are a few numbers."""
    groups = env.groups.values()
    return sum(group.size for group in groups) <= MOST_AGENTS and all(
        isinstance(group.observation, Discrete)
        and isinstance(group.action, Discrete)
        and group.action.num_values <= MOST_ACTIONS
        for group in groups
    )


def strategies(key: Key, env: Environment, player: Player) -> list[Strategy]:
    """Returns the strategy of every agent as it plays to win: its policy's mode, mixed where it is.

    Args:
      key: randomness.
      env: one that `has_strategies`.
      player: who plays all groups.
    """
    wrapped, memory = AutoReset(env), player.policy.memory()

    @jax.jit
    def count(params):
        def one(key):
            key_begin, key_play = jax.random.split(key)
            play = begin(key_begin, wrapped, memory)
            act = acting(player.policy, params, greedy=True)
            _, steps = rollout(key_play, wrapped, act, play, NUM_STEPS, memory)
            return steps

        steps = jax.vmap(one)(jax.random.split(key, NUM_COPIES))
        decides = ~steps.timestep.last[..., None]
        found = {}
        for name, group in env.groups.items():
            table = jnp.zeros((num_values(group.observation), num_values(group.action)), jnp.int32)
            found[name] = jax.vmap(_counts, (None, -1, -1, -1))(
                table,
                steps.timestep.observation[name],
                steps.actions[name],
                steps.timestep.alive[name] & decides,
            )
        return found

    found = []
    for name, counts in count(player.params).items():
        action = env.groups[name].action
        assert isinstance(action, Discrete)  # as `has_strategies` asks
        words = action.names or tuple(map(str, range(action.num_values)))
        for i, table in enumerate(np.asarray(counts, np.float64)):
            agent = name if len(counts) == 1 else f"{name} {i}"
            found.append(_strategy(agent, words, table))
    return found


def _counts(
    table: jax.Array, observations: jax.Array, actions: jax.Array, decides: jax.Array
) -> jax.Array:
    """Returns the table [K, A] int32 with each decision added: how often what was done where.

    Args:
      table: of zeros.
      observations, actions, decides: of one agent, one shape.
    """
    return table.at[observations, actions].add(decides.astype(jnp.int32))


def _strategy(agent: str, actions: tuple[str, ...], counts: np.ndarray) -> Strategy:
    met = np.flatnonzero(counts.sum(axis=1))
    met = met[np.argsort(-counts[met].sum(axis=1), kind="stable")]
    totals = counts[met].sum(axis=1)
    visits = totals / max(totals.sum(), 1)
    return Strategy(agent, actions, met, visits, counts[met] / totals[:, None])
