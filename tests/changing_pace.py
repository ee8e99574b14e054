"""A world in which the best learning rate moves: at first it changes often, then it is noisy."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Environment, Group, StateEnvironment, TimeStep

NUM_ACTIONS = 8


@struct.dataclass
class PaceState:
    good: jax.Array  # [] int32, the action that pays
    reward: jax.Array  # [] f32
    time: jax.Array  # [] int32


@struct.dataclass
class ChangingPace(StateEnvironment):
    """One of eight actions pays 1, the others 0; one long episode.

    For the first half of it another action is the good one every `period` steps, and pay is exact:
    who forgets slowly is always late. In the second half it stays, and pay is noisy: who forgets
    quickly believes the noise. Both halves count as much, so that any constant rate pays in one.
    """

    noise: float = 3.0
    period: int = struct.field(pytree_node=False, default=32)
    half: int = struct.field(pytree_node=False, default=4096)

    @property
    def groups(self):
        return {"seeker": Group(1, Discrete(1), Discrete(NUM_ACTIONS))}

    def initial(self, key):
        return PaceState(jnp.int32(0), jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        key_noise, key_move = jax.random.split(key)
        pays = (actions["seeker"][0] == state.good).astype(jnp.float32)
        is_late = state.time >= self.half
        noise = self.noise * is_late * jax.random.normal(key_noise)
        moves = ~is_late & ((state.time + 1) % self.period == 0)
        step = jax.random.randint(key_move, (), 1, NUM_ACTIONS)
        good = jnp.where(moves, (state.good + step) % NUM_ACTIONS, state.good)
        return PaceState(good, pays + noise, state.time + 1)

    def observe(self, state):
        nothing = jnp.zeros(1, jnp.int32)
        return TimeStep(
            observation={"seeker": nothing},
            action_mask={},
            alive={"seeker": jnp.ones(1, bool)},
            state=jnp.zeros(1),
            reward={"seeker": state.reward[None]},
            discount={"seeker": jnp.ones(1)},
            last=jnp.bool_(False),
        )


def changing_pace(noise: float = 3.0, period: int = 32, half: int = 4096) -> Environment:
    """Returns the world."""
    return ChangingPace(noise, period, half)
