"""The game that has no best pure strategy, and players of fixed mixed strategies. For tests."""

import jax
import jax.numpy as jnp
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


def update_by_update(algorithm, num_updates):
    """(states before and after each of so many updates, the metrics of each), of one program."""
    update = jax.jit(algorithm.update)
    states = [jax.jit(algorithm.init)(jax.random.key(0), algorithm.hparams)]
    told = []
    for i in range(num_updates):
        key = jax.random.fold_in(jax.random.key(1), i)
        state, metrics = update(key, states[-1], algorithm.hparams, jnp.int32(i))
        states.append(state)
        told.append(metrics)
    assert update._cache_size() == 1
    return states, told
