import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional import losses


def f32(*values):
    return np.array(values, np.float32)


def test_masked_mean_golden(variant):
    masked_mean = variant(losses.masked_mean)
    np.testing.assert_allclose(masked_mean(f32(1, 3, 50), np.array([True, True, False])), 2.0)
    np.testing.assert_allclose(masked_mean(f32(1, 3, np.nan), np.array([True, True, False])), 2.0)
    np.testing.assert_allclose(masked_mean(f32(1, 3, 5), np.zeros(3, bool)), 0.0)
    np.testing.assert_allclose(masked_mean(f32(1, 3, 5)), 3.0)


def test_chosen_golden(variant):
    q = f32([1, 2], [3, 4], [5, 6])
    np.testing.assert_array_equal(variant(losses.chosen)(q, np.array([1, 0, 1])), [2, 3, 6])


def test_ppo_clip_golden(variant):
    # clip 0.2. A > 0: the gain stops at 1.2 A; below 0.8 it is not clipped (the minimum).
    # A < 0: the other way round.
    ratio, advantage = f32(1.5, 0.5, 1.5, 0.5, 1.1), f32(2, 2, -2, -2, 2)
    gain = variant(losses.ppo_clip)(ratio, advantage, np.float32(0.2))
    np.testing.assert_allclose(gain, [2.4, 1.0, -3.0, -1.6, 2.2], rtol=1e-6)


def test_ppo_clip_gradient_vanishes_only_where_the_ratio_has_gone_too_far():
    slope = jax.vmap(jax.grad(losses.ppo_clip), (0, 0, None))
    np.testing.assert_allclose(
        slope(f32(1.5, 0.5, 1.5, 0.5, 1.1), f32(2, 2, -2, -2, 2), 0.2), [0, 2, -2, 0, 2]
    )


def test_ppo_clip_without_a_clip_is_the_policy_gradient():
    ratio, advantage = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
    np.testing.assert_array_equal(
        losses.ppo_clip(ratio, advantage, jnp.inf), losses.policy_gradient(ratio, advantage)
    )


def test_policy_gradient_of_the_ratio_is_reinforce_at_the_old_policy():
    logits, action, advantage = f32(0.3, -1, 2), 1, 1.7

    def log_prob(logits):
        return jax.nn.log_softmax(logits)[action]

    def surrogate(x):
        return losses.policy_gradient(jnp.exp(log_prob(x) - log_prob(logits)), advantage)

    def reinforce(x):
        return losses.policy_gradient(log_prob(x), advantage)

    np.testing.assert_allclose(jax.grad(surrogate)(logits), jax.grad(reinforce)(logits), rtol=1e-5)


def test_huber_golden(variant):
    # delta 2: 1^2/2; 2^2/2 = 2 (1 * 2 also from the right); 2 (5 - 1) = 8, on either side
    error = f32(1, -2, 5, -5, 0)
    np.testing.assert_allclose(variant(losses.huber)(error, np.float32(2)), [0.5, 2, 8, 8, 0])


def test_huber_slope_is_the_clipped_error():
    error = f32(-5, -2, -1, 0, 1, 2, 5)
    slope = jax.vmap(jax.grad(losses.huber), (0, None))
    np.testing.assert_allclose(slope(error, 2.0), np.clip(error, -2, 2))
    np.testing.assert_allclose(slope(error, jnp.inf), error)


def test_clipped_value_golden(variant):
    # old 0, clip 1. v = 3, y = 5: unclipped (3-5)^2/2 = 2, clipped (1-5)^2/2 = 8 -> 8
    #                v = 3, y = 0: unclipped 4.5, clipped 0.5 -> 4.5
    loss = variant(losses.clipped_value)(f32(3, 3), f32(0, 0), f32(5, 0), np.float32(1))
    np.testing.assert_allclose(loss, [8.0, 4.5])


def test_clipped_value_without_a_clip_is_its_loss():
    value, old, target = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    np.testing.assert_allclose(
        losses.clipped_value(value, old, target, jnp.inf, losses.huber),
        losses.huber(value - target, 1.0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_targets_golden(variant):
    reward, discount = f32(1, 1), f32(0.5, 0)
    q, target_q = f32([1, 3], [1, 3]), f32([10, 20], [10, 20])
    first = np.array([[True, False], [True, False]])
    np.testing.assert_allclose(variant(losses.td_target)(reward, discount, f32(4, 4)), [3, 1])
    # 1 + max(1, 3) / 2; the second row terminated
    np.testing.assert_allclose(variant(losses.q_target)(reward, discount, q), [2.5, 1])
    np.testing.assert_allclose(variant(losses.q_target)(reward, discount, q, first), [1.5, 1])
    double = variant(losses.double_q_target)
    # the learner prefers action 1, which the target net values at 20
    np.testing.assert_allclose(double(reward, discount, q, target_q), [11, 1])
    np.testing.assert_allclose(double(reward, discount, q, target_q, first), [6, 1])


def test_targets_carry_no_gradient():
    slope = jax.grad(lambda q: losses.double_q_target(1.0, 0.9, q, q).sum())
    np.testing.assert_array_equal(slope(f32(1, 2)), [0, 0])


def test_values_where_nothing_is_legal_are_zero():
    q, none = f32([1, 2]), np.zeros((1, 2), bool)
    np.testing.assert_array_equal(losses.max_value(q, none), [0])
    np.testing.assert_array_equal(losses.double_q_value(q, q, none), [0])


@pytest.mark.parametrize("seed", range(3))
def test_double_q_never_exceeds_the_maximum_of_its_target_net(seed):
    q, target_q = np.random.default_rng(seed).normal(size=(2, 30, 5)).astype(np.float32)
    assert (losses.double_q_value(q, target_q) <= target_q.max(-1)).all()
    np.testing.assert_array_equal(losses.double_q_value(q, q), q.max(-1))


def test_mean_field_value_golden(variant):
    # 0.25 * 4 + 0.75 * 8
    np.testing.assert_allclose(variant(losses.mean_field_value)(f32(4, 8), f32(0.25, 0.75)), 7.0)


def test_entropy_golden(variant):
    entropy = variant(losses.entropy)
    np.testing.assert_allclose(entropy(f32(0.25, 0.25, 0.25, 0.25)), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(entropy(f32(0, 1, 0, 0)), 0.0)


def test_entropy_gradient_is_finite_at_the_corners():
    assert np.isfinite(jax.grad(losses.entropy)(f32(0, 1))).all()
