"""Soccer on a 2 x 4 grid (Greenwald & Hall's): goals are cells of the board; own goals count."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.gridworlds.board import (
    FIVE_MOVES,
    decode_pair,
    draw_among,
    encode_pair,
    neighbour,
    picture,
    place_features,
    start_among,
    tinted,
)
from jaxmarl_core.envs.gridworlds.soccer import (
    COLOURS,
    NOBODY,
    PLAYERS,
    SoccerState,
    draw_match,
    try_move,
)
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.types import Group, Key

ROWS, COLUMNS = 2, 4
NUM_CELLS = ROWS * COLUMNS
FIGURE = (2, 1)  # cells of A, who has the ball, and of B in the state the paper draws


@struct.dataclass
class Soccer4x2(TabularEnvironment):
    """Two players, one ball, 2 x 4 cells; column 0 is A's goal, column 3 is B's.

    Greenwald & Hall, 2003, ICML ("Correlated-Q learning"). Both choose at once; a fair coin says
    whose move is played first. Who walks into the other stays, and loses the ball if it had it;
    walking into the one with the ball gains nothing. The game is over when, both having moved, who
    has the ball is in a goal: the goal's owner wins, whoever carried the ball there.

    It differs from Littman's game (`soccer`): goals are cells that one may stand on, own goals
    count, and the game ends.

    - groups: "A" (team 0) and "B" (team 1), one player each.
    - observation: both see the same. "index": Discrete(112), 56 pairs of cells and the holder;
      those with the holder in a goal are the ends. "features": [14] f32 in {0, 1}: row and column
      of A, then of B, then the holder, each one-hot.
    - action: [1] int32 in 0..4: north, south, east, west, stand; all legal.
    - reward: `goal_reward` to the owner of the goal, minus that to the other.
    - termination: discount 0 after a goal; `max_steps` sets `last` alone.
    - state: the features.
    - extras: "goal" and "winner" [] int32, who scored in this step, -1 for nobody.
    """

    goal_reward: float
    start: str = struct.field(pytree_node=False)  # "random" or "figure"
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    num_states = 2 * NUM_CELLS * (NUM_CELLS - 1)
    num_outcomes = 2  # who moves first

    @property
    def groups(self) -> Mapping[str, Group]:
        space = self.observation_space
        return {name: Group(1, space, FIVE_MOVES, team) for team, name in enumerate(PLAYERS)}

    @property
    def _starts(self) -> np.ndarray:
        if self.start == "figure":
            return np.array([2 * encode_pair(*FIGURE, NUM_CELLS)])
        states = np.arange(self.num_states)
        pair = decode_pair(states // 2, NUM_CELLS)
        column = np.where(states % 2 == 0, *pair) % COLUMNS
        return states[(column > 0) & (column < COLUMNS - 1)]

    def initial(self, key: Key) -> SoccerState:
        """Returns a state in which nobody has scored yet, or the one of the paper's figure."""
        return self.decode(draw_among(key, self._starts))

    def start_distribution(self) -> jax.Array:
        return start_among(self._starts, self.num_states)

    def chance(self, state: SoccerState, joint: jax.Array) -> jax.Array:
        return jnp.full(2, 0.5, jnp.float32)

    def move(self, state: SoccerState, joint: jax.Array, outcome: jax.Array) -> SoccerState:
        cell, holder = state.cell, state.holder
        for player in (outcome, 1 - outcome):
            own, action = (jnp.where(player == 0, x[0], x[1]) for x in (cell, joint))
            target, _ = neighbour(own, action, ROWS, COLUMNS)
            cell, holder = try_move(cell, holder, player, target)
        goal = _owner(jnp.where(holder == 0, cell[0], cell[1]))
        is_owner = jnp.arange(2) == goal
        sign = jnp.where(goal == NOBODY, 0.0, jnp.where(is_owner, 1.0, -1.0))
        return SoccerState(
            cell=cell,
            holder=holder,
            over=goal != NOBODY,
            goal=goal,
            score=state.score + is_owner,
            reward=(sign * self.goal_reward).astype(jnp.float32),
            time=state.time + 1,
        )

    def encode(self, state: SoccerState) -> jax.Array:
        a, b = state.cell
        return 2 * encode_pair(a, b, NUM_CELLS) + state.holder

    def decode(self, index: jax.Array) -> SoccerState:
        cell = jnp.stack(decode_pair(index // 2, NUM_CELLS)).astype(jnp.int32)
        holder = (index % 2).astype(jnp.int32)
        return SoccerState(
            cell=cell,
            holder=holder,
            over=_owner(jnp.where(holder == 0, cell[0], cell[1])) != NOBODY,
            goal=jnp.int32(NOBODY),
            score=jnp.zeros(2, jnp.int32),
            reward=jnp.zeros(2, jnp.float32),
            time=jnp.int32(0),
        )

    def terminal(self, state: SoccerState) -> jax.Array:
        return state.over

    def features(self, state: SoccerState) -> jax.Array:
        places = [place_features(cell, ROWS, COLUMNS) for cell in state.cell]
        return jnp.concatenate([*places, (jnp.arange(2) == state.holder).astype(jnp.float32)])

    def extras(self, state: SoccerState) -> dict[str, jax.Array]:
        return {"goal": state.goal, "winner": state.goal}

    def render(self, state: SoccerState) -> jax.Array:
        """Returns the board, the goals in their owners' colours, and above it how it stands."""
        own = {row * COLUMNS: tinted(COLOURS[0]) for row in range(ROWS)}
        other = {(row + 1) * COLUMNS - 1: tinted(COLOURS[1]) for row in range(ROWS)}
        image = picture(ROWS, COLUMNS, own | other)
        return draw_match(image, state, state.cell, COLUMNS, 0)


def _owner(cell: jax.Array) -> jax.Array:
    # Whose goal a cell belongs to, [] int32.
    column = cell % COLUMNS
    owner = jnp.where(column == 0, 0, jnp.where(column == COLUMNS - 1, 1, NOBODY))
    return owner.astype(jnp.int32)


def soccer_4x2(
    *,
    goal_reward: float = 100.0,
    start: str = "random",
    max_steps: int | None = 100,
    observation: str = "index",
) -> Soccer4x2:
    """Returns Greenwald & Hall's soccer.

    Args:
      goal_reward: above 0; what a goal pays its owner and costs the other.
      start: "random", any state in which nobody has scored; or "figure", the state the paper
        draws: A at row 0, column 2, with the ball, B to its west.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(goal_reward > 0, "goal_reward", "above 0", goal_reward)
    lookup(dict.fromkeys(("random", "figure")), start, "start")
    require_common(observation, max_steps)
    return Soccer4x2(
        goal_reward=goal_reward, start=start, max_steps=max_steps, observation=observation
    )
