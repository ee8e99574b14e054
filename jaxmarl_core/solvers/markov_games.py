"""Stochastic games as arrays: one environment for learners, tabular learners and exact planners.

A `TabularEnvironment` is played like any other. Because it lists what chance may do in a state,
`markov_game` can turn it into tables, and `backup` is then the Bellman operator that every
algorithm of the family shares.

Shapley, 1953, PNAS 39 (stochastic games); Littman, 1994, ICML (as a frame for learning).
"""

from abc import abstractmethod
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import draw
from jaxmarl_core.functional.shapes import as_float, require_shape
from jaxmarl_core.spaces import Box, Discrete, Space, discrete
from jaxmarl_core.types import Actions, EnvState, Key, StateEnvironment, TimeStep

MAX_ENTRIES = 2**27  # of a table of outcomes, S A_1 ... A_N K: half a gigabyte


class MarkovGame(NamedTuple):
    """A game of N players on S states, with at most K outcomes of a joint action.

    Terminal states lead to themselves and pay nothing; their value is 0.
    """

    successor: jax.Array  # [S, A_1, ..., A_N, K] int32
    probability: jax.Array  # [S, A_1, ..., A_N, K] f32, sums to 1 over K
    reward: jax.Array  # [N, S, A_1, ..., A_N, K] f32, of the transition to that successor
    terminal: jax.Array  # [S] bool
    legal: tuple[jax.Array, ...]  # N times [S, A_i] bool; what is illegal is defined, not played
    start: jax.Array  # [S] f32, sums to 1

    @property
    def num_players(self) -> int:
        return self.reward.shape[0]

    @property
    def num_states(self) -> int:
        return self.terminal.shape[0]

    @property
    def num_actions(self) -> tuple[int, ...]:
        return self.successor.shape[1:-1]


def expected_reward(game: MarkovGame) -> jax.Array:
    """Returns [N, S, A_1, ..., A_N] f32, the mean reward of each joint action."""
    return jnp.sum(game.probability * game.reward, axis=-1)


def transition_tensor(game: MarkovGame) -> jax.Array:
    """Returns P(s' | s, a), [S, A_1, ..., A_N, S] f32; for small games, its size is S^2 A^N.

    Raises:
      ValueError: more than 2^27 entries.
    """
    shape = (*game.successor.shape[:-1], game.num_states)
    require(prod(shape) <= MAX_ENTRIES, "game", f"at most {MAX_ENTRIES} entries", prod(shape))
    rows = game.successor.reshape(-1, game.successor.shape[-1])
    chance = game.probability.reshape(rows.shape)
    table = jnp.zeros((len(rows), game.num_states), chance.dtype)
    return table.at[np.arange(len(rows))[:, None], rows].add(chance).reshape(shape)


def backup(game: MarkovGame, value: jax.Array, gamma: float | jax.Array) -> jax.Array:
    """Returns the value of each joint action if play goes on to be worth `value`.

        Q_i(s, a) = sum_k p_k (r_ik + gamma V_i(s'_k)),   V = 0 in terminal states

    Args:
      game: the tables.
      value: [N, S] f32.
      gamma: [] f32 in [0, 1].

    Returns:
      [N, S, A_1, ..., A_N] f32, the stage games.
    """
    value = as_float(value)
    require_shape("value", value, (game.num_players, game.num_states))
    require_shape("gamma", gamma, ())
    following = jnp.where(game.terminal, 0.0, value)[:, game.successor]  # [N, S, A.., K]
    return jnp.sum(game.probability * (game.reward + gamma * following), axis=-1)


