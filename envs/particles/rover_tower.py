"""Rover-tower: towers see where rovers must go, rovers only hear their tower; pairs are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.geometry import features, goal_place, length, one_hot
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import BLUE, INK, Picture, picture
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    require_count,
    settings,
)


@struct.dataclass
class Pairs:
    """The memory of the world, drawn for each episode."""

    rover: jax.Array  # [P] int32, whom each tower speaks to, a permutation
    goal: jax.Array  # [P] int32, the landmark that this rover must reach


@struct.dataclass
class RoverTower(ParticleWorld):
    """P rovers, P towers and L landmarks. What all worlds share is told at `ParticleWorld`.

    Iqbal and Sha, 2019, arXiv:1810.02912, section 4.1 (their code's multi_speaker_listener).

    - groups: "rovers" (P, team 0), "towers" (P, team 0), in this order.
    - observation: rovers [P + W + 4], which tower is theirs, one-hot, what it said in the step
      before, position, velocity; towers [P + 4], which rover is theirs, one-hot, its position and
      that of its goal.
    - action: rovers move; towers say one of W words, Discrete(W) or Box(W).
    - reward: a rover and its tower, minus the squared distance d of the rover to its goal, and
      `arrival_reward` more where d < 1.5 (radius of rover + radius of landmark). (The squared
      distance is compared with a length, as in their code.)
    """

    arrival_reward: float
    num_pairs: int = struct.field(pytree_node=False)
    num_words: int = struct.field(pytree_node=False)

    @property
    def num_extra_draws(self) -> int:
        return 2 * self.num_pairs

    @property
    def roles(self) -> tuple[Role, ...]:
        pairs, words = self.num_pairs, self.num_words
        towers = Role("towers", pairs, pairs + 4, moves=False, num_words=words)
        return Role("rovers", pairs, pairs + words + 4), towers

    @property
    def num_agents(self) -> int:
        return 2 * self.num_pairs

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, Pairs]:
        order, goal = draws[: self.num_pairs], draws[self.num_pairs :]
        # The rank of a number among random numbers: a fair permutation without a sort. Equal ones
        # keep their order.
        index = np.arange(self.num_pairs)
        before = (order < order[:, None]) | ((order == order[:, None]) & (index < index[:, None]))
        rover = before.sum(axis=-1).astype(jnp.int32)
        return landmark, Pairs(rover, choice(goal, len(landmark)))

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        pairs, num = state.memory, self.num_pairs
        speaks_to = one_hot(pairs.rover, num)  # [tower, rover]
        heard = self._of_my_tower(pairs, state.message[num:])
        rover, goal = self._ends(state)
        return (
            features(speaks_to.T, heard, state.position[:num], state.velocity[:num]),
            features(speaks_to, rover, goal),
        )

    def rewards(self, state: ParticleState) -> jax.Array:
        rover, goal = self._ends(state)
        square = length(rover - goal) ** 2
        reach = 1.5 * (self.bodies.radius[0] + self.bodies.radius[-1])
        tower = -square + jnp.where(square < reach, self.arrival_reward, 0.0)
        return jnp.concatenate([self._of_my_tower(state.memory, tower[:, None])[:, 0], tower])

    def picture(self, state: ParticleState) -> Picture:
        colours = np.repeat([BLUE, INK], self.num_pairs, axis=0)
        return picture(self.roles, self.bodies, agent=colours, links=self._ends(state))

    def _ends(self, state: ParticleState) -> tuple[jax.Array, jax.Array]:
        # For each tower: where its rover is and where it must go, [P, 2] both.
        pairs = state.memory
        rover = goal_place(state.position[: self.num_pairs], pairs.rover)
        return rover, goal_place(state.landmark, pairs.goal)

    def _of_my_tower(self, pairs: Pairs, facts: jax.Array) -> jax.Array:
        # Facts of towers [P, F] in the order of their rovers.
        mine = pairs.rover == jnp.arange(self.num_pairs)[:, None]  # [rover, tower]
        return jnp.sum(jnp.where(mine[..., None], facts, 0.0), axis=1)


def rover_tower(
    *,
    num_pairs: int = 4,
    num_landmarks: int = 6,
    num_words: int = 5,
    arrival_reward: float = 10.0,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "legacy",
) -> RoverTower:
    """Returns the world of rovers and towers.

    Args:
      num_pairs: P, rovers and as many towers.
      num_landmarks: L, at least 1.
      num_words: W, what a tower can say, at least 1.
      arrival_reward: for being near the goal, every step.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "legacy", which the paper's code is built on, or "mpe2", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_pairs", num_pairs)
    require_count("num_landmarks", num_landmarks)
    require_count("num_words", num_words)
    return RoverTower(
        bodies=bodies(
            (num_pairs, num_pairs),
            (0.075, 0.075),
            (num_landmarks,),
            (0.04,),
            acceleration=(1.5, 0.0),
            max_speed=1.0,
        ),
        arrival_reward=arrival_reward,
        num_pairs=num_pairs,
        num_words=num_words,
        **settings(max_steps, actions, integration),
    )
