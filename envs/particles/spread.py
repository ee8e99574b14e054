"""Cooperative navigation: a team covers as many landmarks without running into each other."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.geometry import distances, features, relative, without_self
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import Picture, picture
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    ParticleWorld,
    Role,
    require_count,
    require_share,
    settings,
)

COVERED = 0.1  # from a landmark, where success ends the episode


@struct.dataclass
class SimpleSpread(ParticleWorld):
    """N agents and N landmarks. What all particle worlds share is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "cooperative navigation".

    - groups: "agents" (N, team 0).
    - observation: [6 N], velocity, position, relative positions of the landmarks and of the other
      agents, 2 (N - 1) zeros (the reference's words of silent agents).
    - reward: (1 - local_ratio) team + local_ratio own. Team: minus the distance of each landmark
      to the agent nearest to it, summed. Own: -1 for every other agent touched; in the legacy
      engine for oneself too, always.
    - termination: with `terminate_on_success`, an agent within 0.1 of every landmark.
    """

    local_ratio: float
    num_team: int = struct.field(pytree_node=False)
    terminate_on_success: bool = struct.field(pytree_node=False)

    @property
    def roles(self) -> tuple[Role, ...]:
        return (Role("agents", self.num_team, 6 * self.num_team),)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        others = without_self(relative(state.position, state.position))
        landmarks = relative(state.position, state.landmark)
        silence = jnp.zeros_like(others)
        return (features(state.velocity, state.position, landmarks, others, silence),)

    def rewards(self, state: ParticleState) -> jax.Array:
        team = -self._uncovered(state).sum()
        radius = self.bodies.radius[: self.num_team]
        touching = distances(state.position, state.position) < radius + radius[:, None]
        own = -(touching.sum(axis=1) - (0.0 if self.legacy else 1.0))  # oneself is always touched
        return (1 - self.local_ratio) * team + self.local_ratio * own

    def succeeded(self, state: ParticleState) -> jax.Array:
        return self.terminate_on_success & jnp.all(self._uncovered(state) < COVERED)

    def picture(self, state: ParticleState) -> Picture:
        return picture(self.roles, self.bodies, goal=np.ones(self.num_team))

    def _uncovered(self, state: ParticleState) -> jax.Array:
        return distances(state.position, state.landmark).min(axis=0)


def simple_spread(
    *,
    num_agents: int = 3,
    local_ratio: float = 0.5,
    terminate_on_success: bool = False,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleSpread:
    """Returns cooperative navigation.

    Args:
      num_agents: N, agents and landmarks.
      local_ratio: the share of the own reward in [0, 1], the rest is the team's.
      terminate_on_success: whether covering all landmarks ends the episode.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_agents", num_agents)
    require_share("local_ratio", local_ratio)
    return SimpleSpread(
        bodies=bodies((num_agents,), (0.15,), (num_agents,), (0.05,), solid=True),
        local_ratio=local_ratio,
        num_team=num_agents,
        terminate_on_success=terminate_on_success,
        **settings(max_steps, actions, integration),
    )
