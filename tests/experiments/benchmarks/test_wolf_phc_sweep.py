"""The sweep of WoLF-PHC over random games: what it measures, in games with known answers."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.experiments.benchmarks import wolf_phc_sweep as sweep


def test_regret_vanishes_where_an_action_dominates_and_stays_for_who_stands_still():
    """Both are paid 1 for action 1, whatever the other does; action 2, worth 9, is illegal.

    Regret is then the share of action 0 in the strategy: none after 200 rounds of climbing. One
    who stays where it started has that of a uniform draw on two actions' simplex, 1/2 in the mean.
    """
    payoffs = np.zeros((2, 3, 3), np.float32)
    payoffs[0, 1], payoffs[1, :, 1], payoffs[0, 2], payoffs[1, :, 2] = 1, 1, 9, 9
    legal = jnp.array([[True, True, False]] * 2)
    numbers = sweep.Hparams(learning_rate=0.2, other_win_step=0.0, other_lose_ratio=1.0)
    runs = jax.jit(jax.vmap(sweep.regrets, (None, None, 0, None)))
    found = runs(jnp.asarray(payoffs), legal, jax.random.split(jax.random.key(0), 200), numbers)
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-5)
    assert abs(float(found[:, 1].mean()) - 0.5) < 0.1


def test_games_are_of_both_sizes():
    _, legal = sweep.random_games(50)
    assert legal[:, :, :2].all()
    assert 0.2 < legal[:, :, 2].mean() < 0.8
