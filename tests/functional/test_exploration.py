import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxmarl_core.functional import exploration

Q = np.array([1.0, 5.0, 5.0, 9.0], np.float32)
MASK = np.array([True, True, True, False])
NUM = 4000


def frequencies(choose, num_actions=4):
    """How often each action comes, over NUM keys."""
    actions = jax.jit(jax.vmap(choose))(jax.random.split(jax.random.key(3), NUM))
    return np.bincount(np.asarray(actions), minlength=num_actions)


def assert_distributed(counts, probs):
    """A chi-squared test at 0.001, and no count at all where the probability is 0."""
    probs = np.asarray(probs, np.float64)
    assert counts[probs == 0].sum() == 0
    possible = probs > 0
    if possible.sum() == 1:
        return
    expected = probs[possible] / probs[possible].sum() * NUM
    assert stats.chisquare(counts[possible], expected).pvalue > 0.001


def test_greedy_golden(variant):
    greedy = variant(exploration.greedy)
    assert greedy(Q) == 3
    assert greedy(Q, MASK) == 1  # the first of two equals
    assert greedy(Q, np.zeros(4, bool)) == 0
    assert greedy(Q).dtype == jnp.int32


def test_greedy_takes_leading_axes():
    q = np.arange(12).reshape(2, 2, 3) % 5
    np.testing.assert_array_equal(exploration.greedy(q.astype(np.float32)), q.argmax(-1))


def test_epsilon_greedy_probs_golden(variant):
    # three legal actions share 0.3: 0.1 each, and the greedy one has 0.7 more
    probs = variant(exploration.epsilon_greedy_probs)(Q, np.float32(0.3), MASK)
    np.testing.assert_allclose(probs, [0.1, 0.8, 0.1, 0.0], rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all legal", "masked"])
def test_epsilon_greedy_draws_from_its_probs(epsilon, mask):
    counts = frequencies(lambda key: exploration.epsilon_greedy(key, Q, epsilon, mask))
    assert_distributed(counts, exploration.epsilon_greedy_probs(Q, epsilon, mask))


def test_draw_follows_its_weights():
    weights = np.array([0.0, 3.0, 0.0, 1.0, 4.0, 0.0], np.float32)  # need not sum to 1
    counts = frequencies(lambda key: exploration.draw(key, weights), 6)
    assert_distributed(counts, weights / 8)


def test_draw_never_takes_what_has_no_probability():
    # many actions, so that the running sum is rounded at every step
    keys = jax.random.split(jax.random.key(0), 200)
    probs = jax.random.uniform(jax.random.key(1), (500, 300))
    probs = jnp.where(jax.random.bernoulli(jax.random.key(2), 0.05, probs.shape), probs, 0)
    actions = jax.jit(jax.vmap(exploration.draw, (0, None)))(keys, probs)
    assert (np.take_along_axis(np.asarray(probs), np.asarray(actions).T, axis=1) > 0).all()
    assert exploration.draw(keys[0], jnp.zeros(3)) == 0


def test_uniform_over_legal_actions():
    mask = np.array([False, True, False, True, True])
    counts = frequencies(lambda key: exploration.uniform(key, mask), 5)
    assert_distributed(counts, mask / 3)


def test_boltzmann_probs_golden(variant):
    # exp(1/2), exp(5/2), exp(5/2) over their sum
    probs = variant(exploration.boltzmann_probs)(Q, np.float32(2.0), MASK)
    weights = np.exp([0.5, 2.5, 2.5])
    np.testing.assert_allclose(probs, [*(weights / weights.sum()), 0], rtol=1e-5)


def test_boltzmann_probs_limits():
    cold = exploration.boltzmann_probs(Q, 0.0, MASK)
    np.testing.assert_allclose(cold, [0, 0.5, 0.5, 0], atol=1e-6)
    hot = exploration.boltzmann_probs(Q, 1e9, MASK)
    np.testing.assert_allclose(hot, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    none = exploration.boltzmann_probs(Q, 1.0, np.zeros(4, bool))
    np.testing.assert_allclose(none, np.full(4, 0.25))


def test_boltzmann_gradient_is_finite():
    slope = jax.grad(lambda q: exploration.boltzmann_probs(q, 0.5, MASK)[1])(Q)
    assert np.isfinite(slope).all()
    assert slope[3] == 0


@pytest.mark.parametrize("mask", [None, MASK], ids=["all legal", "masked"])
def test_boltzmann_draws_from_its_probs(mask):
    counts = frequencies(lambda key: exploration.boltzmann(key, Q, 3.0, mask))
    assert_distributed(counts, exploration.boltzmann_probs(Q, 3.0, mask))


def test_the_dead_always_get_action_zero():
    none = np.zeros(4, bool)
    for choose in (exploration.epsilon_greedy, exploration.boltzmann):
        counts = frequencies(lambda key, choose=choose: choose(key, Q, 1.0, none))
        np.testing.assert_array_equal(counts, [NUM, 0, 0, 0])


def test_one_epsilon_per_agent():
    q = jnp.broadcast_to(Q, (3, 4))
    epsilon = jnp.array([0.0, 0.5, 1.0])
    probs = exploration.epsilon_greedy_probs(q, epsilon)
    np.testing.assert_allclose(probs[:, 3], [1.0, 0.625, 0.25])
    assert exploration.epsilon_greedy(jax.random.key(0), q, epsilon).shape == (3,)
    assert exploration.boltzmann(jax.random.key(0), q, epsilon).shape == (3,)


def test_gaussian_noise_has_its_scale_and_bounds():
    action = jnp.full((NUM,), 2.0)
    noisy = exploration.gaussian_noise(jax.random.key(0), action, 0.5)
    assert stats.kstest(np.asarray(noisy), stats.norm(2, 0.5).cdf).pvalue > 0.001
    clipped = exploration.gaussian_noise(jax.random.key(0), action, 0.5, 1.9, 2.1)
    np.testing.assert_allclose(clipped, np.clip(noisy, 1.9, 2.1))


def test_schedules_golden(variant):
    linear, exponential = variant(exploration.linear), variant(exploration.exponential)
    one, tenth = np.float32(1.0), np.float32(0.01)
    for fraction, straight, curved in [
        (-1, 1, 1),
        (0.5, 0.505, 0.1),
        (1, 0.01, 0.01),
        (9, 0.01, 0.01),
    ]:
        np.testing.assert_allclose(linear(one, tenth, np.float32(fraction)), straight, rtol=1e-5)
        np.testing.assert_allclose(exponential(one, tenth, np.float32(fraction)), curved, rtol=1e-5)
