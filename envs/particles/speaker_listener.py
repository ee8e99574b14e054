"""Cooperative communication: one knows where to go and speaks, the other listens and goes."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    everyone,
    features,
    goal_place,
    length,
    one_hot,
    relative,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import COLOURS, Picture, picture
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    settings,
)

NUM_LANDMARKS, NUM_WORDS = 3, 3


@struct.dataclass
class SimpleSpeakerListener(ParticleWorld):
    """A speaker, a listener and three landmarks. The rest is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "cooperative communication". Memory: the goal landmark,
    [] int32.

    - groups: "speaker" (1, team 0), "listener" (1, team 0), in this order.
    - observation: the speaker [3], the goal's colour (0.65 in its channel, else 0.15); the listener
      [11], velocity, relative positions of the landmarks, the word of the step before.
    - action: the speaker says one of 3 words, Discrete(3) or Box(3), and never moves; the listener
      moves.
    - reward: both, -(distance of the listener to the goal)^2.
    """

    num_extra_draws = 1

    @property
    def roles(self) -> tuple[Role, ...]:
        speaker = Role("speaker", 1, 3, moves=False, num_words=NUM_WORDS, common_reward=True)
        return speaker, Role("listener", 1, 11, common_reward=True)

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return landmark, choice(draws[0], NUM_LANDMARKS)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        colour = 0.15 + 0.5 * one_hot(state.memory, NUM_LANDMARKS)
        landmarks = relative(state.position[1:], state.landmark)
        return colour[None], features(state.velocity[1:], landmarks, state.message[:1])

    def rewards(self, state: ParticleState) -> jax.Array:
        away = state.position[1] - goal_place(state.landmark, state.memory)
        return everyone(-(length(away) ** 2), 2)

    def picture(self, state: ParticleState) -> Picture:
        goal = goal_place(state.landmark, state.memory)
        return picture(
            self.roles,
            self.bodies,
            landmark=jnp.array(COLOURS[:NUM_LANDMARKS]),
            goal=one_hot(state.memory, NUM_LANDMARKS),
            links=(state.position[1:], goal[None]),
        )


def simple_speaker_listener(
    *, max_steps: int = 25, actions: str = "discrete", integration: str = "mpe2"
) -> SimpleSpeakerListener:
    """Returns cooperative communication.

    Args:
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    return SimpleSpeakerListener(
        bodies=bodies((1, 1), (0.075, 0.075), (NUM_LANDMARKS,), (0.04,), acceleration=(0.0, 5.0)),
        **settings(max_steps, actions, integration),
    )
