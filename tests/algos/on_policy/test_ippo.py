"""IPPO in worlds with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, MixedGroups, OneBitMemory

from jaxmarl_core.algos import ippo
from jaxmarl_core.algos.on_policy.networks import Critic
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.learners.value_normalisation import denormalised
from jaxmarl_core.train import Schedule, make_train

SMALL = {"num_envs": 16, "rollout_length": 8, "num_minibatches": 2, "hidden": (16,)}


def trained(env, num_updates, num_seeds, config=SMALL, **hparams):
    """(states, metrics) of several seeds, evaluated greedily at the end."""
    algorithm = ippo(env, Config(**config))
    train, _ = make_train(algorithm, env, Schedule(num_updates, num_updates, 64, 10))
    given = {name: jnp.float32(value) for name, value in hparams.items()}
    keys = jax.random.split(jax.random.key(0), num_seeds)
    hparams = algorithm.hparams.replace(
        **{"learning_rate": jnp.float32(1e-2), "critic_learning_rate": jnp.float32(1e-2), **given}
    )
    return jax.jit(jax.vmap(train, (0, None)))(keys, hparams)


@pytest.mark.slow
def test_solves_coordination_on_8_of_8_seeds():
    _, metrics = trained(matrix_game("coordination"), 40, 8)
    np.testing.assert_array_equal(metrics["eval_return"][:, -1], 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stag", "hare", "reached"),
    [
        (5.0, 2.0, 5.0),  # worth the risk from even play, 5 / 2 > 2: the payoff-dominant optimum
        (4.0, 3.0, 3.0),  # not worth it, 4 / 2 < 3: independent learners settle on the safe one
    ],
)
def test_hunts_the_stag_where_even_play_makes_it_pay_on_8_of_8_seeds(stag, hare, reached):
    table = np.array([[stag, 0.0], [hare, hare]])
    _, metrics = trained(from_payoffs([table, table.T]), 40, 8)
    for player in range(2):
        np.testing.assert_array_equal(metrics[f"eval_return_player_{player}"][:, -1], reached)


@pytest.mark.slow
def test_learns_two_kinds_of_teams_at_once():
    """Discrete with a mask, and a Box: near the best of 8 and 0 (random play: 4 and -2.7)."""
    _, metrics = trained(MixedGroups(4), 40, 4, SMALL | {"rollout_length": 20}, entropy=0.0)
    assert (np.asarray(metrics["eval_return_sum_choosers"][:, -1]) > 7.5).all()
    assert (np.asarray(metrics["eval_return_aimer"][:, -1]) > -0.5).all()


@pytest.mark.slow
def test_memory_solves_what_a_feed_forward_policy_cannot():
    config = SMALL | {"num_envs": 32, "rollout_length": 12}
    _, without = trained(OneBitMemory(1), 80, 8, config)
    _, with_memory = trained(OneBitMemory(1), 80, 8, config | {"memory_size": 16})
    chance = np.asarray(without["eval_return"][:, -1])
    assert abs(chance.mean() - 0.5) < 0.1  # 512 episodes: over four standard deviations
    assert chance.max() < 0.75
    np.testing.assert_array_equal(with_memory["eval_return"][:, -1], 1)


@pytest.mark.parametrize(("truncate", "value"), [(True, 10.0), (False, 2.62882)])
def test_a_time_limit_is_no_end(truncate, value):
    """V of the one observation, gamma 0.9, lambda 1, whole episodes of 5 steps in each rollout.

    Cut off: 1 / (1 - 0.9). Ended: the mean of (1 - 0.9^k) / 0.1 over k = 1 ... 5, which is
    (1 + 1.9 + 2.71 + 3.439 + 4.0951) / 5.
    """
    env = ConstantReward(1, 5, truncate)
    config = {"num_envs": 4, "rollout_length": 6, "num_minibatches": 1, "hidden": (4,)}
    state, _ = trained(
        env, 150, 2, config, gamma=0.9, gae_lambda=1.0, clip=100.0, value_clip=1e6,
        max_grad_norm=100.0,
        learning_rate=3e-2, critic_learning_rate=3e-2,
    )  # fmt: skip
    critic = Critic(env.groups["agents"].observation, Config(**config))
    for seed in range(2):
        params = jax.tree.map(lambda x, seed=seed: x[seed], state.params.critics["agents"])
        _, v = critic.apply(params, (), jnp.zeros(1, jnp.int32))
        scale = jax.tree.map(lambda x, seed=seed: x[seed], state.critics.scale["agents"])
        np.testing.assert_allclose(denormalised(scale, v[0]), value, rtol=0.02)
