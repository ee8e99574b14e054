"""Predator and prey: hunters with a limited view chase randomly moving prey on a board."""

import itertools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.gridworlds import board
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

# north, south, east, west, stand as (row, column); hunters must move, as prey does
STEPS = np.array([[-1, 0], [1, 0], [0, 1], [0, -1]], np.int32)


@struct.dataclass
class PredatorPreyState:
    """Where everybody is."""

    hunters: jax.Array  # [N, 2] int32, row and column
    prey: jax.Array  # [M, 2] int32; the caught stay where they were caught
    free: jax.Array  # [M] bool, not caught yet
    reward: jax.Array  # [N] f32
    time: jax.Array  # [] int32


@struct.dataclass
class PredatorPrey(StateEnvironment):
    """Tan's hunters: alone they catch by stepping on prey, jointly two of them surround it.

    Tan, 1993, ICML (independent against cooperative agents): a board of 10 x 10 cells; a trial
    begins with everybody in random places and ends with the capture. In a step all hunters move,
    then all free prey, each in one of the four directions with equal chance; who runs into a wall
    stays. Without walls the board is a torus. Prey is caught after either move: in the cell of a
    hunter, or in the joint task where at least two hunters are in its cell or next to it. Hunters
    may share cells.

    That they take turns is our reading. Random hunters then need, on the average over all starts:

    | hunters | Tan | with walls | torus |
    |---|---|---|---|
    | 1 | 123.08 | 123.7 | 84.1 |
    | 2, either of whom may catch | 56.47 | 60.3 | 41.7 |

    - groups: "hunters", team 0.
    - observation: "index": Discrete((2 d + 1)^2 + 1), where the nearest free prey (the first of
      them, if several are equally far) stands in the square of `depth` d around the hunter, row
      by row, or the last number if none is there; Tan's perception. "features": [3 (M + N - 1)]
      f32 in [-1, 1]: for each prey and then for each other hunter whether it is in view, and its
      row and column offset over d; zeros if it is out of view or caught.
    - action: [N] int32 in 0..3: north, south, east, west.
    - reward: `capture_reward` to every hunter that takes part in a capture, else `step_reward`.
    - termination: discount 0 when all prey is caught; `max_steps` sets `last` alone.
    - state: [3 (N + M)] f32 in [0, 1]: row and column over size, and whether free (1 for hunters).
    """

    capture_reward: float
    step_reward: float
    size: int = struct.field(pytree_node=False)
    num_hunters: int = struct.field(pytree_node=False)
    num_prey: int = struct.field(pytree_node=False)
    depth: int = struct.field(pytree_node=False)
    joint: bool = struct.field(pytree_node=False)
    walls: bool = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)
    observation: str = struct.field(pytree_node=False)

    @property
    def groups(self) -> Mapping[str, Group]:
        if self.observation == "index":
            space = Discrete((2 * self.depth + 1) ** 2 + 1)
        else:
            space = Box((3 * (self.num_prey + self.num_hunters - 1),), -1.0, 1.0)
        return {"hunters": Group(self.num_hunters, space, board.FOUR_MOVES)}

    def initial(self, key: Key) -> PredatorPreyState:
        """Returns everybody in different cells, drawn uniformly."""
        cells = distinct(key, self.num_hunters + self.num_prey, self.size**2)
        places = jnp.stack([cells // self.size, cells % self.size], axis=-1)
        return PredatorPreyState(
            places[: self.num_hunters],
            places[self.num_hunters :],
            jnp.ones(self.num_prey, bool),
            jnp.zeros(self.num_hunters, jnp.float32),
            jnp.int32(0),
        )

    def advance(self, key: Key, state: PredatorPreyState, actions: Actions) -> PredatorPreyState:
        """Returns the state after the hunters' moves and then the prey's."""
        hunters = self.moved(state.hunters, actions["hunters"])
        first = self._catchers(hunters, state.prey) & state.free
        free = state.free & ~first.any(axis=0)
        flight = jax.random.randint(key, (self.num_prey,), 0, 4)
        prey = jnp.where(free[:, None], self.moved(state.prey, flight), state.prey)
        second = self._catchers(hunters, prey) & free
        caught = (first | second).any(axis=1)
        reward = jnp.where(caught, self.capture_reward, self.step_reward)
        free &= ~second.any(axis=0)
        return PredatorPreyState(hunters, prey, free, reward.astype(jnp.float32), state.time + 1)

    def observe(self, state: PredatorPreyState) -> TimeStep:
        """Returns what the hunters see."""
        ended = ~state.free.any()
        observe = self._index if self.observation == "index" else self._features
        everyone = jnp.ones(self.num_hunters, jnp.float32)
        places = jnp.concatenate([state.hunters, state.prey]) / self.size
        free = jnp.concatenate([jnp.ones(self.num_hunters, bool), state.free])
        overview = jnp.concatenate([places, free[:, None]], axis=-1)
        return TimeStep(
            observation={"hunters": observe(state)},
            action_mask={},
            alive={"hunters": everyone > 0},
            state=overview.reshape(-1).astype(jnp.float32),
            reward={"hunters": state.reward},
            discount={"hunters": everyone * (1.0 - ended)},
            last=ended | (state.time >= self.max_steps),
            extras={"caught": self.num_prey - state.free.sum()},
        )

    def moved(self, place: jax.Array, direction: jax.Array) -> jax.Array:
        """Returns the places [..., 2] one step further in directions [...], or at the wall."""
        after = place + steps(direction)
        return jnp.clip(after, 0, self.size - 1) if self.walls else after % self.size

    def offsets(self, origin: jax.Array, target: jax.Array) -> jax.Array:
        """Returns the way from origin [..., 2] to target; the shorter one around a torus."""
        if self.walls:
            return target - origin
        half = self.size // 2
        return (target - origin + half) % self.size - half

    def _catchers(self, hunters: jax.Array, prey: jax.Array) -> jax.Array:
        # [N, M] bool, who takes part in catching what
        distance = jnp.abs(self.offsets(hunters[:, None], prey)).sum(axis=-1)
        if not self.joint:
            return distance == 0
        near = distance <= 1
        return near & (near.sum(axis=0) >= 2)

    def _index(self, state: PredatorPreyState) -> jax.Array:
        away = self.offsets(state.hunters[:, None], state.prey)  # [N, M, 2]
        in_view = (jnp.abs(away) <= self.depth).all(axis=-1) & state.free
        distance = jnp.where(in_view, jnp.abs(away).sum(axis=-1), 2 * self.size)
        side = 2 * self.depth + 1
        number = (away[..., 0] + self.depth) * side + away[..., 1] + self.depth
        nearest = distance.argmin(axis=1)
        chosen = (number * (jnp.arange(self.num_prey) == nearest[:, None])).sum(axis=1)
        return jnp.where(in_view.any(axis=1), chosen, side**2).astype(jnp.int32)

    def _features(self, state: PredatorPreyState) -> jax.Array:
        others = np.array(
            [[j for j in range(self.num_hunters) if j != i] for i in range(self.num_hunters)], int
        )
        mates = state.hunters[others]  # [N, N - 1, 2]
        prey = jnp.broadcast_to(state.prey, (self.num_hunters, *state.prey.shape))
        away = self.offsets(state.hunters[:, None], jnp.concatenate([prey, mates], axis=1))
        there = jnp.concatenate([state.free, jnp.ones(self.num_hunters - 1, bool)])
        in_view = (jnp.abs(away) <= self.depth).all(axis=-1) & there
        parts = jnp.concatenate([jnp.ones_like(away[..., :1]), away / self.depth], axis=-1)
        parts = parts * in_view[..., None]
        return parts.reshape(self.num_hunters, -1).astype(jnp.float32)

    def render(self, state: PredatorPreyState) -> jax.Array:
        """Returns the board with hunters (H), what they see, and prey (P; pale if caught)."""
        image = board.picture(self.size, self.size)
        centre = lambda place: board.centre(place[0] * self.size + place[1], self.size)
        side = (2 * self.depth + 1) * board.SIDE
        ground = image[board.HEADER :]
        for hunter in state.hunters:
            corner = centre(hunter) - side / 2 - jnp.array([0, board.HEADER])
            # on a torus the view goes on at the other side
            shifts = [(0, 0)] if self.walls else list(itertools.product((-1, 0, 1), repeat=2))
            for shift in shifts:
                seen = corner + np.array(shift) * self.size * board.SIDE
                ground = drawing.rectangle(ground, seen, (side, side), drawing.BLUE, 0.12)
        image = jnp.concatenate([image[: board.HEADER], ground])
        for prey, free in zip(state.prey, state.free):
            colour = jnp.where(free, jnp.array(drawing.RED), jnp.array(drawing.PALE))
            image = board.piece(image, centre(prey), "P", colour)
        for hunter in state.hunters:
            image = board.piece(image, centre(hunter), "H", drawing.BLUE)
        caught = self.num_prey - state.free.sum()
        words = [("step", drawing.INK), (state.time, drawing.INK)]
        words += [("caught", drawing.RED), (caught, drawing.RED)]
        return drawing.finish(board.caption(image, words))


def steps(direction: jax.Array) -> jax.Array:
    """Returns moves [..., 2] as (row, column) for directions [...] in 0..3."""
    row = (direction == board.SOUTH).astype(jnp.int32) - (direction == board.NORTH)
    column = (direction == board.EAST).astype(jnp.int32) - (direction == board.WEST)
    return jnp.stack([row, column], axis=-1).astype(jnp.int32)


def distinct(key: Key, count: int, total: int) -> jax.Array:
    """Returns `count` different numbers of 0 ... total - 1, all orders equally likely; [count].

    The k-th is drawn among the total - k that are left, and counted up past those taken.
    """
    ranks = jax.random.randint(key, (count,), 0, total - np.arange(count))
    taken = []
    for k in range(count):
        number = ranks[k]
        for lower in jnp.sort(jnp.stack(taken)) if taken else ():
            number = number + (number >= lower)
        taken.append(number)
    return jnp.stack(taken).astype(jnp.int32)


def predator_prey(
    size: int = 10,
    *,
    num_hunters: int = 2,
    num_prey: int = 1,
    depth: int = 2,
    joint: bool = False,
    walls: bool = True,
    capture_reward: float = 1.0,
    step_reward: float = -0.1,
    max_steps: int = 1000,
    observation: str = "features",
) -> PredatorPrey:
    """Returns the hunt.

    Args:
      size: cells along a side of the board, at least 3.
      num_hunters: at least 1.
      num_prey: at least 1; Tan has 1.
      depth: how far hunters see in rows and columns, from 1 to less than the board, or than half
        of the torus.
      joint: whether a capture needs two hunters in the prey's cell or next to it.
      walls: whether the board ends at its sides, as Tan's; else it is a torus.
      capture_reward: to each hunter that takes part.
      step_reward: to the others, every step.
      max_steps: the time limit.
      observation: "index" (what Tan's tabular hunters perceive) or "features".

    Raises:
      ValueError: naming the argument.
    """
    require(size >= 3, "size", "at least 3", size)
    require(num_hunters >= 1 + joint, "num_hunters", f"at least {1 + joint}", num_hunters)
    require(num_prey >= 1, "num_prey", "at least 1", num_prey)
    agents = num_hunters + num_prey
    require(agents <= size**2, "num_hunters", f"with the prey at most {size**2} cells", agents)
    furthest = size - 1 if walls else (size - 1) // 2
    require(1 <= depth <= furthest, "depth", f"in 1..{furthest}", depth)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    lookup(dict.fromkeys(("index", "features")), observation, "observation")
    return PredatorPrey(
        capture_reward=capture_reward,
        step_reward=step_reward,
        size=size,
        num_hunters=num_hunters,
        num_prey=num_prey,
        depth=depth,
        joint=joint,
        walls=walls,
        max_steps=max_steps,
        observation=observation,
    )
