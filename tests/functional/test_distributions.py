import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxmarl_core.functional import distributions
from jaxmarl_core.functional.distributions import (
    ClippedNormal,
    SquashedNormal,
    categorical,
    distribution,
    normal,
)
from jaxmarl_core.spaces import Box, Composite, Discrete

LOGITS = np.array([0.5, -1.0, 2.0, 3.0], np.float32)
MASK = np.array([True, True, True, False])
NUM = 4000


def softmax(x):
    weights = np.exp(np.asarray(x, np.float64))
    return weights / weights.sum()


def draws(pi):
    """NUM samples of a distribution without leading axes."""
    return np.asarray(jax.vmap(lambda key: pi.sample(seed=key))(keys()))


def keys():
    return jax.random.split(jax.random.key(5), NUM)


def test_import_is_quiet():
    # in a fresh process, as nothing is imported twice in this one
    code = "import jaxmarl_core.functional.distributions"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_categorical_against_scipy(variant):
    def numbers(logits):
        pi = categorical(logits)
        return pi.log_prob(jnp.arange(4)), pi.entropy(), pi.mode()

    log_prob, entropy, mode = variant(numbers)(LOGITS)
    p = softmax(LOGITS)
    np.testing.assert_allclose(log_prob, np.log(p), rtol=1e-5)
    np.testing.assert_allclose(entropy, stats.entropy(p), rtol=1e-5)
    assert mode == 3


def test_masked_categorical_is_the_categorical_over_what_is_legal(variant):
    def numbers(logits, mask):
        pi = categorical(logits, mask)
        return pi.probs, pi.entropy(), pi.mode()

    probs, entropy, mode = variant(numbers)(LOGITS, MASK)
    p = softmax(LOGITS[:3])
    np.testing.assert_allclose(probs, [*p, 0], rtol=1e-5)
    np.testing.assert_allclose(entropy, stats.entropy(p), rtol=1e-5)
    assert mode == 2


def test_categorical_samples():
    actions = draws(categorical(LOGITS, MASK))
    assert actions.dtype == np.int32
    counts = np.bincount(actions, minlength=4)
    assert counts[3] == 0
    assert stats.chisquare(counts[:3], softmax(LOGITS[:3]) * NUM).pvalue > 0.001


@pytest.mark.parametrize("mask", [MASK, np.zeros(4, bool), np.array([True, False, False, False])])
def test_masked_categorical_stays_finite(mask):
    def objective(logits):
        pi = categorical(logits, mask)
        return pi.entropy() + pi.log_prob(0) + pi.kl_divergence(categorical(logits + 1.0, mask))

    value, slope = jax.value_and_grad(objective)(LOGITS)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[~mask], 0)


def test_categorical_kl_golden():
    p, q = softmax([0, 1, 2]), softmax([1, 1, 0])
    kl = categorical(jnp.array([0.0, 1, 2])).kl_divergence(categorical(jnp.array([1.0, 1, 0])))
    np.testing.assert_allclose(kl, (p * np.log(p / q)).sum(), rtol=1e-5)


MEAN = np.array([0.3, -1.0], np.float32)
LOG_STD = np.array([-0.5, 0.4], np.float32)


def test_normal_against_scipy(variant):
    def numbers(mean, log_std, action):
        pi = normal(mean, log_std)
        return pi.log_prob(action), pi.entropy(), pi.mode()

    action = np.array([1.0, 0.5], np.float32)
    log_prob, entropy, mode = variant(numbers)(MEAN, LOG_STD, action)
    truth = stats.norm(MEAN, np.exp(LOG_STD))
    np.testing.assert_allclose(log_prob, truth.logpdf(action).sum(), rtol=1e-5)
    np.testing.assert_allclose(entropy, truth.entropy().sum(), rtol=1e-5)
    np.testing.assert_array_equal(mode, MEAN)


def test_normal_samples():
    actions = draws(normal(MEAN, LOG_STD))
    for i in range(2):
        truth = stats.norm(MEAN[i], np.exp(LOG_STD[i]))
        assert stats.kstest(actions[:, i], truth.cdf).pvalue > 0.001


def squashed_density(action, mean, std, low, high):
    """p(a) = N(x) |dx/da| by hand: x = atanh(u), u = (a - c) / h, dx/da = 1 / (h (1 - u^2))."""
    centre, half = (low + high) / 2, (high - low) / 2
    u = (action - centre) / half
    return stats.norm(mean, std).pdf(np.arctanh(u)) / (half * (1 - u**2))


