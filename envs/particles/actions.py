"""Actions of the particle worlds: a push in the plane, a word said, or both at once."""

import jax
import jax.numpy as jnp

from jaxmarl_core.envs.particles.geometry import one_hot
from jaxmarl_core.spaces import Box, Discrete, Space, discrete

NUM_MOVES = 5  # stay, left, right, down, up


def action_space(moves: bool, num_words: int, continuous: bool) -> Space:
    """Returns the space of an agent that moves, speaks (`num_words` above 0) or does both."""
    if continuous:
        return Box((NUM_MOVES * moves + num_words,), 0.0, 1.0)
    return Discrete((NUM_MOVES if moves else 1) * max(num_words, 1))


def decode(
    action: jax.Array, moves: bool, num_words: int, continuous: bool, legacy: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns what actions of n agents mean: the throttle [n, 2] in [-1, 1] and the words [n, W].

    Discrete: `action % 5` moves, `action // 5` is the word; for agents that only speak the action
    is the word. Continuous: five numbers for the throttle (right minus left, up minus down; the
    first is idle), then the words as they are. The legacy engine takes continuous left for right
    and down for up. Actions out of range are clipped to it.
    """
    if continuous:
        action = jnp.clip(action, 0, 1)
        words = action[:, NUM_MOVES * moves :].astype(float)
        if not moves:
            return jnp.zeros((len(action), 2)), words
        throttle = (action[:, 2:5:2] - action[:, 1:4:2]).astype(float)
        return (-throttle if legacy else throttle), words
    space = discrete(action_space(moves, num_words, continuous), "particles", "agents")
    action = jnp.clip(action, 0, space.num_values - 1)
    if not moves:
        return jnp.zeros((len(action), 2)), one_hot(action, num_words)
    move = action % NUM_MOVES
    throttle = [1.0 * (move == 2) - (move == 1), 1.0 * (move == 4) - (move == 3)]
    return jnp.stack(throttle, axis=-1).astype(float), one_hot(action // NUM_MOVES, num_words)
