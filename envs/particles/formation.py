"""Formation control: a team arranges itself evenly on a circle around a landmark."""

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

CIRCLE = 0.5  # its radius


@struct.dataclass
class SimpleFormation(PlacesWorld):
    """N agents and a landmark. What all particle worlds share is told at `ParticleWorld`.

    Agarwal et al., 2019, arXiv:1906.01202. The N places lie evenly on the circle, the first in the
    direction of the agent with the smallest angle in [0, 2 pi); agents are given to places so that
    the distances sum to the least.

    - groups: "agents" (N, team 0).
    - observation: [6], velocity, position, the landmark's relative position.
    - reward: minus the mean distance of agents from their places, each counted up to 2.
    - termination: with `terminate_on_success`, all within 0.05 of their places.
    """

    landmark_spread = 0.5

    @property
    def roles(self) -> tuple[Role, ...]:
        return (Role("agents", self.num_team, 6, common_reward=True),)

    def places(self, state: ParticleState) -> jax.Array:
        """Returns the places to take, [N, 2]."""
        x, y = jnp.moveaxis(state.position - state.landmark[0], -1, 0)
        angle = jnp.arctan2(y, x)
        first = jnp.where(angle < 0, angle + 2 * np.pi, angle).min()
        turn = first + np.arange(self.num_team) * (2 * np.pi / self.num_team)
        return state.landmark[0] + CIRCLE * jnp.stack([jnp.cos(turn), jnp.sin(turn)], axis=-1)


def simple_formation(
    *,
    num_agents: int = 4,
    terminate_on_success: bool = False,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleFormation:
    """Returns the world of a team on a circle.

    Args:
      num_agents: N, at most 10 (the matching is exact, and doubles with each).
      terminate_on_success: whether being in formation ends the episode.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_agents", num_agents, 1, MOST)
    return SimpleFormation(
        bodies=bodies((num_agents,), (0.05,), (1,), (0.03,), solid=True),
        num_team=num_agents,
        terminate_on_success=terminate_on_success,
        **settings(max_steps, actions, integration),
    )