@pytest.mark.parametrize(
    ("mean", "log_std"), [(0.0, 0.0), (0.7, -1.0), (-1.5, 0.6)], ids=["wide", "narrow", "aside"]
)
def test_squashed_normal_against_quadrature(mean, log_std):
    low, high = -3.0, 1.0
    pi = SquashedNormal(jnp.array([mean]), jnp.array([log_std]), low, high)
    std = np.exp(log_std)
    for action in (-2.5, -1.0, 0.4, 0.9):
        expected = np.log(squashed_density(action, mean, std, low, high))
        np.testing.assert_allclose(pi.log_prob(jnp.array([action])), expected, rtol=2e-4, atol=1e-4)

    # entropy = E[-log p(a)], integrated over x, where the integrand is smooth
    def integrand(x):
        return stats.norm(mean, std).pdf(x) * (
            -stats.norm(mean, std).logpdf(x) + np.log(2.0) + np.log1p(-(np.tanh(x) ** 2))
        )

    expected, _ = integrate.quad(integrand, mean - 8 * std, mean + 8 * std)
    np.testing.assert_allclose(pi.entropy(), expected, atol=2e-3)


def test_squashed_normal_samples_within_bounds():
    pi = SquashedNormal(jnp.array([0.7]), jnp.array([0.3]), -3.0, 1.0)
    actions = draws(pi)[:, 0]
    assert actions.min() > -3
    assert actions.max() < 1
    pre_image = np.arctanh((actions + 1) / 2)
    assert stats.kstest(pre_image, stats.norm(0.7, np.exp(0.3)).cdf).pvalue > 0.001
    np.testing.assert_allclose(pi.mode(), [-1 + 2 * np.tanh(0.7)], rtol=1e-6)


def test_squashed_normal_is_finite_at_its_bounds():
    def objective(mean, action):
        pi = SquashedNormal(mean, jnp.zeros(1), -1.0, 1.0)
        return pi.log_prob(action) + pi.entropy()

    for mean in (0.0, 50.0, -50.0):
        for action in (-1.0, 1.0, 0.0):
            value, slope = jax.value_and_grad(objective)(jnp.array([mean]), jnp.array([action]))
            assert np.isfinite(value), (mean, action)
            assert np.isfinite(slope).all(), (mean, action)


def test_squashed_kl_is_that_of_the_normals():
    first = SquashedNormal(jnp.array([0.0]), jnp.array([0.0]), -2.0, 1.0)
    other = SquashedNormal(jnp.array([1.0]), jnp.array([0.0]), -2.0, 1.0)
    np.testing.assert_allclose(first.kl_divergence(other), 0.5)  # (mean difference)^2 / 2


HEADS = {
    "discrete": (Discrete(4), 4),
    "bounded": (Box((2, 3), -1.0, 2.0), 6),
    "unbounded": (Box((3,)), 3),
    "scalar": (Box((), -1.0, 1.0), 1),
}


@pytest.mark.parametrize(("space", "size"), HEADS.values(), ids=HEADS.keys())
def test_distribution_fits_its_space(space, size):
    assert distributions.head_size(space) == size
    head = jax.random.normal(jax.random.key(0), (5, 2, size))
    log_std = None if isinstance(space, Discrete) else jnp.zeros(space.shape)

    @jax.jit
    def use(key, head):
        pi = distribution(space, head, log_std=log_std)
        action = pi.sample(seed=key)
        return action, pi.log_prob(action), pi.entropy(), pi.mode(), pi.kl_divergence(pi)

    action, log_prob, entropy, mode, divergence = use(jax.random.key(1), head)
    assert action.shape == mode.shape == (5, 2, *space.shape)
    assert action.dtype == mode.dtype == space.dtype
    assert log_prob.shape == entropy.shape == divergence.shape == (5, 2)
    assert space.contains(np.asarray(action))
    assert space.contains(np.asarray(mode))
    np.testing.assert_allclose(divergence, np.zeros((5, 2)), atol=1e-6)


def test_a_box_that_is_not_squashed_is_a_clipped_normal_in_the_box_s_units():
    """In [-3, 1] centre and half width are -1 and 2: density within, mass on the bounds, sum 1."""
    low, high, mean, std = -3.0, 1.0, 0.8, 0.5
    pi = distribution(
        Box((1,), low, high), jnp.array([mean]), None, jnp.log(jnp.array([std])), squash=False
    )
    assert isinstance(pi, ClippedNormal)
    loc, scale = -1 + 2 * mean, 2 * std
    log_prob = lambda x: float(pi.log_prob(jnp.array([x])))
    np.testing.assert_allclose(log_prob(0.3), stats.norm(loc, scale).logpdf(0.3), rtol=1e-5)
    np.testing.assert_allclose(log_prob(low), stats.norm(loc, scale).logcdf(low), rtol=1e-5)
    np.testing.assert_allclose(log_prob(high), stats.norm(loc, scale).logsf(high), rtol=1e-5)
    inside, _ = integrate.quad(lambda x: np.exp(log_prob(x)), low + 1e-6, high - 1e-6, limit=50)
    np.testing.assert_allclose(
        inside + np.exp(log_prob(low)) + np.exp(log_prob(high)), 1, rtol=1e-3
    )
    found = draws(pi)
    assert found.min() >= low and found.max() <= high
    on_bound = (found == high).mean()
    assert abs(on_bound - stats.norm(loc, scale).sf(high)) < 4 * np.sqrt(0.25 / NUM)
    assert float(pi.mode()[0]) == pytest.approx(min(loc, high))


