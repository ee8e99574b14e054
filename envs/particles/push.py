"""Keep-away: an agent heads for its landmark, an adversary pushes it away."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    distances,
    everyone,
    features,
    goal_place,
    one_hot,
    relative,
    without_self,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import GREEN, Picture, picture
from jaxmarl_core.envs.particles.world import (
    BAD,
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    settings,
)

NUM_LANDMARKS = 2
LANDMARK_COLOURS = ((0.1, 0.9, 0.1), (0.1, 0.1, 0.9))


@struct.dataclass
class SimplePush(ParticleWorld):
    """One agent, one adversary, two landmarks. The rest is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "keep-away". Memory: the goal landmark, [] int32.

    - groups: "adversary" (1, team 1), "agents" (1, team 0), in this order.
    - observation: the agent [19], velocity, relative position of the goal, own colour (0.25, but
      0.75 in the channel of the goal), relative positions of the landmarks, their colours, relative
      position of the adversary; the adversary [8], velocity, relative positions of the landmarks
      and of the agent.
    - reward: the agent, minus its distance to the goal; the adversary, the agent's distance minus
      its own.
    """

    num_extra_draws = 1

    @property
    def roles(self) -> tuple[Role, ...]:
        return Role("adversary", 1, 8, BAD), Role("agents", 1, 19)

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return landmark, choice(draws[0], NUM_LANDMARKS)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        landmarks = relative(state.position, state.landmark)
        others = without_self(relative(state.position, state.position))
        goal = goal_place(state.landmark, state.memory) - state.position
        colour = 0.25 + 0.5 * one_hot(state.memory + 1, 3)
        colours = everyone(jnp.array(LANDMARK_COLOURS), 1)
        adversary = features(state.velocity, landmarks, others)[:1]
        agent = features(
            state.velocity[1:], goal[1:], colour[None], landmarks[1:], colours, others[1:]
        )
        return adversary, agent

    def rewards(self, state: ParticleState) -> jax.Array:
        goal = goal_place(state.landmark, state.memory)
        adversary, agent = distances(state.position, goal[None])[:, 0]
        return jnp.stack([agent - adversary, -agent])

    def picture(self, state: ParticleState) -> Picture:
        colours = jnp.array([GREEN, (110, 150, 205)])
        goal = one_hot(state.memory, NUM_LANDMARKS)
        return picture(self.roles, self.bodies, landmark=colours, goal=goal)


def simple_push(
    *, max_steps: int = 25, actions: str = "discrete", integration: str = "mpe2"
) -> SimplePush:
    """Returns keep-away, one against one.

    Args:
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    return SimplePush(
        bodies=bodies((1, 1), (0.05, 0.05), (NUM_LANDMARKS,), (0.05,), solid=True),
        **settings(max_steps, actions, integration),
    )
