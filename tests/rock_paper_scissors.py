"""The game that has no best pure strategy, and players of fixed mixed strategies. For tests."""

import jax
import numpy as np

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.types import Policy

RPS = matrix_game("rock_paper_scissors")
PAYOFF = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])  # to either player for its own action


def mixed(*groups):
    """Plays logits [A] in groups of a matrix game."""

    def act(params, key, timestep, memory):
        keys = jax.random.split(key, len(groups))
        return {
            name: jax.random.categorical(key, params, shape=(1,)) for name, key in zip(groups, keys)
        }, memory

    def greedy(params, key, timestep, memory):
        return {name: params.argmax(keepdims=True) for name in groups}, memory

    return Policy(lambda: (), act, greedy)
