"""Reference game: each agent knows where the other must go, and can only say so."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import features, goal_place, length, one_hot, relative
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import COLOURS, Picture, picture
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    require_share,
    settings,
)

NUM_LANDMARKS, NUM_WORDS = 3, 10


@struct.dataclass
class SimpleReference(ParticleWorld):
    """Two agents move and speak among three landmarks. The rest is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275. Memory: [2] int32, the landmark that agent i knows of and
    the *other* agent must reach.

    - groups: "agents" (2, team 0).
    - observation: [21], velocity, relative positions of the landmarks, colour of the landmark the
      other must reach (0.75 in its channel, else 0.25), the other's word of the step before (10).
    - action: Discrete(50) or Box(15): a move and one of 10 words.
    - reward: (1 - local_ratio) team + local_ratio own. Own: minus the distance of the other to the
      landmark it must reach; team: the mean of both.
    """

    local_ratio: float

    num_extra_draws = 2

    @property
    def roles(self) -> tuple[Role, ...]:
        return (Role("agents", 2, 21, num_words=NUM_WORDS),)

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return landmark, choice(draws, NUM_LANDMARKS)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        colour = 0.25 + 0.5 * one_hot(state.memory, NUM_LANDMARKS)
        landmarks = relative(state.position, state.landmark)
        return (features(state.velocity, landmarks, colour, state.message[::-1]),)

    def rewards(self, state: ParticleState) -> jax.Array:
        own = -length(state.position[::-1] - goal_place(state.landmark, state.memory))
        return (1 - self.local_ratio) * own.mean() + self.local_ratio * own

    def picture(self, state: ParticleState) -> Picture:
        goals = goal_place(state.landmark, state.memory[::-1])
        return picture(
            self.roles,
            self.bodies,
            landmark=jnp.array(COLOURS[:NUM_LANDMARKS]),
            links=(state.position, goals),
        )


def simple_reference(
    *,
    local_ratio: float = 0.5,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleReference:
    """Returns the world of two agents that tell each other where to go.

    Args:
      local_ratio: the share of the own reward in [0, 1], the rest is the team's.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_share("local_ratio", local_ratio)
    return SimpleReference(
        bodies=bodies((2,), (0.05,), (NUM_LANDMARKS,), (0.05,)),
        local_ratio=local_ratio,
        **settings(max_steps, actions, integration),
    )
