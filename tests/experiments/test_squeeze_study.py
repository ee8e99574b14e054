"""Where the learners of the Gaussian squeeze study begin, and what playing at random pays."""

import jax
import numpy as np
import pytest

from jaxmarl_core.experiments.studies import gaussian_squeeze


@pytest.mark.parametrize("num_agents", gaussian_squeeze.NUM_AGENTS)
def test_a_squeeze_begins_at_the_sum_that_is_said(num_agents):
    actions = np.arange(10)
    odds = np.exp(-gaussian_squeeze.reluctance(num_agents) * actions)
    np.testing.assert_allclose(odds @ actions / odds.sum() * num_agents, 200.0, rtol=1e-6)
    np.testing.assert_allclose(gaussian_squeeze.first_pay() * 423.03, 73.6, rtol=1e-3)


@pytest.mark.parametrize("name", gaussian_squeeze.NAMES)
@pytest.mark.fast("mfac", "fmq")
def test_every_learner_of_the_squeeze_draws_that_sum_at_first(name):
    """1000 agents with mean 0.2 and variance 0.24: a sum of 200, give or take 15 twice."""
    algorithm, given = gaussian_squeeze.learner(name, 1000)
    state = algorithm.init(jax.random.key(0), given)
    timestep = state.play.timestep
    if name != "fmq":
        timestep = jax.tree.map(lambda x: x[0], timestep)
    draw = lambda key: algorithm.policy.act(state.params, key, timestep, ())[0]["agents"].sum()
    sums = jax.vmap(draw)(jax.random.split(jax.random.key(1), 200))
    np.testing.assert_allclose(sums.mean(), 200.0, atol=4)


def test_play_at_random_squeezes_a_hundred_and_nothing_more():
    assert 380 < gaussian_squeeze.at_random(100) < 423
    assert gaussian_squeeze.at_random(500) < 1e-20
