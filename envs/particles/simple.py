"""Going there: one agent walks to a landmark; the particle world to try things in."""

import jax
from flax import struct

from jaxmarl_core.envs.particles.geometry import distances, features, relative
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import Picture, picture
from jaxmarl_core.envs.particles.world import ParticleState, ParticleWorld, Role, settings


@struct.dataclass
class Simple(ParticleWorld):
    """One agent and a landmark. What all particle worlds share is told at `ParticleWorld`.

    - groups: "agents" (1, team 0).
    - observation: [4], velocity, the landmark's relative position.
    - reward: -(distance to the landmark)^2.
    """

    @property
    def roles(self) -> tuple[Role, ...]:
        return (Role("agents", 1, 4),)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        return (features(state.velocity, relative(state.position, state.landmark)),)

    def rewards(self, state: ParticleState) -> jax.Array:
        return -(distances(state.position, state.landmark)[:, 0] ** 2)

    def picture(self, state: ParticleState) -> Picture:
        return picture(self.roles, self.bodies, goal=[1.0])


def simple(*, max_steps: int = 25, actions: str = "discrete", integration: str = "mpe2") -> Simple:
    """Returns the world of one agent and one landmark.

    Args:
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    return Simple(
        bodies=bodies((1,), (0.05,), (1,), (0.05,)), **settings(max_steps, actions, integration)
    )
