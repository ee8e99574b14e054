"""Runs of tabular learners side by side on one device, for the tests of stage-game learners."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.train import Schedule, make_train

ALWAYS_EXPLORE = {"epsilon": 1.0, "final_epsilon": 1.0}


def learned(algorithm, env, num_steps, num_seeds, unsolved=0.0, **hparams):
    """(tables by name, leaves [num_seeds, 1, S, ...]; metrics [num_seeds, updates]).

    At most a share `unsolved` of the stage games may have been left so.
    """
    train, _ = make_train(algorithm, env, Schedule(-(-num_steps // algorithm.env_steps)))
    hp = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    state, metrics = jax.jit(jax.vmap(train, (0, None)))(keys, hp)
    for name, share in metrics.items():
        if name.startswith("solver_failure"):
            assert share.mean() <= unsolved, name
    return state.params.tables, metrics


def play_greedily(algorithm, num_draws):
    """The state after one update at gamma 0, and greedy joint actions [N, num_draws] in it."""
    hp = algorithm.hparams.replace(gamma=0.0, **ALWAYS_EXPLORE)
    state = algorithm.init(jax.random.key(0), hp)
    state, _ = jax.jit(algorithm.update)(jax.random.key(1), state, hp, 0)

    @jax.jit
    @jax.vmap
    def greedy(key):
        actions, _ = algorithm.policy.greedy(state.params, key, state.play.timestep, ())
        return jnp.concatenate(list(actions.values()))

    return state, np.asarray(greedy(jax.random.split(jax.random.key(2), num_draws))).T


def start_of(env):
    """The number of the state in which every episode begins."""
    return int(env.encode(env.initial(jax.random.key(0))))
