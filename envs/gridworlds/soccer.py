"""Soccer on a 4 x 5 grid (Littman's): two players, one ball, moves in random order."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds.board import (
    EAST,
    FIVE_MOVES,
    HEADER,
    SIDE,
    WEST,
    caption,
    centre,
    decode_pair,
    encode_pair,
    neighbour,
    picture,
    piece,
    place_features,
    tinted,
)
from jaxmarl_core.errors import require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.types import Group, Key

PLAYERS = ("A", "B")
COLOURS = (drawing.BLUE, drawing.RED)
NOBODY = -1


@struct.dataclass
class SoccerState:
    """Who stands where, with the ball, and what just happened. Player 0 is A, player 1 is B."""

    cell: jax.Array  # [2] int32, two different cells
    holder: jax.Array  # [] int32, the player with the ball
    over: jax.Array  # [] bool, the game has ended
    goal: jax.Array  # [] int32, who scored in the last step, or -1
    score: jax.Array  # [2] int32, goals of the episode; for the eye and statistics alone
    reward: jax.Array  # [2] f32
    time: jax.Array  # [] int32


def try_move(
    cell: jax.Array, holder: jax.Array, player: jax.Array, target: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (cell, holder) after one player has moved: the rule both games of soccer share.

    Who walks into the other stays where it is; if it had the ball, the other has it now.

    Args:
      cell: [2] int32, where the players are.
      holder: [] int32.
      player: [] int32, who moves.
      target: [] int32, the cell it wants, its own to stand.
    """
    other = 1 - player
    here, there = jnp.where(player == 0, cell, cell[::-1])
    blocked = target == there
    is_player = jnp.arange(2) == player
    cell = jnp.where(is_player, jnp.where(blocked, here, target), cell)
    return cell, jnp.where(blocked & (holder == player), other, holder)


def draw_match(
    image: jax.Array, state: SoccerState, cell: jax.Array, columns: int, scores_west: int
) -> jax.Array:
    """Returns the picture [H, W, 3] uint8 with both players, the ball, and how it stands.

    Args:
      image: the empty board, its goals in the end columns.
      state: what is shown.
      cell: [2] int32, the players' cells in the picture.
      columns: how many columns the picture has.
      scores_west: the player whom a ball in the west column pays.
    """
    height, width = image.shape[:2]
    middle = (width / 2, (height + HEADER) / 2)
    for player, x in ((scores_west, SIDE / 2), (1 - scores_west, width - SIDE / 2)):
        text = f"{PLAYERS[player]} scores"
        image = drawing.write(image, text, (x, middle[1]), COLOURS[player], 10)
    for player in range(2):
        place = centre(cell[player], columns)
        image = piece(image, place, PLAYERS[player], COLOURS[player])
        ball, has_ball = place + 0.28 * SIDE, state.holder == player
        image = drawing.disc(image, ball, 0.14 * SIDE, drawing.PAPER, has_ball)
        image = drawing.disc(image, ball, 0.11 * SIDE, drawing.INK, has_ball)
    words = [("A", COLOURS[0]), (state.score[0], COLOURS[0]), (state.score[1], COLOURS[1])]
    words += [("B", COLOURS[1]), ("step", drawing.INK), (state.time, drawing.INK)]
    image = caption(image, words)
    for player in range(2):
        text = f"goal for {PLAYERS[player]}"
        image = drawing.write(image, text, middle, COLOURS[player], 26, state.goal == player)
    is_draw = state.over & (state.goal == NOBODY)
    return drawing.finish(drawing.write(image, "draw", middle, drawing.INK, 26, is_draw))


