"""Matrix games: N players choose at once, a table pays. Played once, several times or for ever."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import finish, write_number
from jaxmarl_core.envs.matrix_games.library import ACTION_NAMES, game
from jaxmarl_core.errors import require
from jaxmarl_core.solvers.markov_games import TabularEnvironment
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Actions, Group, Key, TimeStep


@struct.dataclass
class GameState:
    """What was last played, and when."""

    action: jax.Array  # [N] int32, the joint action of the round before; 0 at the start
    reward: jax.Array  # [N] f32, what it paid; 0 at the start
    round: jax.Array  # [] int32, how many rounds have been played


@struct.dataclass
class RepeatedGame(TabularEnvironment):
    """A normal-form game of N players, repeated.

    Groups: a team game (all get the same) whose players have equally many actions is one group
    "agents" of size N, team 0. Otherwise player i is a group "player_i" of size 1; players of a
    team game are then all on team 0, others each on their own.

    - Observation: Discrete(1), always 0. With `memory`, Discrete(1 + A_1 ... A_N): the last joint
      action, player 0's running slowest, or A_1 ... A_N at the start. The same for all players.
    - Action: Discrete(A_i), all legal.
    - Reward: `payoffs[i, a]`, plus or minus `spread[i, a]` by one fair coin for all players.
    - State for a central critic: the observation one-hot and, where rounds truly end, the share of
      rounds played; [F] f32.
    - End: after `num_rounds`, with discount 0; with `truncate` that is a time limit instead, and
      with `num_rounds=None` the game never ends.

    The payoffs are leaves: `env.replace(payoffs=batch)` under `vmap` plays many games at once.

    As a table (see `markov_game`) it has one state, or with `memory` one for each joint action and
    one for the start: then a state's number is what the players see. Where rounds truly end they
    are counted in it, which the players do not see: 1 + num_rounds states, or with `memory`
    1 + num_rounds A_1 ... A_N, the start first.
    """

    payoffs: jax.Array  # [N, A_1, ..., A_N] f32
    spread: jax.Array  # [N, A_1, ..., A_N] f32
    num_actions: tuple[int, ...] = struct.field(pytree_node=False)
    is_team: bool = struct.field(pytree_node=False, default=False)
    num_rounds: int | None = struct.field(pytree_node=False, default=1)
    memory: bool = struct.field(pytree_node=False, default=False)
    truncate: bool = struct.field(pytree_node=False, default=False)
    action_names: tuple[str, ...] = struct.field(pytree_node=False, default=())  # all players'

    @property
    def num_agents(self) -> int:
        """N."""
        return len(self.num_actions)

    @property
    def num_joint_actions(self) -> int:
        """A_1 ... A_N."""
        return prod(self.num_actions)

    @property
    def groups(self) -> Mapping[str, Group]:
        """One group of N, or N groups of one; see the class."""
        observation = Discrete(1 + self.num_joint_actions) if self.memory else Discrete(1)
        if self.is_team and len(set(self.num_actions)) == 1:
            action = Discrete(self.num_actions[0], self.action_names)
            return {"agents": Group(self.num_agents, observation, action, common_reward=True)}
        return {
            f"player_{i}": Group(
                size=1,
                observation=observation,
                action=Discrete(count, self.action_names),
                team=0 if self.is_team else i,
                common_reward=self.is_team,
            )
            for i, count in enumerate(self.num_actions)
        }

    num_outcomes = 2  # the coin

    @property
    def counted_rounds(self) -> int | None:
        """How many rounds the states count; None: they do not tell one round from another."""
        return None if self.truncate else self.num_rounds

    @property
    def num_states(self) -> int:
        """How many states a planner distinguishes; see the class."""
        states = self.num_joint_actions if self.memory else 1
        return (
            states + self.memory
            if self.counted_rounds is None
            else 1 + self.counted_rounds * states
        )

    def initial(self, key: Key) -> GameState:
        """Returns the state before the first round."""
        num = self.num_agents
        return GameState(jnp.zeros(num, jnp.int32), jnp.zeros(num, jnp.float32), jnp.int32(0))

    def start_distribution(self) -> jax.Array:
        start = 0 if self.counted_rounds is not None or not self.memory else self.num_joint_actions
        return (jnp.arange(self.num_states) == start).astype(jnp.float32)

    def chance(self, state: GameState, joint: jax.Array) -> jax.Array:
        return jnp.full(2, 0.5, jnp.float32)

    def move(self, state: GameState, joint: jax.Array, outcome: jax.Array) -> GameState:
        index = self._index(joint)
        coin = 1.0 - 2.0 * outcome
        reward = self._row(self.payoffs, index) + coin * self._row(self.spread, index)
        return GameState(joint, reward, state.round + 1)

    def advance(self, key: Key, state: GameState, actions: Actions) -> GameState:
        """Returns the state after one more round."""
        joint = jnp.concatenate([actions[name] for name in self.groups]).astype(jnp.int32)
        tails = jax.random.rademacher(key, (), jnp.int32) < 0
        return self.move(state, joint, tails.astype(jnp.int32))

    def encode(self, state: GameState) -> jax.Array:
        played = self._index(state.action) if self.memory else jnp.int32(0)
        if self.counted_rounds is not None:
            number = 1 + (state.round - 1) * (self.num_joint_actions if self.memory else 1) + played
            return jnp.where(state.round == 0, 0, number)
        return jnp.where((state.round == 0) & self.memory, self.num_joint_actions, played)

    def decode(self, index: jax.Array) -> GameState:
        states = self.num_joint_actions if self.memory else 1
        if self.counted_rounds is not None:
            played, round = (index - 1) % states, (index - 1) // states + 1
        else:
            played = jnp.where(index == self.num_joint_actions, 0, index)
            round = (index != self.num_joint_actions) & self.memory
        action = [
            played // prod(self.num_actions[i + 1 :]) % count * self.memory
            for i, count in enumerate(self.num_actions)
        ]
        action = jnp.stack(action).astype(jnp.int32) * (round > 0)
        return GameState(
            action, jnp.zeros(self.num_agents, jnp.float32), jnp.asarray(round, jnp.int32)
        )

    def terminal(self, state: GameState) -> jax.Array:
        return self.last(state) & (self.counted_rounds is not None)

    def last(self, state: GameState) -> jax.Array:
        """Returns whether the last round has been played."""
        return jnp.bool_(False) if self.num_rounds is None else state.round >= self.num_rounds

    def features(self, state: GameState) -> jax.Array:
        """Returns what a central critic may see; see the class."""
        return self._critic_state(state, self._observation(state))

    def observe(self, state: GameState) -> TimeStep:
        """Returns what the players see."""
        observation, ended = self._observation(state), self.terminal(state)
        num = self.num_agents
        return TimeStep(
            observation=self._by_group(jnp.full(num, observation)),
            action_mask={},
            alive=self._by_group(jnp.ones(num, bool)),
            state=self._critic_state(state, observation),
            reward=self._by_group(state.reward),
            discount=self._by_group(jnp.full(num, 1.0 - ended, jnp.float32)),
            last=self.last(state),
        )

    def _observation(self, state: GameState) -> jax.Array:
        if not self.memory:
            return jnp.int32(0)
        return jnp.where(state.round == 0, self.num_joint_actions, self._index(state.action))

    def _critic_state(self, state: GameState, observation: jax.Array) -> jax.Array:
        one_hot = jax.nn.one_hot(observation, 1 + self.num_joint_actions * self.memory)
        if self.counted_rounds is None:
            return one_hot
        return jnp.append(one_hot, state.round / self.counted_rounds)

    def _index(self, joint: jax.Array) -> jax.Array:
        """Returns the number of a joint action [N] in row-major order."""
        strides = [prod(self.num_actions[i + 1 :]) for i in range(self.num_agents)]
        return jnp.sum(joint * jnp.array(strides, jnp.int32))

    def _row(self, table: jax.Array, index: jax.Array) -> jax.Array:
        return table.reshape(self.num_agents, -1)[:, index]

    def _by_group(self, per_agent: jax.Array) -> dict[str, jax.Array]:
        sizes = [group.size for group in self.groups.values()]
        parts = jnp.split(per_agent, np.cumsum(sizes)[:-1])
        return dict(zip(self.groups, parts))

    def render(self, state: GameState) -> jax.Array:
        """Returns the payoff table as an image [H, W, 3] uint8.

        A cell per joint action (player 0 downwards, all others across), in as many stripes as
        payoffs differ: red for the lowest payoff, green for the highest, with the payoff rounded
        to a whole number where there are few. White frames the last joint action.
        """
        side, gap = 60, 4
        payoffs = self.payoffs[: 1 if self.is_team else None]
        low, high = payoffs.min(), payoffs.max()
        share = (payoffs - low) / jnp.maximum(high - low, 1e-9)
        share = share.reshape(len(payoffs), self.num_actions[0], -1)

        num_rows, num_columns = share.shape[1:]
        y, x = np.indices((num_rows * side, num_columns * side))
        row, column, top, left = y // side, x // side, y % side, x % side
        player = (left - gap) // ((side - 2 * gap) // len(payoffs))
        in_stripe = (gap <= top) & (top < side - gap) & (player >= 0) & (player < len(payoffs))
        value = share[player.clip(0, len(payoffs) - 1), row, column]

        colour = jnp.stack([40 + 180 * (1 - value), 40 + 150 * value, jnp.full(y.shape, 70.0)], -1)
        played = jnp.where(state.round > 0, self._index(state.action), -1)
        ground = jnp.where(row * num_columns + column == played, 255.0, 24.0)
        image = jnp.where(in_stripe[..., None], colour, ground[..., None])
        if self.payoffs.size <= 64:  # each number costs a pass over the image
            for i, table in enumerate(jnp.round(payoffs).reshape(share.shape)):
                place = (side - 2 * gap) // len(payoffs) * (i + 0.5) + gap
                for r, c in np.ndindex(num_rows, num_columns):
                    middle = (c * side + place, r * side + side / 2)
                    image = write_number(image, table[r, c], middle, (255, 255, 255), 16)
        return finish(image)


def _table(name: str, values: Any) -> np.ndarray:
    table = np.asarray(values, np.float32)
    num_agents = table.shape[0] if table.ndim else 0
    fits = table.ndim >= 2 and table.ndim == 1 + num_agents
    expected = "shape [N, A_1, ..., A_N], one axis of actions for each of N players"
    require(fits, name, expected, list(table.shape))
    require(table.size > 0 and bool(np.isfinite(table).all()), name, "finite numbers", values)
    return table


def from_payoffs(
    payoffs: Any,
    *,
    spread: Any = None,
    num_rounds: int | None = 1,
    memory: bool = False,
    truncate: bool = False,
) -> RepeatedGame:
    """Returns a repeated game with the given payoffs.

    Args:
      payoffs: [N, A_1, ..., A_N], the mean payoff to each player for each joint action.
      spread: the same shape, or None for 0; see `RepeatedGame`.
      num_rounds: at least 1, or None for a game that never ends.
      memory: whether the players see the last joint action.
      truncate: whether `num_rounds` is a time limit, not an end.

    Raises:
      ValueError: for payoffs of the wrong rank or shape, or that are not finite; for
        `num_rounds` below 1; for `truncate` without `num_rounds`.
    """
    payoffs = _table("payoffs", payoffs)
    spread = np.zeros_like(payoffs) if spread is None else _table("spread", spread)
    same = spread.shape == payoffs.shape
    require(same, "spread", f"the shape of payoffs, {list(payoffs.shape)}", list(spread.shape))
    at_least_one = num_rounds is None or num_rounds >= 1
    require(at_least_one, "num_rounds", "at least 1, or None", num_rounds)
    require(not (truncate and num_rounds is None), "truncate", "False without num_rounds", truncate)
    return RepeatedGame(
        payoffs=jnp.asarray(payoffs),
        spread=jnp.asarray(spread),
        num_actions=payoffs.shape[1:],
        is_team=all(bool((table == table[0]).all()) for table in (payoffs, spread)),
        num_rounds=num_rounds,
        memory=memory,
        truncate=truncate,
    )


def matrix_game(
    name: str = "prisoners_dilemma",
    *,
    num_agents: int = 2,
    num_rounds: int | None = 1,
    memory: bool = False,
    truncate: bool = False,
    penalty: float = -10.0,
) -> RepeatedGame:
    """Returns a game of the library by name, see `matrix_game_library.GAMES`.

    Args:
      name: a key of `GAMES`, such as "climbing".
      num_agents: 2, or more where the game is defined for more ("coordination", ...).
      num_rounds: at least 1, or None for a game that never ends.
      memory: whether the players see the last joint action.
      truncate: whether `num_rounds` is a time limit, not an end.
      penalty: k <= 0 of the game "penalty"; without effect elsewhere.

    Raises:
      ValueError: for an unknown name (with the nearest one), or what `from_payoffs` raises.
    """
    payoffs, spread = game(name, num_agents, penalty)
    env = from_payoffs(
        payoffs, spread=spread, num_rounds=num_rounds, memory=memory, truncate=truncate
    )
    return replace(env, action_names=ACTION_NAMES.get(name, ()))
