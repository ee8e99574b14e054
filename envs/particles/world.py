"""The particle worlds' one engine: everything but what a scenario is about.

Mordatch and Abbeel, 2017, arXiv:1703.04908; Lowe et al., 2017, arXiv:1706.02275 (MPE). Two engines
of it are in use, and published numbers depend on which:

- "mpe2" (mpe2 1.x, PettingZoo from 1.24, JaxMARL): positions move with the old velocity, so an
  action shows one step later; an agent never collides with itself.
- "legacy" (OpenAI's MPE, PettingZoo up to 1.22; the MADDPG, MAPPO and HARL papers): velocity first;
  in simple_spread every agent counts as colliding with itself, a constant -1 a step before
  `local_ratio`; continuous actions mean the opposite direction.
"""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.actions import action_space, decode
from jaxmarl_core.envs.particles.physics import Bodies, move
from jaxmarl_core.envs.particles.render import Picture, draw, picture
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Actions, Group, Key, Pytree, StateEnvironment, TimeStep

GOOD, BAD = 0, 1  # teams
ENGINES = {"mpe2": False, "legacy": True}
ACTIONS = {"discrete": False, "continuous": True}


class Role(NamedTuple):
    """A group of agents alike; the groups' order is the order of all arrays of agents."""

    name: str
    size: int
    num_seen: int  # length of an observation
    team: int = GOOD
    moves: bool = True
    num_words: int = 0  # it can say; 0 for the silent
    common_reward: bool = False  # whether all are always paid the same