@struct.dataclass
class Soccer(TabularEnvironment):
    """Two players, one ball: A scores to the east, B to the west.

    Littman, 1994, ICML ("Markov games as a framework for multi-agent reinforcement learning").
    Both choose at once; a fair coin says whose move is played first. Who walks into the other
    stays, and loses the ball if it had it. Moves off the board do nothing, except that who has the
    ball leaves the end column by its goal: the middle two rows (one, if their number is odd). A
    goal pays, and the players return to the start with the ball drawn anew. The game then goes on,
    unless `goal_ends`.

    `draw_probability` ends every step in a draw with that chance, after its goal if there was one:
    Littman's way to play gamma = 1 - draw_probability undiscounted.

    - groups: "A" (team 0) and "B" (team 1), one player each.
    - observation: both see the same. "index": Discrete(760), on boards of other sizes
      2 n (n - 1) for n cells, and one more where the game can end. "features":
      [2 (rows + columns) + 3] f32 in {0, 1}: row and column of A, then of B, then the holder, each
      one-hot, then whether the game is over.
    - action: [1] int32 in 0..4: north, south, east, west, stand; all legal.
    - reward: `goal_reward` for a goal, minus that for the other player.
    - termination: discount 0 after a draw, or after a goal if `goal_ends`; `max_steps` sets `last`
      alone.
    - state: the features.
    - extras: "goal" [] int32, who scored in this step, -1 for nobody; "score" [2] int32, goals so
      far; "winner" [] int32, at the end the player with more goals, -1 for a draw and before.
    """

    goal_reward: float
    draw_probability: float
    rows: int = struct.field(pytree_node=False)
    columns: int = struct.field(pytree_node=False)
    goal_ends: bool = struct.field(pytree_node=False)
    has_draws: bool = struct.field(pytree_node=False)  # whether `draw_probability` counts
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    @property
    def num_cells(self) -> int:
        return self.rows * self.columns

    @property
    def num_pairs(self) -> int:
        """How many states there are while the game goes on."""
        return 2 * self.num_cells * (self.num_cells - 1)

    @property
    def num_states(self) -> int:
        return self.num_pairs + (self.goal_ends or self.has_draws)

    @property
    def num_outcomes(self) -> int:
        """Who moves first, then who gets the ball after a goal, then whether it is a draw."""
        return 2 * (1 if self.goal_ends else 2) * (2 if self.has_draws else 1)

    @property
    def groups(self) -> Mapping[str, Group]:
        space = self.observation_space
        return {name: Group(1, space, FIVE_MOVES, team) for team, name in enumerate(PLAYERS)}

    @property
    def kick_off(self) -> tuple[int, int]:
        """Where A and B start; one the other's image if the board is turned around."""
        return self.rows // 2 * self.columns + 1, (self.rows + 1) // 2 * self.columns - 2

    @property
    def goal_rows(self) -> range:
        return range((self.rows - 1) // 2, self.rows // 2 + 1)

    def initial(self, key: Key) -> SoccerState:
        """Returns the start, with the ball drawn."""
        return self._standing(
            jnp.array(self.kick_off, jnp.int32), jax.random.bernoulli(key).astype(jnp.int32)
        )

    def start_distribution(self) -> jax.Array:
        a, b = jnp.array(self.kick_off)
        first = encode_pair(a, b, self.num_cells) * 2
        index = jnp.arange(self.num_states)
        return jnp.where((index == first) | (index == first + 1), 0.5, 0.0)

    def chance(self, state: SoccerState, joint: jax.Array) -> jax.Array:
        even = jnp.full(4 // (1 + self.goal_ends), 0.5 / (2 - self.goal_ends), jnp.float32)
        if not self.has_draws:
            return even
        draw = jnp.asarray(self.draw_probability, jnp.float32)
        return jnp.concatenate([even * (1 - draw), even * draw])

    def move(self, state: SoccerState, joint: jax.Array, outcome: jax.Array) -> SoccerState:
        # outcome = first to move + 2 (receiver after a goal + 2 (draw)), without what cannot be
        first, receiver = outcome % 2, outcome // 2 % 2
        drawn = outcome >= (2 if self.goal_ends else 4)
        cell, holder, goal = state.cell, state.holder, jnp.int32(NOBODY)
        for player in (first, 1 - first):
            own, action = self._of(cell, player), self._of(joint, player)
            scores = (goal == NOBODY) & (holder == player) & self._leaves(own, player, action)
            goal = jnp.where(scores, player, goal)
            target, _ = neighbour(own, action, self.rows, self.columns)
            cell, holder = try_move(cell, holder, player, target)
        scored = goal != NOBODY
        start = jnp.array(self.kick_off, jnp.int32)
        over = scored & self.goal_ends
        return SoccerState(
            cell=jnp.where(scored, start, cell),
            holder=jnp.where(scored, jnp.where(over, 0, receiver), holder),
            over=over | drawn if self.has_draws else over,
            goal=goal,
            score=state.score + (jnp.arange(2) == goal),
            reward=jnp.where(
                scored, jnp.where(jnp.arange(2) == goal, 1.0, -1.0) * self.goal_reward, 0.0
            ).astype(jnp.float32),
            time=state.time + 1,
        )

    def encode(self, state: SoccerState) -> jax.Array:
        a, b = state.cell
        index = 2 * encode_pair(a, b, self.num_cells) + state.holder
        return jnp.where(state.over, self.num_pairs, index)

    def decode(self, index: jax.Array) -> SoccerState:
        over = index >= self.num_pairs
        index = jnp.where(over, 0, index)
        cell = jnp.stack(decode_pair(index // 2, self.num_cells)).astype(jnp.int32)
        standing = self._standing(cell, (index % 2).astype(jnp.int32))
        return dataclasses.replace(standing, over=over)

    def terminal(self, state: SoccerState) -> jax.Array:
        return state.over

    def features(self, state: SoccerState) -> jax.Array:
        places = [place_features(cell, self.rows, self.columns) for cell in state.cell]
        facts = [state.holder == 0, state.holder == 1]
        alive = ~state.over
        shown = jnp.concatenate([*places, jnp.stack(facts).astype(jnp.float32)]) * alive
        return jnp.append(shown, state.over.astype(jnp.float32))

    def extras(self, state: SoccerState) -> dict[str, jax.Array]:
        ahead = state.score[0] != state.score[1]
        winner = jnp.where(self.last(state) & ahead, jnp.argmax(state.score), NOBODY)
        return {
            "goal": state.goal,
            "score": state.score,
            "winner": winner.astype(jnp.int32),
        }

    def render(self, state: SoccerState) -> jax.Array:
        """Returns the board with both goals; above it the score, the time, and a goal or an end."""
        image = picture(self.rows, self.columns + 2, self._surroundings())
        place = state.cell // self.columns * (self.columns + 2) + state.cell % self.columns + 1
        return draw_match(image, state, place, self.columns + 2, 1)

    def _surroundings(self) -> dict[int, tuple]:
        # The columns beside the field: goals in the colour of who scores there, the rest grey.
        width, colours = self.columns + 2, {}
        for row in range(self.rows):
            is_goal = row in self.goal_rows
            colours[row * width] = tinted(COLOURS[1]) if is_goal else drawing.PALE
            colours[(row + 1) * width - 1] = tinted(COLOURS[0]) if is_goal else drawing.PALE
        return colours

    def _standing(self, cell: jax.Array, holder: jax.Array) -> SoccerState:
        nothing = jnp.int32(0)
        return SoccerState(
            cell, holder, jnp.bool_(False), jnp.int32(NOBODY), jnp.zeros(2, jnp.int32),
            jnp.zeros(2, jnp.float32), nothing,
        )  # fmt: skip

    def _of(self, pair: jax.Array, player: jax.Array) -> jax.Array:
        return jnp.where(player == 0, pair[0], pair[1])

    def _leaves(self, cell: jax.Array, player: jax.Array, action: jax.Array) -> jax.Array:
        # Whether the player walks off the board by the goal it attacks.
        row, column = cell // self.columns, cell % self.columns
        by_goal = (row >= self.goal_rows[0]) & (row <= self.goal_rows[-1])
        east = (player == 0) & (action == EAST) & (column == self.columns - 1)
        west = (player == 1) & (action == WEST) & (column == 0)
        return by_goal & (east | west)


def soccer(
    *,
    rows: int = 4,
    columns: int = 5,
    goal_reward: float = 1.0,
    goal_ends: bool = False,
    draw_probability: float = 0.0,
    max_steps: int | None = 100,
    observation: str = "index",
) -> Soccer:
    """Returns Littman's soccer, 4 x 5 unless told otherwise.

    Args:
      rows: at least 1.
      columns: at least 4.
      goal_reward: above 0; the other player loses as much.
      goal_ends: whether a goal ends the episode; else play goes on from the start.
      draw_probability: in [0, 1), of a draw at the end of a step; above 0 it is a leaf that may be
        replaced and swept.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(rows >= 1, "rows", "at least 1", rows)
    require(columns >= 4, "columns", "at least 4", columns)
    require(goal_reward > 0, "goal_reward", "above 0", goal_reward)
    require(0 <= draw_probability < 1, "draw_probability", "in [0, 1)", draw_probability)
    require_common(observation, max_steps)
    return Soccer(
        goal_reward=goal_reward,
        draw_probability=draw_probability,
        rows=rows,
        columns=columns,
        goal_ends=goal_ends,
        has_draws=draw_probability > 0,
        max_steps=max_steps,
        observation=observation,
    )
