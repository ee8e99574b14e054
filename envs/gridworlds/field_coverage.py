"""Field coverage: drones share out a field of interest among their cameras' views."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds import board
from jaxmarl_core.errors import require
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, Key

Cell = tuple[int, int]  # (row, column) of the ground
FIELD = ((1, 2), *((row, column) for row in (2, 3) for column in (2, 3, 4, 5)), (4, 5))


@struct.dataclass
class CoverageState:
    """Where the drones are."""

    place: jax.Array  # [N, 3] int32: row, column, height (0 is the lowest)
    reward: jax.Array  # [N] f32
    time: jax.Array  # [] int32


@struct.dataclass
class FieldCoverage(TabularEnvironment):
    """Drones move in a box over a field and must see all of it, each cell by one drone only.

    Pham, La, Feil-Seifer & Nefian, 2018, arXiv:1803.07250 (cooperative and distributed
    reinforcement learning of drones for field coverage). A drone h + 1 above the ground sees the
    square of cells whose rows and columns are at most (h + 1) tan(half_angle) from its own. The
    task is done when every cell of the field is seen and no cell of the ground by two drones;
    only then is anything paid. Drones move one after another, the first having priority: one that
    would leave the box, or enter the place of another as it then stands, stays (their social
    convention). The default field and box are those of a published re-implementation.

    - groups: "drones", team 0.
    - observation: all see the same. "index": Discrete((rows columns heights)^N). "features":
      [N (rows + columns + heights)] f32 in {0, 1}, the paper's fixed sparse representation
      without its joint action: each coordinate of each drone, one-hot. See also `radial_basis`.
    - action: [N] int32 in 0..5: row -1, row +1, column +1, column -1, up, down; all legal.
    - reward: `goal_reward` to all on reaching a state that is done, else 0.
    - termination: discount 0 when done; `max_steps` sets `last` alone.
    - state: the features.
    """

    goal_reward: float
    rows: int = struct.field(pytree_node=False)
    columns: int = struct.field(pytree_node=False)
    heights: int = struct.field(pytree_node=False)
    num_drones: int = struct.field(pytree_node=False)
    half_angle: float = struct.field(pytree_node=False)  # degrees
    field: tuple[Cell, ...] = struct.field(pytree_node=False)
    starts: tuple[tuple[int, int, int], ...] = struct.field(pytree_node=False)
    max_steps: int | None = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    num_outcomes = 1

    @property
    def num_places(self) -> int:
        return self.rows * self.columns * self.heights

    @property
    def num_states(self) -> int:
        return self.num_places**self.num_drones

    @property
    def groups(self) -> Mapping[str, Group]:
        return {
            "drones": Group(
                self.num_drones, self.observation_space, Discrete(6), common_reward=True
            )
        }

    def initial(self, key: Key) -> CoverageState:
        """Returns the drones at their starts."""
        return self._at(jnp.array(self.starts, jnp.int32))

    def start_distribution(self) -> jax.Array:
        start = self.encode(self._at(jnp.array(self.starts, jnp.int32)))
        return jnp.zeros(self.num_states, jnp.float32).at[start].set(1.0)

    def chance(self, state: CoverageState, joint: jax.Array) -> jax.Array:
        return jnp.ones(1, jnp.float32)

    def move(self, state: CoverageState, joint: jax.Array, outcome: jax.Array) -> CoverageState:
        places = list(state.place)
        limit = jnp.array([self.rows, self.columns, self.heights])
        for drone in range(self.num_drones):
            a = joint[drone]
            step = jnp.stack(
                [(a == 1) - (a == 0) * 1, (a == 2) - (a == 3) * 1, (a == 4) - (a == 5) * 1]
            )
            wanted = places[drone] + step.astype(jnp.int32)
            free = ((wanted >= 0) & (wanted < limit)).all()
            for other in range(self.num_drones):
                if other != drone:
                    free &= (wanted != places[other]).any()
            places[drone] = jnp.where(free, wanted, places[drone])
        place = jnp.stack(places)
        reward = jnp.broadcast_to(self.goal_reward * self.done(place), (self.num_drones,))
        return CoverageState(place, reward.astype(jnp.float32), state.time + 1)

    def encode(self, state: CoverageState) -> jax.Array:
        row, column, height = state.place.T
        number = (row * self.columns + column) * self.heights + height
        powers = self.num_places ** np.arange(self.num_drones)[::-1]
        return jnp.sum(number * powers).astype(jnp.int32)

    def decode(self, index: jax.Array) -> CoverageState:
        powers = self.num_places ** np.arange(self.num_drones)[::-1]
        number = index // powers % self.num_places
        height, cell = number % self.heights, number // self.heights
        place = jnp.stack([cell // self.columns, cell % self.columns, height], axis=-1)
        return self._at(place.astype(jnp.int32))

    def terminal(self, state: CoverageState) -> jax.Array:
        return self.done(state.place)

    def features(self, state: CoverageState) -> jax.Array:
        sizes = (self.rows, self.columns, self.heights)
        parts = [
            jnp.arange(size) == drone[axis]
            for drone in state.place
            for axis, size in enumerate(sizes)
        ]
        return jnp.concatenate(parts).astype(jnp.float32)

    def radial_basis(self, state: CoverageState, width: float = 2.0) -> jax.Array:
        """Returns the paper's other features, [N, 8] f32: exp(-d^2 / (2 width^2)).

        d is a drone's distance from each of eight centres: rows and columns 3 and 5, heights 1 and
        3, counted from 0, as in the re-implementation's box of 7 x 7 x 4.
        """
        centres = np.stack(np.meshgrid([3, 5], [3, 5], [1, 3], indexing="ij"), -1).reshape(8, 3)
        squares = ((state.place[:, None] - centres) ** 2).sum(axis=-1)
        return jnp.exp(-squares / (2 * width**2))

    def num_cameras(self, place: jax.Array) -> jax.Array:
        """Returns how many drones see each cell of the ground, [rows, columns] int32."""
        reach = (place[:, 2] + 1) * math.tan(math.radians(self.half_angle))
        near = lambda axis, size: jnp.abs(np.arange(size) - place[:, axis, None]) <= reach[:, None]
        rows, columns = near(0, self.rows), near(1, self.columns)
        return (rows[:, :, None] & columns[:, None, :]).sum(axis=0)

    def done(self, place: jax.Array) -> jax.Array:
        """Returns whether the field is seen and nothing is seen twice, [] bool."""
        count = self.num_cameras(place)
        row, column = np.array(self.field).T
        return (count[row, column] == 1).all() & (count <= 1).all()

    def render(self, state: CoverageState) -> jax.Array:
        """Returns the ground from above: the field, each drone's view and its height."""
        grounds = {r * self.columns + c: board.tinted(drawing.GREEN, 0.4) for r, c in self.field}
        image = board.picture(self.rows, self.columns, grounds)
        colours = [drawing.PALETTE[i % len(drawing.PALETTE)] for i in range(self.num_drones)]
        reach = jnp.floor((state.place[:, 2] + 1) * math.tan(math.radians(self.half_angle)) + 1e-6)
        ground = image[board.HEADER :]
        for drone, colour in enumerate(colours):
            row, column, _ = state.place[drone]
            side = (2 * reach[drone] + 1) * board.SIDE
            corner = jnp.stack([column, row]) * board.SIDE - reach[drone] * board.SIDE
            ground = drawing.rectangle(ground, corner, (side, side), colour, 0.25)
        image = jnp.concatenate([image[: board.HEADER], ground])
        for drone, colour in enumerate(colours):
            row, column, height = state.place[drone]
            place = board.centre(row * self.columns + column, self.columns)
            image = drawing.disc(image, place, 0.32 * board.SIDE, colour)
            image = drawing.write_number(image, height + 1, place, drawing.PAPER, 16)
        words = [("step", drawing.INK), (state.time, drawing.INK), ("number: height", drawing.INK)]
        words.append(("covered", drawing.GREEN, self.terminal(state)))
        return drawing.finish(board.caption(image, words))

    def _at(self, place: jax.Array) -> CoverageState:
        return CoverageState(place, jnp.zeros(self.num_drones, jnp.float32), jnp.int32(0))


