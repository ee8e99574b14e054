"""Covert communication: Alice tells Bob a secret in the open; Eve listens without their key."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import one_hot
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import COLOURS, Picture, picture
from jaxmarl_core.envs.particles.world import (
    BAD,
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    settings,
)

NUM_SECRETS, NUM_WORDS = 2, 4


@struct.dataclass
class SimpleCrypto(ParticleWorld):
    """Three agents who only speak. What all particle worlds share is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "covert communication". Memory: [2] int32, the secret and
    the key, each 0 or 1.

    - groups: "eve" (1, team 1), "bob" (1, team 0), "alice" (1, team 0), in this order.
    - observation: Alice [8], secret and key, one-hot of 4 each; Bob [8], the key and what Alice
      said in the step before; Eve [4], what Alice said.
    - action: one of 4 words, Discrete(4) or Box(4). Bob's and Eve's are their guesses.
    - reward, with e the squared distance of a guess from the secret one-hot (0 if all zero):
      Eve -e(Eve), Alice and Bob e(Eve) - e(Bob).
    """

    num_extra_draws = 2

    @property
    def roles(self) -> tuple[Role, ...]:
        speaks = {"moves": False, "num_words": NUM_WORDS}
        return (
            Role("eve", 1, 4, BAD, **speaks),
            Role("bob", 1, 8, **speaks, common_reward=True),
            Role("alice", 1, 8, **speaks, common_reward=True),
        )

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return landmark, choice(draws, NUM_SECRETS)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        secret, key = one_hot(state.memory, NUM_WORDS)
        said = state.message[2]
        bob, alice = jnp.concatenate([key, said]), jnp.concatenate([secret, key])
        return said[None], bob[None], alice[None]

    def rewards(self, state: ParticleState) -> jax.Array:
        guess = state.message[:2]
        error = jnp.sum((guess - one_hot(state.memory[0], NUM_WORDS)) ** 2, axis=-1)
        eve, bob = jnp.where(jnp.any(guess != 0, axis=-1), error, 0.0)
        return jnp.stack([-eve, eve - bob, eve - bob])

    def picture(self, state: ParticleState) -> Picture:
        # Where they stand means nothing: the landmarks are the secrets, the gold ring is the one.
        return picture(
            self.roles,
            self.bodies,
            landmark=jnp.array(COLOURS[:NUM_SECRETS]),
            goal=one_hot(state.memory[0], NUM_SECRETS),
        )


def simple_crypto(
    *, max_steps: int = 25, actions: str = "discrete", integration: str = "mpe2"
) -> SimpleCrypto:
    """Returns covert communication.

    Args:
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`; nobody moves, so it makes no difference here.

    Raises:
      ValueError: naming the argument.
    """
    return SimpleCrypto(
        bodies=bodies((1, 1, 1), (0.05,) * 3, (NUM_SECRETS,), (0.05,), acceleration=0.0),
        **settings(max_steps, actions, integration),
    )
