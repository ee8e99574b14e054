from math import exp

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.mean_field.gaussian_squeeze import gaussian_squeeze, optimum, squeeze


def enumerated(num_agents, num_actions, mu, sigma):
    pays = [
        total * exp(-((total - mu) ** 2) / sigma**2)
        for total in range(num_agents * (num_actions - 1) + 1)
    ]
    return int(np.argmax(pays)), max(pays)


@pytest.mark.parametrize(
    ("num_agents", "num_actions", "mu", "sigma"),
    [
        (100, 10, 400.0, 200.0),
        (500, 10, 400.0, 200.0),
        (1000, 10, 400.0, 200.0),
        (20, 10, 400.0, 200.0),  # the best is out of reach: all give all
        (10, 3, 0.0, 3.0),
        (30, 2, -20.0, 15.0),
        (7, 4, 5.5, 0.3),
        (40, 5, 77.0, 100.0),
    ],
)
def test_optimum_against_all_sums(num_agents, num_actions, mu, sigma):
    best, value = optimum(num_agents, num_actions, mu, sigma)
    expected, expected_value = enumerated(num_agents, num_actions, mu, sigma)
    assert best == expected
    assert value == pytest.approx(expected_value, rel=1e-12)


def test_optimum_of_the_paper():
    best, value = optimum(100)
    assert best == 445
    assert value == pytest.approx(423.03, abs=0.005)


@pytest.mark.parametrize("num_agents", [100, 500, 1000])
def test_everyone_earns_g_of_the_sum(num_agents):
    env = gaussian_squeeze(num_agents)
    state, _ = env.reset(jax.random.key(0))
    action = np.random.default_rng(num_agents).integers(0, 10, num_agents)
    action[num_agents // 10 :] //= 6  # 0 or 1: sums stay near mu
    _, timestep = jax.jit(env.step)(jax.random.key(1), state, {"agents": jnp.asarray(action)})
    x = float(action.sum())
    expected = x * exp(-((x - 400) ** 2) / 200**2)
    np.testing.assert_allclose(timestep.reward["agents"], expected, rtol=1e-5)
    assert timestep.extras["sum"] == x
    np.testing.assert_allclose(timestep.state, np.bincount(action, minlength=10) / num_agents)


def test_mean_action_leaves_oneself_out():
    env = gaussian_squeeze(5, num_actions=3)
    state, first = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(first.mean_action["agents"], 0)
    action = np.array([0, 2, 2, 1, 0])
    _, timestep = env.step(jax.random.key(1), state, {"agents": jnp.asarray(action)})
    for i in range(5):
        others = np.delete(action, i)
        expected = np.bincount(others, minlength=3) / 4
        np.testing.assert_allclose(timestep.mean_action["agents"][i], expected, atol=1e-6)
    asked = env.mean_action(state, {"agents": jnp.asarray(action)})
    np.testing.assert_array_equal(asked["agents"], timestep.mean_action["agents"])
    told = env.mean_action_at(first, {"agents": jnp.asarray(action)})
    np.testing.assert_array_equal(asked["agents"], told["agents"])


def test_the_best_joint_action_is_paid_the_optimum():
    env = gaussian_squeeze()
    state, _ = env.reset(jax.random.key(0))
    best, value = optimum(100)
    action = jnp.full(100, best // 100).at[: best % 100].add(1)
    _, timestep = env.step(jax.random.key(1), state, {"agents": action})
    np.testing.assert_allclose(timestep.reward["agents"], value, rtol=1e-6)


def test_mu_and_sigma_are_swept():
    env = gaussian_squeeze(10)
    state, _ = env.reset(jax.random.key(0))
    actions = {"agents": jnp.full(10, 4)}

    def paid(mu, sigma):
        return env.replace(mu=mu, sigma=sigma).step(jax.random.key(1), state, actions)[1].reward

    mu, sigma = jnp.array([40.0, 30.0]), jnp.array([5.0, 10.0])
    reward = jax.jit(jax.vmap(paid))(mu, sigma)["agents"]
    np.testing.assert_allclose(reward[:, 0], [40.0, 40 * exp(-1)], rtol=1e-6)


def test_far_away_it_pays_nothing_and_stays_finite():
    assert squeeze(jnp.float32(9000.0), 400.0, 1e-3) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_agents": 1}, "num_agents: expected at least 2, got 1"),
        ({"num_actions": 1}, "num_actions: expected at least 2, got 1"),
        ({"sigma": 0.0}, "sigma: expected above 0, got 0.0"),
        ({"sigma": -1.0}, "sigma: expected above 0"),
        ({"mu": float("nan")}, "mu: expected a finite number, got nan"),
        ({"max_steps": 0}, "max_steps: expected at least 1"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        gaussian_squeeze(**options)
