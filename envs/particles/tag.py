"""Predator-prey: slow predators hunt fast prey between obstacles."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    beyond,
    distances,
    everyone,
    features,
    relative,
    without_self,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.world import (
    BAD,
    ParticleState,
    ParticleWorld,
    Role,
    require_count,
    settings,
)


@struct.dataclass
class SimpleTag(ParticleWorld):
    """A adversaries hunt G agents among O obstacles. The rest is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "predator-prey".

    - groups: "adversaries" (A, team 1), "agents" (G, team 0), in this order.
    - observation: velocity, position, relative positions of the obstacles and of all others,
      velocities of the (other) agents: [2 + 2 + 2 O + 2 (A + G - 1) + 2 G] for adversaries, 2 less
      for agents.
    - reward: adversaries share `capture_reward` for every pair (agent, adversary) that touch;
      an agent pays it for every adversary that touches it, and for leaving the square
      (`geometry.beyond`).
    """

    capture_reward: float
    num_good: int = struct.field(pytree_node=False)
    num_adversaries: int = struct.field(pytree_node=False)

    landmark_spread = 0.9

    @property
    def roles(self) -> tuple[Role, ...]:
        agent = 2 + 2 * self.bodies.num_obstacles + 2 * (self.num_adversaries + 2 * self.num_good)
        return (
            Role("adversaries", self.num_adversaries, agent, BAD, common_reward=True),
            Role("agents", self.num_good, agent - 2),
        )

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        first = self.num_adversaries
        others = without_self(relative(state.position, state.position))
        landmarks = relative(state.position, state.landmark)
        known = features(state.velocity, state.position, landmarks, others)
        prey = state.velocity[first:]
        prey_of_prey = without_self(everyone(prey, self.num_good))
        return features(known[:first], everyone(prey, first)), features(known[first:], prey_of_prey)

    def rewards(self, state: ParticleState) -> jax.Array:
        first, radius = self.num_adversaries, self.bodies.radius
        reach = radius[first : self.num_agents, None] + radius[:first]
        touching = distances(state.position[first:], state.position[:first]) < reach
        caught = self.capture_reward * touching.sum(axis=1)
        pay = -caught - beyond(state.position[first:])
        return jnp.concatenate([everyone(caught.sum(), first), pay])


def simple_tag(
    *,
    num_good: int = 1,
    num_adversaries: int = 3,
    num_obstacles: int = 2,
    capture_reward: float = 10.0,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleTag:
    """Returns predator-prey.

    Args:
      num_good: prey, at least 1.
      num_adversaries: predators, at least 1.
      num_obstacles: large bodies in the way, 0 or more.
      capture_reward: for a touch, to the predators and off the prey.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_good", num_good)
    require_count("num_adversaries", num_adversaries)
    require_count("num_obstacles", num_obstacles, 0)
    return SimpleTag(
        bodies=bodies(
            (num_adversaries, num_good),
            (0.075, 0.05),
            (num_obstacles,),
            (0.2,),
            acceleration=(3.0, 4.0),
            max_speed=(1.0, 1.3),
            solid=True,
            num_obstacles=num_obstacles,
        ),
        capture_reward=capture_reward,
        num_good=num_good,
        num_adversaries=num_adversaries,
        **settings(max_steps, actions, integration),
    )
