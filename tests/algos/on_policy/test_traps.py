"""Games that trap shared policies and simultaneous updates, and the algorithms that escape.

Zhong et al., 2023, arXiv:2304.09870, propositions 4 and 5.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import happo, hatrpo, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train

SMALL = {"num_envs": 64, "rollout_length": 4, "num_minibatches": 1, "hidden": (8,)}
NUM_SEEDS = 20


def mean_reward(algorithm, env, num_updates, **hparams):
    """The team's expected reward after learning, in drawn play, [NUM_SEEDS]."""
    train, _ = make_train(algorithm, env, Schedule(num_updates, num_updates, 512, 2, greedy=False))
    hparams = {name: jnp.float32(value) for name, value in hparams.items()}
    keys = jax.random.split(jax.random.key(0), NUM_SEEDS)
    run = jax.jit(jax.vmap(lambda key: train(key, algorithm.hparams.replace(**hparams))[1]))
    return np.asarray(run(keys)["eval_return"][:, -1])


@pytest.mark.slow
@pytest.mark.parametrize("num_agents", [2, 4, 6])
def test_a_shared_policy_gets_two_in_two_to_the_n_and_heterogeneous_ones_all(num_agents):
    """Paid 1 where the first half plays 0 and the rest 1, or the reverse.

    The best policy that all share is uniform: 2 of 2^n joint actions are paid.
    """
    env = matrix_game("shared_policy_trap", num_agents=num_agents, penalty=0.0)
    shared = mean_reward(mappo(env, Config(**SMALL)), env, 100)
    bound = 2 / 2**num_agents
    assert shared.mean() < bound + 4 * (bound / 512 / NUM_SEEDS) ** 0.5
    if num_agents == 2:  # the others' optimum is rare enough to miss
        np.testing.assert_allclose(shared.mean(), bound, atol=0.05)
    options = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2}
    for build in (happo, hatrpo):
        given = options if build is happo else {"critic_learning_rate": 1e-2}
        found = mean_reward(build(env, Config(**SMALL)), env, 300, **given)
        assert (found > 0.95).sum() >= 19


@pytest.mark.slow
def test_simultaneous_best_replies_land_on_the_worst_and_sequential_ones_do_not():
    """Both play 0 with probability 0.7, and each one's best reply to that is 1.

    One large step of both at once leads to (1, 1), which pays -1; in turn the second sees what the
    first has changed and stays: (0, 1) or (1, 0), which pay 2. Even play pays 0.75.
    """
    env = matrix_game("simultaneous_update_trap")
    config = Config(
        num_envs=256, rollout_length=2, num_minibatches=1, num_epochs=40, hidden=(), share="none"
    )
    before = 0.7**2 * 0 + 2 * 0.7 * 0.3 * 2 - 0.3**2

    def after_one_step(algorithm):
        hp = algorithm.hparams.replace(
            **{"learning_rate": 0.3, "clip": 1e6, "entropy": 0.0, "max_grad_norm": 1e6}
        )

        def run(key):
            state = algorithm.init(key, hp)
            actors = jax.tree.map(jnp.zeros_like, state.params.actors)
            head = actors["agents"]["params"]["Dense_0"]
            odds = jnp.broadcast_to(jnp.log(jnp.array([0.7, 0.3])), (2, 2))
            actors = {"agents": {"params": {"Dense_0": head | {"bias": odds}}}}
            state = state.replace(params=state.params.replace(actors=actors))
            state, _ = algorithm.update(key, state, hp, jnp.int32(0))
            dense = state.params.actors["agents"]["params"]["Dense_0"]
            x, y = jax.nn.softmax(dense["bias"] + dense["kernel"][:, 0])  # the one observation
            return x @ env.payoffs[0] @ y

        return np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), NUM_SEEDS)))

    at_once = after_one_step(mappo(env, config))
    in_turn = after_one_step(happo(env, config))
    assert (at_once < -0.9).sum() >= 19 and before > 0.7
    assert (in_turn > 1.8).sum() >= 19
