"""Losses and gradients of policies that climb a Q, against NumPy in double precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from jaxmarl_core.functional.distributions import SquashedNormal, perturbed_one_hot
from jaxmarl_core.functional.exploration import ornstein_uhlenbeck
from jaxmarl_core.functional.q_policies import (
    smoothed,
    soft_policy_loss,
    squashed_draw,
    temperature_loss,
    twin_target,
)

RNG = np.random.default_rng(0)
MEAN, LOG_STD, NOISE = RNG.normal(size=(3, 5, 2))


def test_a_squashed_draw_has_the_density_of_its_transformation(variant):
    action, log_prob = variant(squashed_draw)(*map(jnp.float32, (MEAN, LOG_STD, NOISE)))
    x = MEAN + np.exp(LOG_STD) * NOISE
    wanted = stats.norm.logpdf(x, MEAN, np.exp(LOG_STD)) - np.log(1 - np.tanh(x) ** 2)
    np.testing.assert_allclose(action, np.tanh(x), rtol=2e-6)
    np.testing.assert_allclose(log_prob, wanted.sum(-1), rtol=1e-4)
    known = SquashedNormal(jnp.float32(MEAN), jnp.float32(LOG_STD), -1.0, 1.0).log_prob(action)
    np.testing.assert_allclose(log_prob, known, rtol=1e-3, atol=1e-3)  # through an inverse


def test_a_squashed_draw_far_out_stays_finite():
    action, log_prob = squashed_draw(jnp.array([40.0]), jnp.array([0.0]), jnp.array([0.0]))
    # log N(0) less log(1 - tanh^2(40)) = 2 log 2 - 80
    np.testing.assert_allclose(log_prob, -0.5 * np.log(2 * np.pi) - 2 * np.log(2) + 80, rtol=1e-6)
    assert action[0] == 1.0


def test_a_smoothed_action_moves_by_no_more_than_the_clip_and_stays_inside(variant):
    action, noise = jnp.array([0.0, 0.9, -0.9, 0.0]), jnp.array([1.0, 1.0, -9.0, 9.0])
    found = variant(lambda a, z: smoothed(a, z, 0.2, 0.5))(action, noise)
    # 0 + 0.2;  0.9 + 0.2, cut at the bound;  -0.9 - 0.5, cut;  0 + 1.8, clipped to 0.5
    np.testing.assert_allclose(found, [0.2, 1.0, -1.0, 0.5], rtol=1e-6)


def test_targets_take_the_lower_critic_and_pay_for_entropy(variant):
    reward, discount = jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0])
    q, bonus = jnp.array([[3.0, 7.0], [4.0, 5.0]]), jnp.array([0.4, 0.1])
    # 1 + 0.5 (3 + 0.4);  the end: 2
    np.testing.assert_allclose(variant(twin_target)(reward, discount, q, bonus), [2.7, 2.0])
    np.testing.assert_allclose(twin_target(reward, discount, q[1:]), [3.0, 2.0])  # DDPG's


def test_the_gradient_of_a_soft_policy_is_that_of_its_parts():
    """d/dmean of alpha log p(a) + w . a by differences of NumPy's figure in double precision."""
    weight, alpha = np.array([0.7, -1.3]), 0.3

    def figure(mean):
        x = mean + np.exp(LOG_STD) * NOISE
        log_prob = stats.norm.logpdf(NOISE) - LOG_STD - np.log(1 - np.tanh(x) ** 2)
        return (alpha * log_prob.sum(-1) - np.tanh(x) @ weight).mean()

    def ours(mean):
        action, log_prob = squashed_draw(mean, jnp.float32(LOG_STD), jnp.float32(NOISE))
        return soft_policy_loss(log_prob, action @ jnp.float32(weight), alpha).mean()

    value, slope = jax.value_and_grad(ours)(jnp.float32(MEAN))
    np.testing.assert_allclose(value, figure(MEAN), rtol=1e-5)
    for at in np.ndindex(MEAN.shape):
        step = np.zeros_like(MEAN)
        step[at] = 1e-5
        wanted = (figure(MEAN + step) - figure(MEAN - step)) / 2e-5
        np.testing.assert_allclose(slope[at], wanted, rtol=1e-3, atol=1e-5)


def test_a_temperature_rises_while_the_policy_is_too_sure():
    log_prob, target = jnp.array([1.0, -3.0]), jnp.array([2.0, 2.0])
    slope = jax.grad(lambda t: temperature_loss(t, log_prob, target).mean())(jnp.float32(0.5))
    # - mean of (1 + 2, -3 + 2): entropy -1 is wanted to be 2, and descent raises log alpha
    np.testing.assert_allclose(slope, -1.0)


def test_ornstein_uhlenbeck_noise_has_the_variance_and_memory_of_the_process():
    rate, scale = 0.15, 0.2
    noise = jax.random.normal(jax.random.key(0), (20_000,))
    step = lambda x, z: (ornstein_uhlenbeck(x, z, rate, scale),) * 2
    path = np.asarray(jax.lax.scan(step, jnp.float32(0), noise)[1], np.float64)
    # an autoregression: variance scale^2 / (1 - 0.85^2), neighbours correlated by 0.85
    np.testing.assert_allclose(path.var(), scale**2 / (1 - (1 - rate) ** 2), rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(path[1:], path[:-1])[0, 1], 1 - rate, atol=0.02)


def test_perturbed_one_hots_are_softmax_and_its_jacobian():
    (logits, noise), temperature = RNG.normal(size=(2, 4)), 0.7
    mask = np.array([True, True, False, True])
    z = np.where(mask, (logits + noise) / temperature, -np.inf)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    jacobian = (np.diag(p) - np.outer(p, p)) / temperature  # of a softmax, by the logits

    def draw(straight_through, logits):
        noise_32 = jnp.float32(noise)
        return perturbed_one_hot(logits, noise_32, temperature, mask, straight_through)

    for straight_through, wanted in ((False, p), (True, np.eye(4)[p.argmax()])):
        one = partial(draw, straight_through)
        np.testing.assert_allclose(one(jnp.float32(logits)), wanted, atol=1e-6)
        slope = jax.jacobian(one)(jnp.float32(logits))
        np.testing.assert_allclose(slope, jacobian, rtol=1e-4, atol=1e-6)
