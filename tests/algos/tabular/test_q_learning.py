"""Independent Q-learning in worlds with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward

from jaxmarl_core.algos import q_learning
from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.algos.tabular.q_learning import rule
from jaxmarl_core.algos.tabular.rates import Values
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train


def trained(env, num_updates, num_seeds, **hparams):
    algorithm = q_learning(env, Config(32))
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hparams = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    return jax.jit(jax.vmap(train, (0, None)))(keys, hparams)[0].params.tables


def test_both_prisoners_defect_on_8_of_8_seeds():
    env = matrix_game("prisoners_dilemma")
    q = trained(env, 80, 8, final_epsilon=0.0, anneal_steps=1600.0)
    chosen = [int(a) for player in q.values() for a in np.argmax(player.q[:, 0, 0], axis=-1)]
    # the equilibrium, read off the payoffs: action 1 is better whatever the other does
    payoffs = np.asarray(env.payoffs)
    assert (payoffs[0, 1] > payoffs[0, 0]).all()
    assert (payoffs[1, :, 1] > payoffs[1, :, 0]).all()
    assert chosen == [1] * 16
    for player in q.values():  # and knows what it is worth
        np.testing.assert_allclose(player.q[:, 0, 0, 1], payoffs[0, 1, 1], atol=0.05)


@pytest.mark.parametrize(("truncate", "low", "high"), [(True, 9.9, 10.1), (False, 2.5, 4.6)])
def test_a_time_limit_is_no_end(truncate, low, high):
    """gamma 0.9: 1 / (1 - 0.9) if cut off; ended after 5 steps, about 1 / (1 - 0.9 * 4 / 5)."""
    q = trained(ConstantReward(1, 5, truncate), 60, 2)["agents"]
    best = np.asarray(q.q).max(-1)
    assert (best > low).all()
    assert (best < high).all()


def test_the_rule_by_hand():
    """q(1, 0) = 2; r = 1, gamma 0.5, best legal next 6: 2 + 0.1 (1 + 0.5 * 6 - 2) = 2.2."""
    learn = rule(GameInfo(0, 2, (2,), (0,), None)).learn
    entry, next_entry = (Values(jnp.array(q), ()) for q in ([2.0, 3.0], [6.0, 9.0]))
    hp = q_learning(matrix_game()).hparams.replace(learning_rate=0.1, gamma=0.5)
    every, one = jnp.array([True, True]), jnp.array([True, False])
    told = Transition(
        jnp.int32(1), jnp.int32(0), jnp.float32(1), jnp.float32(1), jnp.int32(0), None, every, one,
        jnp.int32(0), jax.random.key(0),
    )  # fmt: skip
    learned = lambda told: learn(entry, next_entry, told, hp)[0].q
    np.testing.assert_allclose(learned(told), [2.2, 3.0], rtol=1e-6)
    np.testing.assert_allclose(learned(told._replace(next_mask=every))[0], 2.35, rtol=1e-6)
    ended = learned(told._replace(discount=jnp.float32(0)))
    np.testing.assert_allclose(ended[0], 1.9, rtol=1e-6)  # 2 + 0.1 (1 - 2)
