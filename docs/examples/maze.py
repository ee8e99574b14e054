"""Two who must find the door of a dark house together: a world of one's own."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

MOVES = jnp.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])  # stand, north, south, west, east


@struct.dataclass
class MazeState:
    cell: jax.Array  # [2, 2] int32, row and column of both
    reward: jax.Array  # [] f32
    time: jax.Array  # [] int32


@struct.dataclass
class Maze(StateEnvironment):
    """Both are paid 1 when both are at the door in the far corner, and pay for every step."""

    step_cost: float = 0.01  # a leaf: sweeps without compiling again
    size: int = struct.field(pytree_node=False, default=4)
    max_steps: int = struct.field(pytree_node=False, default=30)

    @property
    def groups(self):
        return {"agents": Group(2, Discrete(self.size**2), Discrete(5), common_reward=True)}

    def initial(self, key):
        cell = jax.random.randint(key, (2, 2), 0, self.size - 1)  # never at the door
        return MazeState(cell, jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        cell = jnp.clip(state.cell + MOVES[actions["agents"]], 0, self.size - 1)
        reward = (cell == self.size - 1).all() - self.step_cost
        return MazeState(cell, jnp.asarray(reward, jnp.float32), state.time + 1)

    def observe(self, state):
        found, (row, column) = (state.cell == self.size - 1).all(), state.cell.T
        return TimeStep(
            observation={"agents": row * self.size + column},
            action_mask={},
            alive={"agents": jnp.ones(2, bool)},
            state=state.cell.reshape(-1) / self.size,
            reward={"agents": jnp.full(2, state.reward)},
            discount={"agents": jnp.full(2, 1.0 - found, jnp.float32)},
            last=found | (state.time >= self.max_steps),
        )

    def render(self, state):
        image = drawing.canvas(20 * self.size, 20 * self.size)
        for (row, column), colour in zip(state.cell, (drawing.RED, drawing.BLUE)):
            image = drawing.disc(image, (20 * column + 10, 20 * row + 10), 7.0, colour, 0.8)
        return drawing.finish(image)
