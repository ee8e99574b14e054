"""Grid games 1-3 (Hu & Wellman, Greenwald & Hall): two agents cross 3 x 3 cells to their goals."""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds import board
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, Key

# Cells as in the papers, from the bottom left: 0 1 2 below, 6 7 8 above.
UP, DOWN, LEFT, RIGHT = range(4)
MOVES = Discrete(4, ("up", "down", "left", "right"))
STEPS = np.array([3, -3, -1, 1], np.int32)
NUM_CELLS = 9
START = (0, 2)
CENTRE = 1  # the cell between the starts
PLAYERS = ("player_0", "player_1")
COLOURS = (drawing.BLUE, drawing.RED)


class Rules(NamedTuple):
    """What tells the three games apart."""

    goals: tuple[int, int]
    collision_reward: float
    up_fails: bool = False  # leaving a start cell upwards works every other time
    both_up_bonus: float = 0.0  # to each, if both leave the start upwards
    centre_bonus: float = 0.0  # for choosing the centre at the start


RULES = {
    1: Rules(goals=(8, 6), collision_reward=-1.0),
    2: Rules(goals=(7, 7), collision_reward=-1.0, up_fails=True),
    3: Rules(goals=(7, 7), collision_reward=-50.0, both_up_bonus=20.0, centre_bonus=25.0),
}


@struct.dataclass
class GridGameState:
    """Where the agents are."""

    cell: jax.Array  # [2] int32; the same one only if it is the goal of both
    collided: jax.Array  # [] bool, in the last step
    reward: jax.Array  # [2] f32
    time: jax.Array  # [] int32