def test_the_likelihood_of_a_clipped_action_has_the_gradient_of_what_was_drawn():
    """Over many draws, that of the action played averages to that of the normal draw behind it."""
    box, log_std = Box((1,), -1.0, 1.0), jnp.zeros(1)
    reward = lambda action: action.sum(-1)

    def gradient(mean, draw, clip):
        def log_prob(mean):
            pi = distribution(box, mean[None], None, log_std, squash=False)
            return pi.log_prob(clip(draw)) if clip else pi.base.log_prob(draw)

        return jax.grad(log_prob)(mean) * reward(jnp.clip(draw, -1, 1))

    draw = 0.7 + jax.random.normal(jax.random.key(0), (200_000, 1))
    over = jax.jit(lambda clip: jax.vmap(lambda x: gradient(jnp.float32(0.7), x, clip))(draw),
                   static_argnums=0)  # fmt: skip
    played, drawn = over(lambda x: jnp.clip(x, -1, 1)), over(None)
    np.testing.assert_allclose(
        played.mean(), drawn.mean(), atol=4 * float(drawn.std()) / 200_000**0.5
    )
    assert played.std() < drawn.std()


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_box_of_one_number_has_no_axis(squash, leading):
    head = jnp.zeros((*leading, 1))
    for log_std in (jnp.zeros(1), jnp.zeros((*leading, 1)), jnp.zeros(())):
        pi = distribution(Box((), -1.0, 1.0), head, None, log_std, squash=squash)
        action = pi.sample(seed=jax.random.key(0))
        assert action.shape == pi.log_prob(action).shape == pi.entropy().shape == leading


PARTS = Composite({"turn": Discrete(3), "force": Box((2, 2))})


def test_parts_are_drawn_apart_and_judged_together():
    """Log-density, entropy and KL are the sums of those of the parts' own distributions."""
    head, other = jax.random.normal(jax.random.key(0), (2, 5, 7))
    log_std = jnp.array([0.1, -0.2, 0.3, 0.0])
    mask = {"turn": jnp.array([True, False, True])}

    def parts(head):
        turn = distributions.categorical(head[..., :3], mask["turn"])
        force = distributions.normal(head[..., 3:].reshape(5, 2, 2), log_std.reshape(2, 2), 2)
        return turn, force

    together = distribution(PARTS, head, mask, log_std)
    apart, others = parts(head), parts(other)
    action = together.sample(seed=jax.random.key(1))
    assert action["turn"].shape == (5,) and action["force"].shape == (5, 2, 2)
    assert not (action["turn"] == 1).any()
    draws = (action["turn"], action["force"])
    expected = sum(pi.log_prob(x) for pi, x in zip(apart, draws))
    np.testing.assert_allclose(together.log_prob(action), expected, rtol=1e-6)
    expected = sum(pi.entropy() for pi in apart)
    np.testing.assert_allclose(together.entropy(), expected, rtol=1e-6)
    kl = together.kl_divergence(distribution(PARTS, other, mask, log_std))
    expected = sum(a.kl_divergence(b) for a, b in zip(apart, others))
    np.testing.assert_allclose(kl, expected, rtol=1e-6)
    np.testing.assert_array_equal(together.mode()["turn"], apart[0].mode())


def test_a_deviation_may_depend_on_the_state():
    head = jnp.zeros((5, 4))
    log_std = jax.random.normal(jax.random.key(0), (5, 4))
    pi = distribution(Box((2, 2)), head, log_std=log_std)
    expected = log_std.sum(1) + 2 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(pi.entropy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: distributions.head_size("two"), "action: expected"),
        (lambda: distribution(PARTS, jnp.zeros(7)), r"log_std: expected \[4\]"),
        (lambda: distribution(Discrete(3), LOGITS), r"head: expected \[..., 3\]"),
        (lambda: distribution(Box((4,)), LOGITS), r"log_std: expected \[4\]"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_relaxed_one_hot_draws_from_the_categorical():
    draw = jax.vmap(lambda key: distributions.relaxed_one_hot(key, LOGITS, 0.7, MASK))
    one_hots = np.asarray(draw(keys()))
    np.testing.assert_allclose(one_hots.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(one_hots.max(-1), 1, rtol=1e-6)
    counts = np.bincount(one_hots.argmax(-1), minlength=4)
    assert counts[3] == 0
    assert stats.chisquare(counts[:3], softmax(LOGITS[:3]) * NUM).pvalue > 0.001


def test_straight_through_has_the_gradient_of_the_relaxed_draw():
    def score(logits, straight_through):
        draw = distributions.relaxed_one_hot(
            jax.random.key(2), logits, 0.7, straight_through=straight_through
        )
        return draw @ jnp.arange(4.0)

    slope = jax.grad(score)
    np.testing.assert_allclose(slope(LOGITS, True), slope(LOGITS, False), rtol=1e-5)
    soft = distributions.relaxed_one_hot(jax.random.key(2), LOGITS, 0.7, straight_through=False)
    assert 0 < soft.max() < 1
