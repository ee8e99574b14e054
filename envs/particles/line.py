"""Line control: a team lines up evenly between two landmarks."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.matching import MOST
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.places import PlacesWorld
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    Role,
    require_count,
    settings,
)

LENGTH = 1.25  # between the landmarks
TURNS = 72  # directions that are tried, 5 degrees apart


@struct.dataclass
class SimpleLine(PlacesWorld):
    """N agents and two landmarks. What all particle worlds share is told at `ParticleWorld`.

    Agarwal et al., 2019, arXiv:1906.01202. Landmarks lie 1.25 apart, the first in [-0.25, 0.25]^2,
    the other in a random direction, turned by 5 degrees until it lies in (-1, 1)^2. The N places
    lie evenly from the first to the second; agents are given to places so that the distances sum
    to the least.

    - groups: "agents" (N, team 0).
    - observation: [8], velocity, position, the landmarks' relative positions.
    - reward: minus the mean distance of agents from their places, each counted up to 2.
    - termination: with `terminate_on_success`, all within 0.05 of their places.
    """

    landmark_spread = 0.25
    num_extra_draws = 1

    @property
    def roles(self) -> tuple[Role, ...]:
        return (Role("agents", self.num_team, 8, common_reward=True),)

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, tuple]:
        angle = 2 * np.pi * draws[0] + np.arange(TURNS) * (2 * np.pi / TURNS)
        ends = landmark[0] + LENGTH * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        fits = jnp.all(jnp.abs(ends) < 1, axis=-1)
        is_first = jnp.arange(TURNS) == jnp.argmax(fits)  # towards a corner one always fits
        end = jnp.sum(jnp.where(is_first[:, None], ends, 0.0), axis=0)
        return jnp.stack([landmark[0], end]), ()

    def places(self, state: ParticleState) -> jax.Array:
        """Returns the places to take, [N, 2]; a lone agent's is the first landmark."""
        first, second = state.landmark
        share = np.arange(self.num_team) / max(self.num_team - 1, 1)
        return first + share[:, None] * (second - first)


def simple_line(
    *,
    num_agents: int = 4,
    terminate_on_success: bool = False,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleLine:
    """Returns the world of a team in line.

    Args:
      num_agents: N, at most 10 (the matching is exact, and doubles with each).
      terminate_on_success: whether being in line ends the episode.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_agents", num_agents, 1, MOST)
    return SimpleLine(
        bodies=bodies((num_agents,), (0.03,), (2,), (0.02,), solid=True),
        num_team=num_agents,
        terminate_on_success=terminate_on_success,
        **settings(max_steps, actions, integration),
    )