def field_coverage(
    *,
    rows: int = 7,
    columns: int = 7,
    heights: int = 4,
    num_drones: int = 2,
    half_angle: float = 30.0,
    field: tuple[Cell, ...] = FIELD,
    starts: tuple[tuple[int, int, int], ...] | None = None,
    goal_reward: float = 0.1,
    max_steps: int | None = 2000,
    observation: str = "index",
) -> FieldCoverage:
    """Returns the drones' task.

    Args:
      rows: at least 2.
      columns: at least 2.
      heights: levels a drone may fly at, at least 1.
      num_drones: at least 1; the number of states must stay below 2^31.
      half_angle: of the camera, in degrees, above 0 and below 90.
      field: the cells (row, column) to be seen.
      starts: (row, column, height) of each drone; None: side by side in the first row, at
        height 0.
      goal_reward: once the field is covered; 0.1 in one re-implementation, 1 in another.
      max_steps: the time limit, or None.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(rows >= 2, "rows", "at least 2", rows)
    require(columns >= 2, "columns", "at least 2", columns)
    require(heights >= 1, "heights", "at least 1", heights)
    require(num_drones >= 1, "num_drones", "at least 1", num_drones)
    places = rows * columns * heights
    fits = num_drones <= places and places**num_drones < 2**31
    require(fits, "num_drones", "fewer than 2^31 states", f"{places}^{num_drones}")
    require(0 < half_angle < 90, "half_angle", "above 0 and below 90", half_angle)
    require_common(observation, max_steps)
    require(len(field) > 0, "field", "at least one cell", field)
    field = board.as_tuples(field)
    for cell in field:
        inside = len(cell) == 2 and 0 <= cell[0] < rows and 0 <= cell[1] < columns
        require(inside, "field", f"cells (row, column) within {rows} x {columns}", cell)
    if starts is None:
        require(num_drones <= columns, "num_drones", f"at most {columns}, or starts", num_drones)
        starts = tuple((0, drone, 0) for drone in range(num_drones))
    else:
        starts = tuple((*start,) for start in starts)
    require(len(starts) == num_drones, "starts", f"{num_drones} places", len(starts))
    require(len(set(starts)) == num_drones, "starts", "different places", starts)
    for start in starts:
        inside = len(start) == 3 and all(
            0 <= x < n for x, n in zip(start, (rows, columns, heights))
        )
        require(inside, "starts", f"within {rows} x {columns} x {heights}", start)
    env = FieldCoverage(
        goal_reward=goal_reward,
        rows=rows,
        columns=columns,
        heights=heights,
        num_drones=num_drones,
        half_angle=half_angle,
        field=field,
        starts=starts,
        max_steps=max_steps,
        observation=observation,
    )
    begun = bool(env.done(jnp.array(starts)))
    require(not begun, "starts", "places from which the field is not covered yet", starts)
    return env
