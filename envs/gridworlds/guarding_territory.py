"""Guarding a territory: a defender stops an invader as far out as it can, or loses."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds import board
from jaxmarl_core.errors import require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, Key

PLAYERS = ("defender", "invader")


@struct.dataclass
class GuardingState:
    """Where both are: 0 is the defender, 1 the invader."""

    cell: jax.Array  # [2] int32
    reward: jax.Array  # [2] f32
    time: jax.Array  # [] int32


@struct.dataclass
class GuardingTerritory(TabularEnvironment):
    """A zero-sum race on size x size cells; the territory is the bottom right one.

    Lu & Schwartz, 2011; Schwartz, 2014, "Multi-agent machine learning", chapter 4, on 2 x 2 cells.
    The invader starts top left and moves south or east, the defender starts on the territory and
    moves north or west; both at once, and walls stop them. The invader is caught where the
    defender is within `capture_radius` of it; but once on the territory it has won, caught or not.

    On 2 x 2 cells the defender must guess which way the invader comes: both play 1/2 - 1/2, worth
    -4 to the defender at gamma 0.9. Larger boards, and `all_moves`, which lets both go in all four
    directions, are ours.

    - groups: "defender" (team 0) and "invader" (team 1), one each.
    - observation: both see the same. "index": Discrete(size^4), defender's cell times size^2 plus
      invader's. "features": [4 size] f32 in {0, 1}: row and column of the defender, then of the
      invader, each one-hot.
    - action: [1] int32 in 0..1: the defender north, west; the invader south, east. With `all_moves`
      0..3: north, south, east, west. All legal.
    - reward: to the defender the steps from the invader to the territory on catching it, or
      `escape_reward`, below 0, when it gets there; minus that to the invader.
    - termination: discount 0 when the invader is caught or on the territory; `max_steps` sets
      `last` alone.
    - state: the features.
    - extras: "winner" [] int32, 0 or 1 at a true end, else -1.
    """

    escape_reward: float
    size: int = struct.field(pytree_node=False)
    capture_radius: int = struct.field(pytree_node=False)
    all_moves: bool = struct.field(pytree_node=False)
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    num_outcomes = 1

    @property
    def num_cells(self) -> int:
        return self.size**2

    @property
    def num_states(self) -> int:
        return self.num_cells**2

    @property
    def groups(self) -> Mapping[str, Group]:
        space, action = self.observation_space, board.FOUR_MOVES if self.all_moves else Discrete(2)
        return {name: Group(1, space, action, team) for team, name in enumerate(PLAYERS)}

    def initial(self, key: Key) -> GuardingState:
        """Returns the start: they face each other from opposite corners."""
        return self._at(jnp.array([self.num_cells - 1, 0], jnp.int32))

    def start_distribution(self) -> jax.Array:
        start = (self.num_cells - 1) * self.num_cells
        return (jnp.arange(self.num_states) == start).astype(jnp.float32)

    def chance(self, state: GuardingState, joint: jax.Array) -> jax.Array:
        return jnp.ones(1, jnp.float32)

    def move(self, state: GuardingState, joint: jax.Array, outcome: jax.Array) -> GuardingState:
        direction = joint
        if not self.all_moves:  # defender: north or west; invader: south or east
            second = jnp.array([board.WEST, board.EAST])
            direction = jnp.where(joint == 0, jnp.array([board.NORTH, board.SOUTH]), second)
        cell, _ = board.neighbour(state.cell, direction, self.size, self.size)
        escaped, caught = self._escaped(cell), self._near(cell)
        home = 2 * (self.size - 1) - cell[1] // self.size - cell[1] % self.size
        gain = jnp.where(escaped, self.escape_reward, jnp.where(caught, home, 0.0))
        reward = (gain * jnp.array([1.0, -1.0])).astype(jnp.float32)
        return GuardingState(cell, reward, state.time + 1)

    def encode(self, state: GuardingState) -> jax.Array:
        return state.cell[0] * self.num_cells + state.cell[1]

    def decode(self, index: jax.Array) -> GuardingState:
        cell = jnp.stack([index // self.num_cells, index % self.num_cells])
        return self._at(cell.astype(jnp.int32))

    def terminal(self, state: GuardingState) -> jax.Array:
        return self._escaped(state.cell) | self._near(state.cell)

    def features(self, state: GuardingState) -> jax.Array:
        places = [board.place_features(cell, self.size, self.size) for cell in state.cell]
        return jnp.concatenate(places)

    def extras(self, state: GuardingState) -> dict[str, jax.Array]:
        escaped = self._escaped(state.cell)
        winner = jnp.where(escaped, 1, jnp.where(self._near(state.cell), 0, -1))
        return {"winner": winner.astype(jnp.int32)}

    def render(self, state: GuardingState) -> jax.Array:
        """Returns the board with the territory; above it the time and how it ended."""
        territory = self.num_cells - 1
        image = board.picture(self.size, self.size, {territory: board.tinted(drawing.GREEN, 0.45)})
        same_cell = state.cell[0] == state.cell[1]
        for player, (label, colour) in enumerate((("D", drawing.BLUE), ("I", drawing.RED))):
            place = board.centre(state.cell[player], self.size)
            aside = jnp.array([0.2 * board.SIDE * (2 * player - 1), 0.0])
            image = board.piece(image, place + same_cell * aside, label, colour)
        escaped, ended = self._escaped(state.cell), self.terminal(state)
        words: list[tuple] = [(state.time, drawing.INK)]
        words.append(("D wins", drawing.BLUE, ended & ~escaped))
        image = board.caption(image, words)
        place = (0.75 * image.shape[1], board.HEADER / 2)
        return drawing.finish(drawing.write(image, "I wins", place, drawing.RED, 13, escaped))

    def _escaped(self, cell: jax.Array) -> jax.Array:
        return cell[1] == self.num_cells - 1

    def _near(self, cell: jax.Array) -> jax.Array:
        row, column = cell // self.size, cell % self.size
        distance = jnp.maximum(jnp.abs(row[0] - row[1]), jnp.abs(column[0] - column[1]))
        return distance <= self.capture_radius

    def _at(self, cell: jax.Array) -> GuardingState:
        return GuardingState(cell, jnp.zeros(2, jnp.float32), jnp.int32(0))


def guarding_territory(
    *,
    size: int = 2,
    capture_radius: int = 0,
    all_moves: bool = False,
    escape_reward: float = -10.0,
    max_steps: int | None = 50,
    observation: str = "index",
) -> GuardingTerritory:
    """Returns the game of guarding a territory, on 2 x 2 cells unless told otherwise.

    Args:
      size: cells along a side, at least 2.
      capture_radius: at least 0 and below size - 1: the invader is caught where neither rows nor
        columns between it and the defender are more.
      all_moves: whether both go in all four directions, or only towards each other.
      escape_reward: to the defender when the invader gets through, below 0.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(size >= 2, "size", "at least 2", size)
    fits = 0 <= capture_radius < size - 1
    require(fits, "capture_radius", f"in 0..{size - 2}", capture_radius)
    require(escape_reward < 0, "escape_reward", "below 0", escape_reward)
    require_common(observation, max_steps)
    return GuardingTerritory(
        escape_reward=escape_reward,
        size=size,
        capture_radius=capture_radius,
        all_moves=all_moves,
        max_steps=max_steps,
        observation=observation,
    )
