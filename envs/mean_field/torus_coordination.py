"""Agents on a torus agree on a direction: the stage game of the mean-field Q-learning paper."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.mean_field.torus import neighbour_mean_action, neighbour_sum, require_torus
from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

NUM_ACTIONS = 2  # up, down


@struct.dataclass
class CoordinationState:
    """What was last played, and when."""

    action: jax.Array  # [L * L] int32, of the step before; -1 before the first
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class TorusCoordination(StateEnvironment):
    """L x L agents on a torus each choose up or down, and want to do as their neighbours do.

    The toy of Yang et al., 2018, arXiv:1802.05438, fig. 2 (there 3 x 3), a game without a state.
    That the reward runs over -2 ... 2 is told from memory: neither its text nor code was at hand.

    - observation: [n] int32, always 0, in Discrete(1); n = L * L, row by row.
    - action: [n] int32, 0 up or 1 down.
    - reward: [n] f32 in {-2, -1, 0, 1, 2}, for 0, 1, 2, 3, 4 neighbours that chose the same.
    - termination: none; `max_steps` sets `last` alone.
    - state: [n] f32, 1 where up was chosen last, -1 where down, 0 before the first step.
    - mean_action: [n, 2] f32, the four neighbours' mean one-hot action of the last step; zero
      before the first.
    - extras: "winner" [] int32, always -1.
    """

    size: int = struct.field(pytree_node=False)  # L
    max_steps: int = struct.field(pytree_node=False)

    @property
    def num_agents(self) -> int:
        """n = L * L."""
        return self.size**2

    @property
    def groups(self) -> Mapping[str, Group]:
        """One group of all."""
        return {"agents": Group(self.num_agents, Discrete(1), Discrete(NUM_ACTIONS))}

    def initial(self, key: Key) -> CoordinationState:
        """Returns the state before the first step."""
        return CoordinationState(jnp.full(self.num_agents, -1, jnp.int32), jnp.int32(0))

    def advance(self, key: Key, state: CoordinationState, actions: Actions) -> CoordinationState:
        """Returns the state after one more step."""
        return CoordinationState(actions["agents"].astype(jnp.int32), state.time + 1)

    def observe(self, state: CoordinationState) -> TimeStep:
        """Returns what the agents see."""
        n = self.num_agents
        return TimeStep(
            observation={"agents": jnp.zeros(n, jnp.int32)},
            action_mask={},
            alive={"agents": jnp.ones(n, bool)},
            state=self._direction(state),
            reward={"agents": self._reward(state)},
            discount={"agents": jnp.ones(n, jnp.float32)},
            last=state.time >= self.max_steps,
            mean_action=self.mean_action(state, {"agents": state.action}),
            extras={"winner": jnp.int32(-1)},
        )

    def mean_action(self, state: CoordinationState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the neighbours' mean one-hot action, [n, 2], if `actions` are played now."""
        return self._mean_action(actions)

    def mean_action_at(self, timestep: TimeStep, actions: Actions) -> dict[str, jax.Array]:
        """Returns `mean_action` as agents can tell it, who are shown time steps."""
        return self._mean_action(actions)

    def render(self, state: CoordinationState) -> jax.Array:
        """Returns an image [H, W, 3] uint8: an arrow per agent, green where all four agree."""
        side = max(16, 240 // self.size)
        direction = self._direction(state).reshape(self.size, self.size)[..., None]
        share = (self._reward(state).reshape(direction.shape) + 2) / 4  # of agreeing neighbours
        paper, green = jnp.array(drawing.PAPER), jnp.array(drawing.GREEN)
        ground = jnp.where(direction == 0, paper, paper + 0.8 * share * (green - paper))
        up = _arrow(side)
        arrows = (direction[..., None] == 1) * up + (direction[..., None] == -1) * up[::-1]
        cover = arrows.transpose(0, 2, 1, 3).reshape(self.size * side, -1)
        image = drawing.cells(ground, side)
        image = drawing.paint(image, jnp.pad(cover, ((1, 0), (1, 0))), drawing.INK)
        foot = drawing.canvas(24, image.shape[1])
        agreeing = jnp.round(100 * jnp.mean(share)) * (state.time > 0)
        middle = image.shape[1] / 2
        foot = drawing.write(foot, "agreement", (middle - 22, 12))
        foot = drawing.write_number(foot, agreeing, (middle + 30, 12))
        foot = drawing.write(foot, "%", (middle + 52, 12))
        return drawing.finish(jnp.concatenate([image, foot]))

    def _mean_action(self, actions: Actions) -> dict[str, jax.Array]:
        return {"agents": neighbour_mean_action(actions["agents"], self.size, NUM_ACTIONS)}

    def _direction(self, state: CoordinationState) -> jax.Array:
        return jnp.where(state.action < 0, 0, 1 - 2 * state.action).astype(jnp.float32)

    def _reward(self, state: CoordinationState) -> jax.Array:
        # k agreeing neighbours of four: the directions' products sum to k - (4 - k) = 2 (k - 2)
        direction = self._direction(state).reshape(self.size, self.size)
        return (direction * neighbour_sum(direction) / 2).reshape(-1)


def _arrow(side: int) -> jax.Array:
    """Returns an arrow upwards in the middle of a cell, as coverage [side, side]."""
    blank, start, end = drawing.canvas(side, side, (0, 0, 0)), (side / 2, 0.8 * side), 0.2 * side
    return drawing.arrow(blank, start, (side / 2, end), (1, 1, 1), side / 12)[..., 0]


def torus_coordination(size: int = 3, *, max_steps: int = 100) -> TorusCoordination:
    """Returns the coordination game on a torus.

    Args:
      size: agents along a side, at least 3: on smaller tori neighbours coincide.
      max_steps: the time limit, at least 1. A step is a whole game; episodes are longer than that
        so that agents can see what their neighbours did the step before.

    Raises:
      ValueError: naming the argument.
    """
    require_torus(size)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    return TorusCoordination(size=size, max_steps=max_steps)
