"""PSRO with learners for oracles, in games whose NashConv is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rock_paper_scissors import PAYOFF, RPS

from jaxmarl_core.play.psro import Psro, filled, train_psro
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.solvers.population import Mixture


def learner(env):
    return make_algorithm("q_learning", env, rollout_length=200)


def hparams():
    return learner(RPS).hparams.replace(learning_rate=0.05, final_epsilon=1.0, epsilon=1.0)


def action_of(policy, group):
    """What parameters take greedily, as a function."""
    timestep = RPS.reset(jax.random.key(0))[1]

    @jax.jit
    def act(params):
        return policy.greedy(params, jax.random.key(0), timestep, policy.memory())[0][group][0]

    return act


def mixed(mixture, act):
    actions = [int(act(params)) for params in mixture.strategies]
    return np.bincount(actions, mixture.weights, 3)


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("meta_solver", ["nash", "prd"])
def test_it_finds_the_equilibrium_of_rock_paper_scissors(symmetric, meta_solver):
    options = Psro(num_iterations=5, num_updates=5, symmetric=symmetric, greedy=True,
                   meta_solver=meta_solver, num_episodes=16)  # fmt: skip
    for seed in range(4):
        found = train_psro(jax.random.key(seed), RPS, learner, options, hparams())
        acts = [action_of(p, f"player_{i}") for i, p in enumerate(found.policies)]
        row, column = (mixed(m, act) for m, act in zip(found.mixtures, acts))
        # what both gain by best replies; nothing but luck is missing where all three are in
        assert (PAYOFF @ column).max() + (PAYOFF @ row).max() < 0.05
        assert found.population.payoffs.shape[1] == 6
        np.testing.assert_allclose(found.population.payoffs.sum(0), 0, atol=1e-6)


@pytest.mark.slow
def test_rectified_learners_fill_a_population_as_far_as_there_is_room():
    options = Psro(num_iterations=4, num_updates=2, symmetric=True, greedy=True,
                   meta_solver="rectified_nash", num_episodes=8, capacity=5)  # fmt: skip
    found = train_psro(jax.random.key(0), RPS, learner, options, hparams())
    assert len(found.mixtures[0].strategies) <= 5


def test_places_are_filled_with_somebody_who_is_never_drawn():
    mixture = Mixture([{"w": jnp.ones(2)}, {"w": jnp.zeros(2)}], np.array([0.25, 0.75]))
    members, weights = filled(mixture, 4)
    assert members["w"].shape == (4, 2) and members["w"][1].tolist() == [0, 0]
    assert weights.tolist() == [0.25, 0.75, 0, 0]


@pytest.mark.parametrize(
    "field,value",
    [("num_iterations", 0), ("num_updates", 1.5), ("num_episodes", 0), ("meta_solver", "nahs"),
     ("capacity", -1)],
)  # fmt: skip
def test_options_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        Psro(**{field: value})