@struct.dataclass
class ParticleState:
    """Where everything is. Agents stand in the order of the groups."""

    position: jax.Array  # [N, 2]
    velocity: jax.Array  # [N, 2]
    message: jax.Array  # [N, W], said in the last step; 0 at the start and for the silent
    landmark: jax.Array  # [L, 2]
    memory: Pytree  # what else the scenario keeps: goals, pairs, treasures; () for none
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class ParticleWorld(StateEnvironment):
    """A particle world; a scenario says who is in it, what they see and what they earn.

    All scenarios share this; team 0 is the good side, team 1 its adversaries.

    - observation: {group: [n, F] f32}, unbounded; see the scenario for its order. Relative
      positions are (their place - mine).
    - action: Discrete(5) (stay, left, right, down, up), Discrete(W) for agents that only speak,
      Discrete(5 W) for those that do both (`a % 5` moves, `a // 5` is said); or, continuous,
      Box(0, 1) of 5, W or 5 + W numbers. Out of range is clipped. See `actions`.
    - reward: {group: [n] f32}, of the state arrived at.
    - termination: none: `max_steps` sets `last` and leaves discount at 1. With
      `terminate_on_success`, where a scenario has it, success before that ends the episode.
    - state: [sum n F] f32, all observations, in the order of the groups.

    Bodies in the very same place do not push each other (the reference divides 0 by 0).
    """

    bodies: Bodies
    max_steps: int = struct.field(pytree_node=False)
    continuous: bool = struct.field(pytree_node=False)
    legacy: bool = struct.field(pytree_node=False)

    # What a scenario writes: its roles, and these.

    @property
    @abstractmethod
    def roles(self) -> tuple[Role, ...]:
        """Who plays."""

    @abstractmethod
    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        """Returns [n, F] for every role."""

    @abstractmethod
    def rewards(self, state: ParticleState) -> jax.Array:
        """Returns [N]."""

    # What it may change.

    num_extra_draws = 0  # uniform numbers that `begin` needs
    landmark_spread = 1.0  # landmarks start in [-spread, spread]^2

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, Pytree]:
        """Returns landmarks [L, 2] and memory at the start, from landmarks spread uniformly.

        `draws` is [num_extra_draws], uniform in [0, 1).
        """
        return landmark, ()

    def events(self, key: Key, state: ParticleState) -> ParticleState:
        """Returns the state after what happens once all have moved."""
        return state

    def succeeded(self, state: ParticleState) -> jax.Array:
        """Returns whether the task is done and the episode over, [] bool."""
        return jnp.bool_(False)

    def picture(self, state: ParticleState) -> Picture:
        """Returns how to draw what is in the world."""
        return picture(self.roles, self.bodies)

    # What follows from it.

    @property
    def num_agents(self) -> int:
        """N."""
        return sum(role.size for role in self.roles)

    @property
    def num_landmarks(self) -> int:
        """L."""
        return len(self.bodies.radius) - self.num_agents

    @property
    def groups(self) -> Mapping[str, Group]:
        return {
            role.name: Group(
                role.size,
                Box((role.num_seen,)),
                action_space(role.moves, role.num_words, self.continuous),
                role.team,
                role.common_reward,
            )
            for role in self.roles
        }

    def initial(self, key: Key) -> ParticleState:
        """Returns a state drawn at random: agents in [-1, 1]^2, at rest and silent."""
        num, num_places = self.num_agents, self.num_agents + self.num_landmarks
        # One flat draw: on a CPU more than twice as fast as one of shape [..., 2].
        draws = jax.random.uniform(key, (2 * num_places + self.num_extra_draws,), float)
        place = 2 * draws[: 2 * num_places].reshape(num_places, 2) - 1
        landmark, memory = self.begin(place[num:] * self.landmark_spread, draws[2 * num_places :])
        num_words = max(role.num_words for role in self.roles)
        return ParticleState(
            position=place[:num],
            velocity=jnp.zeros((num, 2)),
            message=jnp.zeros((num, num_words)),
            landmark=landmark,
            memory=memory,
            time=jnp.int32(0),
        )

    def advance(self, key: Key, state: ParticleState, actions: Actions) -> ParticleState:
        """Returns the state after one step; the key serves scenarios with random events."""
        throttle, message = self._decoded(actions, state.message.shape[-1])
        position, velocity = move(
            self.bodies, state.position, state.velocity, state.landmark, throttle, self.legacy
        )
        moved = dataclasses.replace(
            state, position=position, velocity=velocity, message=message, time=state.time + 1
        )
        return self.events(key, moved)

    def observe(self, state: ParticleState) -> TimeStep:
        """Returns the time step of a state."""
        observations = self.observations(state)
        begun = state.time > 0
        time_is_up = state.time >= self.max_steps
        ended = begun & ~time_is_up & self.succeeded(state)
        alive = jnp.ones(self.num_agents, bool)
        return TimeStep(
            observation=dict(zip(self.groups, observations)),
            action_mask={},
            alive=self.by_group(alive),
            state=jnp.concatenate([rows.reshape(-1) for rows in observations]),
            reward=self.by_group(jnp.where(begun, self.rewards(state), 0.0)),
            discount=self.by_group(jnp.where(ended, 0.0, alive.astype(jnp.float32))),
            last=time_is_up | ended,
        )

    def render(self, state: ParticleState) -> jax.Array:
        """Returns an image [H, W, 3] uint8 of the plane, and of what was said below it."""
        return draw(self.roles, self.bodies, state, self.picture(state))

    def by_group(self, per_agent: jax.Array) -> dict[str, jax.Array]:
        """Returns rows [N, ...] as {group: [n, ...]}."""
        ends = np.cumsum([role.size for role in self.roles])[:-1]
        return dict(zip((role.name for role in self.roles), jnp.split(per_agent, ends)))

    def _decoded(self, actions: Actions, num_words: int) -> tuple[jax.Array, jax.Array]:
        throttle, message = [], []
        for role in self.roles:
            motion, words = decode(
                actions[role.name], role.moves, role.num_words, self.continuous, self.legacy
            )
            throttle.append(motion)
            message.append(words if role.num_words else jnp.zeros((role.size, num_words)))
        return jnp.concatenate(throttle), jnp.concatenate(message)


def choice(draw: jax.Array, num: int) -> jax.Array:
    """Returns one of `num` by a uniform number in [0, 1), int32."""
    return jnp.minimum(jnp.floor(draw * num), num - 1).astype(jnp.int32)


def settings(max_steps: int, actions: str, integration: str) -> dict[str, Any]:
    """Returns what every scenario is built with, checked.

    Raises:
      ValueError: naming the argument.
    """
    require_count("max_steps", max_steps)
    return {
        "max_steps": max_steps,
        "continuous": lookup(ACTIONS, actions, "actions"),
        "legacy": lookup(ENGINES, integration, "integration"),
    }


def require_count(field: str, count: Any, least: int = 1, most: int | None = None) -> None:
    """Raises ValueError unless `count` is an integer in `least`..`most`."""
    expected = f"an integer of at least {least}" if most is None else f"in {least}..{most}"
    fits = isinstance(count, int) and not isinstance(count, bool) and count >= least
    fits = fits and (most is None or count <= most)
    require(fits, field, expected, count)


def require_share(field: str, share: float) -> None:
    """Raises ValueError unless `share` is in [0, 1]."""
    require(0 <= share <= 1, field, "a share in [0, 1]", share)
