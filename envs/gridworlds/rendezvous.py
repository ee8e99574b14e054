"""Rendezvous: two robots on a grid with walls must be at the goal together."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds import board
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.types import Group, Key

Cell = tuple[int, int]  # (row, column), from the top left
WALLS = ((1, 1), (1, 3), (3, 0), (3, 1), (3, 3), (3, 4))  # a way through for one robot at a time


@struct.dataclass
class RendezvousState:
    """Where the robots are."""

    cell: jax.Array  # [2] int32, row * columns + column; the same one only at the goal
    reward: jax.Array  # [2] f32
    time: jax.Array  # [] int32


@struct.dataclass
class Rendezvous(TabularEnvironment):
    """Two robots cross a grid with walls and meet at the goal.

    After Babuska, Busoniu & De Schutter, 2006 (reinforcement learning for multi-robot systems):
    5 x 5 cells with obstacles, four moves and standing, 10 when both are at the goal, where the
    first may wait for the second. Their map and how their robots get past each other are not
    known to us: the default map is ours, as is the rule that robots are solid. Two who want one
    cell that is not the goal, or each other's cells, both stay where they are.

    On the default map both need the one gap in the wall at the same moment; either may go first.
    So there are several best joint policies, and robots who break ties apart bump for ever: hence
    the social conventions of the paper.

    - groups: "agents", two robots, team 0.
    - observation: both see the same. "index": Discrete(n (n - 1) + 1) for n cells, the last being
      both at the goal; cells of walls are counted and never reached. "features":
      [2 (rows + columns)] f32 in {0, 1}: row and column of robot 0, then of robot 1, each one-hot.
    - action: [2] int32 in 0..4: north, south, east, west, stand; all legal, walls stop.
    - reward: to both `step_reward` a step, and `goal_reward` on having met at the goal.
    - termination: discount 0 when both are at the goal; `max_steps` sets `last` alone.
    - state: the features.
    """

    goal_reward: float
    step_reward: float
    rows: int = struct.field(pytree_node=False)
    columns: int = struct.field(pytree_node=False)
    walls: tuple[Cell, ...] = struct.field(pytree_node=False)
    starts: tuple[Cell, Cell] = struct.field(pytree_node=False)
    goal: Cell = struct.field(pytree_node=False)
    start: str = struct.field(pytree_node=False)  # "fixed" or "random"
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    num_outcomes = 1

    @property
    def num_cells(self) -> int:
        return self.rows * self.columns

    @property
    def num_states(self) -> int:
        return self.num_cells * (self.num_cells - 1) + 1

    @property
    def groups(self) -> Mapping[str, Group]:
        return {"agents": Group(2, self.observation_space, board.FIVE_MOVES, common_reward=True)}

    @property
    def _starts(self) -> np.ndarray:
        if self.start == "fixed":
            first, second = (self._number(cell) for cell in self.starts)
            return np.array([board.encode_pair(first, second, self.num_cells)])
        free = ~self._wall_map()
        free[self._number(self.goal)] = False
        states = np.arange(self.num_states - 1)
        first, second = board.decode_pair(states, self.num_cells)
        return states[free[first] & free[second]]

    def initial(self, key: Key) -> RendezvousState:
        """Returns the robots at their starts, or on any two free cells besides the goal."""
        return self.decode(board.draw_among(key, self._starts))

    def start_distribution(self) -> jax.Array:
        return board.start_among(self._starts, self.num_states)

    def chance(self, state: RendezvousState, joint: jax.Array) -> jax.Array:
        return jnp.ones(1, jnp.float32)

    def move(self, state: RendezvousState, joint: jax.Array, outcome: jax.Array) -> RendezvousState:
        cell = state.cell
        wanted, _ = board.neighbour(cell, joint, self.rows, self.columns)
        walls = jnp.asarray(np.flatnonzero(self._wall_map()), jnp.int32)
        wanted = jnp.where((wanted[:, None] == walls).any(axis=-1), cell, wanted)
        goal = self._number(self.goal)
        clash = (wanted[0] == wanted[1]) & (wanted[0] != goal)
        clash |= (wanted == cell[::-1]).all()
        cell = jnp.where(clash, cell, wanted)
        met = (cell == goal).all()
        reward = self.step_reward + self.goal_reward * met
        everyone = jnp.broadcast_to(reward, (2,)).astype(jnp.float32)
        return RendezvousState(cell, everyone, state.time + 1)

    def encode(self, state: RendezvousState) -> jax.Array:
        first, second = state.cell
        number = board.encode_pair(first, second, self.num_cells)
        return jnp.where(state.cell[0] == state.cell[1], self.num_states - 1, number)

    def decode(self, index: jax.Array) -> RendezvousState:
        cells = jnp.stack(board.decode_pair(index, self.num_cells))
        met = index == self.num_states - 1
        return self._at(jnp.where(met, self._number(self.goal), cells).astype(jnp.int32))

    def terminal(self, state: RendezvousState) -> jax.Array:
        return (state.cell == self._number(self.goal)).all()

    def features(self, state: RendezvousState) -> jax.Array:
        places = [board.place_features(cell, self.rows, self.columns) for cell in state.cell]
        return jnp.concatenate(places)

    def render(self, state: RendezvousState) -> jax.Array:
        """Returns the board with walls and goal; above it the time, and whether they have met."""
        grounds = {self._number(cell): drawing.INK for cell in self.walls}
        goal = self._number(self.goal)
        image = board.picture(
            self.rows, self.columns, grounds | {goal: board.tinted(drawing.GREEN, 0.45)}
        )
        place = board.centre(goal, self.columns) - jnp.array([0, 0.36 * board.SIDE])
        image = drawing.write(image, "goal", place, drawing.INK, 10)
        same_cell = state.cell[0] == state.cell[1]
        for robot, colour in enumerate((drawing.BLUE, drawing.RED)):
            place = board.centre(state.cell[robot], self.columns)
            aside = jnp.array([0.2 * board.SIDE * (2 * robot - 1), 0.0])
            image = board.piece(image, place + same_cell * aside, f"{robot}", colour)
        words = [("step", drawing.INK), (state.time, drawing.INK)]
        words.append(("met", drawing.GREEN, self.terminal(state)))
        return drawing.finish(board.caption(image, words))

    def _number(self, cell: Cell) -> int:
        return cell[0] * self.columns + cell[1]

    def _wall_map(self) -> np.ndarray:
        walls = np.zeros(self.num_cells, bool)
        walls[[self._number(cell) for cell in self.walls]] = True
        return walls

    def _at(self, cell: jax.Array) -> RendezvousState:
        return RendezvousState(cell, jnp.zeros(2, jnp.float32), jnp.int32(0))


def rendezvous(
    *,
    rows: int = 5,
    columns: int = 5,
    walls: tuple[Cell, ...] | None = None,
    starts: tuple[Cell, Cell] | None = None,
    goal: Cell | None = None,
    start: str = "fixed",
    goal_reward: float = 10.0,
    step_reward: float = 0.0,
    max_steps: int | None = 1000,
    observation: str = "index",
) -> Rendezvous:
    """Returns the rendezvous of two robots; cells are (row, column) from the top left.

    Args:
      rows: at least 2.
      columns: at least 2.
      walls: closed cells; None: our map on 5 x 5 cells, none on others.
      starts: where the two begin; None: the bottom corners.
      goal: where they meet; None: the middle of the top row.
      start: "fixed", or "random" for any two free cells besides the goal.
      goal_reward: for having met.
      step_reward: every step; the paper's single robot pays 0.1, step_reward=-0.1.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument; also if a robot cannot get to the goal.
    """
    require(rows >= 2, "rows", "at least 2", rows)
    require(columns >= 2, "columns", "at least 2", columns)
    lookup(dict.fromkeys(("fixed", "random")), start, "start")
    require_common(observation, max_steps)
    if walls is None:
        walls = WALLS if (rows, columns) == (5, 5) else ()
    starts = ((rows - 1, 0), (rows - 1, columns - 1)) if starts is None else starts
    goal = (0, columns // 2) if goal is None else goal
    closed, pair, (target,) = (board.as_tuples(cells) for cells in (walls, starts, (goal,)))
    for field, cells in (("walls", closed), ("starts", pair), ("goal", (target,))):
        for cell in cells:
            inside = len(cell) == 2 and 0 <= cell[0] < rows and 0 <= cell[1] < columns
            require(inside, field, f"cells (row, column) within {rows} x {columns}", cell)
            require(field == "walls" or cell not in closed, field, "free cells", cell)
    distinct = len(pair) == 2 and len({*pair, target}) == 3
    require(distinct, "starts", "two different cells besides the goal", pair)
    env = Rendezvous(
        goal_reward=goal_reward,
        step_reward=step_reward,
        rows=rows,
        columns=columns,
        walls=closed,
        starts=pair,
        goal=target,
        start=start,
        max_steps=max_steps,
        observation=observation,
    )
    free = {(r, c) for r in range(rows) for c in range(columns)} - set(closed)
    lost = (free if start == "random" else set(pair)) - _reached(env.goal, free)
    require(not lost, "walls", "a way to the goal for both robots", f"none from {sorted(lost)}")
    return env


def _reached(goal: Cell, free: set[Cell]) -> set[Cell]:
    reached, edge = {goal}, [goal]
    while edge:
        row, column = edge.pop()
        around = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}
        edge += around & free - reached
        reached |= around & free
    return reached