class TabularEnvironment(StateEnvironment):
    """Base of environments with few states, all of which can be listed.

    They derive from it as frozen structs and write, of a state with fields `reward` [N] f32 (of
    the last transition) and `time` [] int32 (steps played), both outside the state's number:

    - `initial(key) -> state`, and `start_distribution() -> [num_states] f32`, which it draws from;
    - `chance(state, joint) -> [num_outcomes] f32`: probabilities of what may happen, of constant
      length; `move(state, joint, outcome) -> state`: what then does, with `time` one higher;
    - `encode(state) -> [] int32` in 0 ... num_states - 1, and `decode(index) -> state`, its inverse
      with reward 0 and time 0;
    - `terminal(state) -> [] bool`, `features(state) -> [F] f32` in [0, 1], a description for
      networks, and `groups`, whose observations are `observation_space`;
    - `legal(state) -> {group: [n, A] bool}` if not all actions are always legal, and
      `extras(state)` if there are facts for statistics;
    - fields `max_steps` (a time limit, or None) and `observation`: "index" to see the state's
      number, Discrete(num_states), or "features" to see `features`. All players see the same.

    `joint` is [N] int32, groups in their order. `terminal(decode(s))` must be well defined for
    every s; unreachable states are allowed.
    """

    num_states: int
    num_outcomes: int
    max_steps: int | None
    observation: str

    @abstractmethod
    def start_distribution(self) -> jax.Array: ...

    @abstractmethod
    def chance(self, state: EnvState, joint: jax.Array) -> jax.Array: ...

    @abstractmethod
    def move(self, state: EnvState, joint: jax.Array, outcome: jax.Array) -> EnvState: ...

    @abstractmethod
    def encode(self, state: EnvState) -> jax.Array: ...

    @abstractmethod
    def decode(self, index: jax.Array) -> EnvState: ...

    @abstractmethod
    def terminal(self, state: EnvState) -> jax.Array: ...

    @abstractmethod
    def features(self, state: EnvState) -> jax.Array: ...

    @property
    def observation_space(self) -> Space:
        """What every player sees."""
        if self.observation == "index":
            return Discrete(self.num_states)
        example = jax.eval_shape(lambda: self.features(self.decode(jnp.int32(0))))
        return Box(example.shape, 0.0, 1.0)

    def legal(self, state: EnvState) -> dict[str, jax.Array]:
        """Returns the action masks; by default none, so that all actions are legal."""
        return {}

    def extras(self, state: EnvState) -> dict[str, Any]:
        """Returns facts for statistics, such as who won; by default none."""
        return {}

    def last(self, state: EnvState) -> jax.Array:
        """Returns whether the episode ends on arriving here, truly or by the time limit."""
        ended = self.terminal(state)
        return ended if self.max_steps is None else ended | (state.time >= self.max_steps)

    def advance(self, key: Key, state: EnvState, actions: Actions) -> EnvState:
        """Returns the state that the joint action and chance lead to."""
        joint = jnp.concatenate([actions[name] for name in self.groups]).astype(jnp.int32)
        if self.num_outcomes == 1:
            return self.move(state, joint, jnp.int32(0))
        return self.move(state, joint, draw(key, self.chance(state, joint)))

    def observe(self, state: EnvState) -> TimeStep:
        """Returns the time step of a state: all players see all of it."""
        ended = self.terminal(state)
        features = self.features(state)
        seen = features if self.observation == "features" else self.encode(state)
        sizes = {name: group.size for name, group in self.groups.items()}
        everyone = lambda x: {n: jnp.broadcast_to(x, (k, *x.shape)) for n, k in sizes.items()}
        reward = jnp.split(state.reward, np.cumsum(list(sizes.values()))[:-1])
        return TimeStep(
            observation=everyone(seen),
            action_mask=self.legal(state),
            alive=everyone(jnp.bool_(True)),
            state=features,
            reward=dict(zip(sizes, reward)),
            discount=everyone(1.0 - ended.astype(jnp.float32)),
            last=self.last(state),
            extras=self.extras(state),
        )


def require_common(observation: str, max_steps: int | None) -> None:
    """Raises ValueError unless the two options that all tabular environments have make sense."""
    lookup(dict.fromkeys(("index", "features")), observation, "observation")
    require(max_steps is None or max_steps >= 1, "max_steps", "at least 1, or None", max_steps)


def markov_game(env: TabularEnvironment) -> MarkovGame:
    """Returns the tables of an environment, the time limit left out.

    Raises:
      ValueError: `env` has no tables, or they would not fit.
    """
    known = isinstance(env, TabularEnvironment)
    require(known, "env", "an environment with a table of its states", type(env).__name__)
    groups = env.groups
    sizes = {n: discrete(g.action, "markov_game", n).num_values for n, g in groups.items()}
    num_actions = [sizes[name] for name, group in groups.items() for _ in range(group.size)]
    entries = env.num_states * prod(num_actions) * env.num_outcomes
    require(entries <= MAX_ENTRIES, "env", f"tables of at most {MAX_ENTRIES} entries", entries)

    def outcomes(index: jax.Array, joint: jax.Array) -> Any:
        state = env.decode(index)
        ended = env.terminal(state)
        after = jax.vmap(lambda k: env.move(state, joint, k))(jnp.arange(env.num_outcomes))
        successor = jnp.where(ended, index, jax.vmap(env.encode)(after))
        reward = jnp.where(ended, 0.0, after.reward)  # [K, N]
        return successor, env.chance(state, joint), reward

    def describe(index: jax.Array) -> Any:
        state = env.decode(index)
        masks = env.legal(state)
        legal = [
            masks[name][i] if name in masks else jnp.ones(sizes[name], bool)
            for name, group in groups.items()
            for i in range(group.size)
        ]
        return env.terminal(state), tuple(legal)

    @jax.jit
    def tables():
        states = jnp.arange(env.num_states)
        joint = jnp.asarray(np.indices(num_actions).reshape(len(num_actions), -1).T, jnp.int32)
        over_joint = jax.vmap(outcomes, (None, 0))
        successor, probability, reward = jax.lax.map(
            lambda s: over_joint(s, joint), states, batch_size=1024
        )
        shape = (env.num_states, *num_actions, env.num_outcomes)
        terminal, legal = jax.vmap(describe)(states)
        return MarkovGame(
            successor.reshape(shape).astype(jnp.int32),
            probability.reshape(shape),
            jnp.moveaxis(reward, -1, 0).reshape(len(num_actions), *shape),
            terminal,
            legal,
            env.start_distribution(),
        )

    return tables()