@struct.dataclass
class GridGame(TabularEnvironment):
    """Two agents on 3 x 3 cells, each wanting to reach its goal; both may arrive at once.

    Hu & Wellman, 2003, JMLR 4 (games 1 and 2); Greenwald & Hall, 2003, ICML (game 3). Both start
    in the bottom corners and move at once. Two who want the same cell, which is not the goal of
    both, stay where they are and pay. Swapping places is allowed. The episode ends as soon as one
    is in its goal.

    1. Goals in the opposite top corners. Many equilibria, all fair, all worth the same.
    2. One goal, top centre, and barriers above both starts: up from there works every other time.
       Who takes the free way through the centre wins; only one can.
    3. One goal, no barriers, but leaving the start pays: 20 to each if both go up, 25 to whoever
       chooses the centre; both choosing it collide, for -50.

    - groups: "player_0" (team 0) and "player_1" (team 1), one agent each.
    - observation: both see the same. "index": Discrete(72), two different cells, or Discrete(73)
      in games 2 and 3, the last being both in the goal. "features": [12] f32 in {0, 1}: row and
      column of agent 0, then of agent 1, each one-hot.
    - action: [1] int32 in 0..3: up, down, left, right; the mask leaves out walls.
    - reward: `goal_reward` on reaching one's goal, `collision_reward` to both in a collision, and
      game 3's two bonuses for leaving the start.
    - termination: discount 0 once an agent is in its goal; `max_steps` sets `last` alone.
    - state: the features.
    - extras: "collision" [] bool; "winner" [] int32, who reached its goal alone, or -1.
    """

    goal_reward: float
    collision_reward: float
    both_up_bonus: float
    centre_bonus: float
    goals: tuple[int, int] = struct.field(pytree_node=False)
    up_fails: bool = struct.field(pytree_node=False)
    start: str = struct.field(pytree_node=False)  # "corners" or "random"
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    @property
    def num_states(self) -> int:
        return NUM_CELLS * (NUM_CELLS - 1) + (self.goals[0] == self.goals[1])

    @property
    def num_outcomes(self) -> int:
        """Whether each of the agents gets over its barrier."""
        return 4 if self.up_fails else 1

    @property
    def groups(self) -> Mapping[str, Group]:
        space = self.observation_space
        return {name: Group(1, space, MOVES, team) for team, name in enumerate(PLAYERS)}

    @property
    def _starts(self) -> np.ndarray:
        if self.start == "corners":
            return np.array([board.encode_pair(*START, NUM_CELLS)])
        states = np.arange(NUM_CELLS * (NUM_CELLS - 1))
        first, second = board.decode_pair(states, NUM_CELLS)
        return states[(first != self.goals[0]) & (second != self.goals[1])]

    def initial(self, key: Key) -> GridGameState:
        """Returns the state with both in their corners, or any in which the game is on."""
        return self.decode(board.draw_among(key, self._starts))

    def start_distribution(self) -> jax.Array:
        return board.start_among(self._starts, self.num_states)

    def chance(self, state: GridGameState, joint: jax.Array) -> jax.Array:
        return jnp.full(self.num_outcomes, 1 / self.num_outcomes, jnp.float32)

    def move(self, state: GridGameState, joint: jax.Array, outcome: jax.Array) -> GridGameState:
        cell = state.cell
        # What is illegal is defined, as standing still, but never played.
        wanted = jnp.where(_legal(cell, joint), cell + _step(joint), cell)
        at_start = (cell == START[0]) | (cell == START[1])
        if self.up_fails:
            held = (joint == UP) & at_start & (outcome // jnp.array([1, 2]) % 2 == 1)
            wanted = jnp.where(held, cell, wanted)
        shared_goal = (self.goals[0] == self.goals[1]) & (wanted[0] == self.goals[0])
        collided = (wanted[0] == wanted[1]) & ~shared_goal
        cell = jnp.where(collided, cell, wanted)
        leaving = (state.cell == jnp.array(START)).all()
        reward = self.goal_reward * (cell == jnp.array(self.goals))
        reward += self.collision_reward * collided
        reward += self.both_up_bonus * (leaving & (joint == UP).all())
        reward += self.centre_bonus * (leaving & (joint == jnp.array([RIGHT, LEFT])))
        return GridGameState(cell, collided, reward.astype(jnp.float32), state.time + 1)

    def encode(self, state: GridGameState) -> jax.Array:
        first, second = state.cell
        number = board.encode_pair(first, second, NUM_CELLS)
        return jnp.where(state.cell[0] == state.cell[1], NUM_CELLS * (NUM_CELLS - 1), number)

    def decode(self, index: jax.Array) -> GridGameState:
        cells = jnp.stack(board.decode_pair(index, NUM_CELLS))
        both = jnp.array(self.goals)
        cell = jnp.where(index == NUM_CELLS * (NUM_CELLS - 1), both, cells)
        return self._at(cell.astype(jnp.int32))

    def terminal(self, state: GridGameState) -> jax.Array:
        return (state.cell == jnp.array(self.goals)).any()

    def features(self, state: GridGameState) -> jax.Array:
        return jnp.concatenate([board.place_features(cell, 3, 3) for cell in state.cell])

    def legal(self, state: GridGameState) -> dict[str, jax.Array]:
        mask = _legal(state.cell[:, None], jnp.arange(4))
        return {name: mask[i : i + 1] for i, name in enumerate(PLAYERS)}

    def extras(self, state: GridGameState) -> dict[str, jax.Array]:
        there = state.cell == jnp.array(self.goals)
        winner = jnp.where(there.sum() == 1, jnp.argmax(there), -1)
        return {"collision": state.collided, "winner": winner.astype(jnp.int32)}

    def render(self, state: GridGameState) -> jax.Array:
        """Returns the board with goals and barriers; above it the time and any collision."""
        grounds = {_from_top(goal): board.tinted(COLOURS[i]) for i, goal in enumerate(self.goals)}
        if self.goals[0] == self.goals[1]:
            grounds = {_from_top(self.goals[0]): board.tinted(drawing.GREEN)}
        image = board.picture(3, 3, grounds)
        labels = {}
        for player, goal in enumerate(self.goals):
            labels[goal] = f"{labels[goal]} {player}" if goal in labels else f"goal {player}"
        for goal, label in labels.items():
            place = board.centre(_from_top(goal), 3) - jnp.array([0, 0.36 * board.SIDE])
            image = drawing.write(image, label, place, drawing.INK, 10)
        if self.up_fails:
            for cell in START:
                x, y = board.centre(_from_top(cell), 3) - 0.5 * board.SIDE
                for dash in (0.1, 0.42, 0.74):  # a broken line may be passed now and then
                    ends = (x + dash * board.SIDE, y), (x + (dash + 0.18) * board.SIDE, y)
                    image = drawing.segment(image, *ends, drawing.BROWN, 5)
        same_cell = state.cell[0] == state.cell[1]
        for player in range(2):
            place = board.centre(_from_top(state.cell[player]), 3)
            aside = jnp.array([0.2 * board.SIDE * (2 * player - 1), 0.0])
            image = board.piece(image, place + same_cell * aside, f"{player}", COLOURS[player])
        words = [("step", drawing.INK), (state.time, drawing.INK)]
        words.append(("bump!", drawing.RED, state.collided))
        return drawing.finish(board.caption(image, words))

    def _at(self, cell: jax.Array) -> GridGameState:
        return GridGameState(cell, jnp.bool_(False), jnp.zeros(2, jnp.float32), jnp.int32(0))


def _from_top(cell):
    # The number of a cell if rows are counted from the top, as pictures have them.
    return (2 - cell // 3) * 3 + cell % 3


def _step(action: jax.Array) -> jax.Array:
    # Sums of comparisons and no look-up: under vmap a table would become a gather.
    return reduce(add, (step * (action == move) for move, step in enumerate(STEPS.tolist())))


def _legal(cell: jax.Array, action: jax.Array) -> jax.Array:
    # Whether a move stays on the board.
    row, column = cell // 3, cell % 3
    return jnp.where(
        action <= DOWN,
        jnp.where(action == UP, row < 2, row > 0),
        jnp.where(action == LEFT, column > 0, column < 2),
    )


def grid_game(
    game: int = 1,
    *,
    goal_reward: float = 100.0,
    collision_reward: float | None = None,
    both_up_bonus: float | None = None,
    centre_bonus: float | None = None,
    start: str = "corners",
    max_steps: int | None = None,
    observation: str = "index",
) -> GridGame:
    """Returns one of the three grid games; None takes the game's own value.

    Args:
      game: 1, 2 or 3.
      goal_reward: for reaching one's goal.
      collision_reward: to both, a number added: negative punishes. -1, in game 3 -50.
      both_up_bonus: to each if both leave the start upwards; 20 in game 3, else 0.
      centre_bonus: for choosing the centre at the start; 25 in game 3, else 0.
      start: "corners", or "random" for any two cells in which the game is on, as Nash-Q trains.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(game in RULES, "game", "1, 2 or 3", game)
    lookup(dict.fromkeys(("corners", "random")), start, "start")
    require_common(observation, max_steps)
    rules = RULES[game]
    given = {
        "collision_reward": collision_reward,
        "both_up_bonus": both_up_bonus,
        "centre_bonus": centre_bonus,
    }
    numbers = {n: getattr(rules, n) if x is None else x for n, x in given.items()}
    return GridGame(
        goal_reward=goal_reward,
        goals=rules.goals,
        up_fails=rules.up_fails,
        start=start,
        max_steps=max_steps,
        observation=observation,
        **numbers,
    )
