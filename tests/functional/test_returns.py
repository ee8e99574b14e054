import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional.off_policy import vtrace
from jaxmarl_core.functional.returns import (
    counterfactual_advantage,
    explained_variance,
    gae,
    lambda_returns,
    n_step,
    n_step_transition,
    one_by_one,
    over_trajectories,
    pair_by_pair,
    standardise,
    trajectory_terms,
)

# Three transitions, gamma 1/2, lambda 1/2, V(s_0..s_3) = 2, 4, 8, 16, rewards 1, 2, 3:
#   d_2 = 3 + 8 - 8 = 3        A_2 = 3
#   d_1 = 2 + 4 - 4 = 2        A_1 = 2 + 3/4 = 2.75
#   d_0 = 1 + 2 - 2 = 1        A_0 = 1 + 2.75/4 = 1.6875
REWARD = np.array([1, 2, 3], np.float32)
DISCOUNT = np.full(3, 0.5, np.float32)
VALUE = np.array([2, 4, 8], np.float32)
BOOTSTRAP = np.float32(16)
HALF = np.float32(0.5)


def random_trajectory(seed, length=12):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=(2, length))
    terminated = rng.random(length) < 0.2
    discount = np.where(terminated, 0.0, 0.9)
    # after a termination, or a time limit, the next transition is the one across the reset
    ended = terminated | (rng.random(length) < 0.2)
    valid = np.append(True, ~ended[:-1])
    return reward, discount, value, rng.normal(), valid


def lambda_return_loop(reward, discount, value, bootstrap, lam, valid):
    """G_t by its recursion, in float64."""
    values, returns = np.append(value, bootstrap), np.append(np.zeros(len(reward)), bootstrap)
    for t in reversed(range(len(reward))):
        ahead = (1 - lam) * values[t + 1] + lam * returns[t + 1]
        returns[t] = reward[t] + discount[t] * ahead if valid[t] else value[t]
    return returns[:-1]


def n_step_loop(reward, discount, value, bootstrap, n, valid):
    """G_t by its sum, in float64."""
    values, length = np.append(value, bootstrap), len(reward)
    returns = np.zeros(length)
    for t in range(length):
        k, weight = t, 1.0
        while k < min(t + n, length) and valid[k]:
            returns[t] += weight * reward[k]
            weight *= discount[k]
            k += 1
        returns[t] += weight * values[k]
    return returns


def test_gae_golden(variant):
    advantage = variant(gae)(REWARD, DISCOUNT, VALUE, BOOTSTRAP, HALF)
    np.testing.assert_allclose(advantage, [1.6875, 2.75, 3.0], rtol=1e-6)


def test_gae_nothing_flows_through_an_invalid_transition(variant):
    # s_1 ended its episode by a time limit: transition 1 is the reset. Transition 0 bootstraps
    # from V(s_1) = 4, the value of the final observation: A_0 = d_0 = 1, A_1 = 0, A_2 = 3.
    valid = np.array([True, False, True])
    advantage = variant(gae)(REWARD, DISCOUNT, VALUE, BOOTSTRAP, HALF, valid)
    np.testing.assert_allclose(advantage, [1.0, 0.0, 3.0], rtol=1e-6)


def test_gae_termination_ignores_the_value_behind_it(variant):
    # discount 0 at transition 0: A_0 = 1 - 2 = -1, whatever s_1 is worth
    discount = np.array([0, 0.5, 0.5], np.float32)
    valid = np.array([True, False, True])
    advantage = variant(gae)(REWARD, discount, VALUE, BOOTSTRAP, HALF, valid)
    np.testing.assert_allclose(advantage, [-1.0, 0.0, 3.0], rtol=1e-6)


@pytest.mark.fast("0", "7")
@pytest.mark.parametrize("length", [0, 1, 2, 7, 128])
def test_by_pairs_or_one_by_one(length):
    """What accelerators do, and processors; a loop in double precision is both."""
    rng = np.random.default_rng(length)
    delta, factor = rng.normal(size=length), np.clip(rng.normal(0.5, 0.5, size=length), 0, 1)
    valid = rng.random(length) < 0.8
    expected, later = np.zeros(length), 0.0
    for t in reversed(range(length)):
        later = delta[t] + factor[t] * later if valid[t] else 0.0
        expected[t] = later
    rows = [jnp.where(valid, jnp.asarray(x, jnp.float32), jnp.nan) for x in (delta, factor)]
    for function in (one_by_one, pair_by_pair):
        np.testing.assert_allclose(function(*rows, jnp.asarray(valid)), expected, atol=1e-5)


def test_no_number_of_another_episode_reaches_a_slope():
    """Row 2 leads nowhere: rows 0 and 1 do not hear of row 3's reward, nor of its slope."""
    delta, factor = jnp.array([0.5, -1.0, 0.0, jnp.nan, 1.0]), jnp.full(5, 0.5)
    valid = jnp.array([True, True, False, True, True])
    for function in (one_by_one, pair_by_pair):
        slope = jax.grad(lambda x, f=function: f(delta, x, valid)[:2].sum())(factor)
        np.testing.assert_allclose(slope, [-1.0, 0, 0, 0, 0], atol=1e-6)


def test_gae_is_blind_to_what_an_invalid_row_holds():
    reward = REWARD.copy()
    reward[1] = np.nan
    valid = np.array([True, False, True])
    advantage = gae(reward, DISCOUNT, VALUE, BOOTSTRAP, HALF, valid)
    np.testing.assert_allclose(advantage, [1.0, 0.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_lambda_returns_against_a_loop(seed, lam):
    reward, discount, value, bootstrap, valid = random_trajectory(seed)
    expected = lambda_return_loop(reward, discount, value, bootstrap, lam, valid)
    arrays = [jnp.asarray(x, jnp.float32) for x in (reward, discount, value, bootstrap, lam)]
    np.testing.assert_allclose(lambda_returns(*arrays, valid), expected, atol=1e-5)
    np.testing.assert_allclose(gae(*arrays, valid) + arrays[2], expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 3, 12, 50])
def test_n_step_against_a_loop(seed, n):
    reward, discount, value, bootstrap, valid = random_trajectory(seed)
    expected = n_step_loop(reward, discount, value, bootstrap, n, valid)
    arrays = [jnp.asarray(x, jnp.float32) for x in (reward, discount, value, bootstrap)]
    np.testing.assert_allclose(n_step(*arrays, n, valid), expected, atol=1e-5)


def test_n_step_golden(variant):
    # n = 2: G_0 = 1 + 2/2 + 8/4 = 4, G_1 = 2 + 3/2 + 16/4 = 7.5, G_2 = 3 + 16/2 = 11
    returns = variant(lambda *args: n_step(*args, 2))(REWARD, DISCOUNT, VALUE, BOOTSTRAP)
    np.testing.assert_allclose(returns, [4.0, 7.5, 11.0], rtol=1e-6)


def test_limits_meet():
    reward, discount, value, bootstrap, valid = random_trajectory(7)
    args = [jnp.asarray(x, jnp.float32) for x in (reward, discount, value, bootstrap)]
    np.testing.assert_allclose(
        lambda_returns(*args, 0.0, valid), n_step(*args, 1, valid), atol=1e-6
    )
    np.testing.assert_allclose(
        lambda_returns(*args, 1.0, valid), n_step(*args, 12, valid), atol=1e-5
    )


def test_n_step_says_what_is_wrong():
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        n_step(REWARD, DISCOUNT, VALUE, BOOTSTRAP, 0)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="discount: expected shape"):
        gae(REWARD, DISCOUNT[:2], VALUE, BOOTSTRAP, HALF)


def test_many_trajectories_are_each_what_it_is_alone():
    shape, rng = (12, 3, 2), np.random.default_rng(0)  # T, B, n
    reward, discount, value = rng.random((3, *shape))
    bootstrap, valid, lam = rng.random(shape[1:]), rng.random(shape) < 0.7, rng.random(shape[1:])
    found = over_trajectories(gae)(reward, discount, value, bootstrap, lam, valid)
    common = over_trajectories(n_step)(reward, discount, value, 0.5, 3, None)
    targets = over_trajectories(vtrace)(reward, discount, value, bootstrap, reward).target
    for b, i in np.ndindex(shape[1:]):
        terms = (reward[:, b, i], discount[:, b, i], value[:, b, i])
        expected = lambda_return_loop(*terms, bootstrap[b, i], lam[b, i], valid[:, b, i])
        np.testing.assert_allclose(found[:, b, i] + terms[2], expected, atol=1e-5)
        expected = n_step_loop(*terms, 0.5, 3, np.ones(12, bool))
        np.testing.assert_allclose(common[:, b, i], expected, atol=1e-5)
        expected = vtrace(*terms, bootstrap[b, i], terms[0]).target
        np.testing.assert_allclose(targets[:, b, i], expected, atol=1e-5)


def test_one_trajectory_is_one_of_many():
    expected = gae(REWARD, DISCOUNT, VALUE, BOOTSTRAP, HALF)
    found = over_trajectories(gae)(REWARD, DISCOUNT, VALUE, BOOTSTRAP, HALF)
    np.testing.assert_array_equal(found, expected)


def test_terms_of_many_trajectories():
    """Agents share their environment's ends; a discount may be one number."""
    reward = np.arange(24.0).reshape(4, 3, 2)
    last = np.zeros((4, 3), bool)
    last[1, 2] = True
    paid, discount, valid = trajectory_terms(reward, 0.9, last)
    np.testing.assert_array_equal(paid, reward[1:])
    np.testing.assert_allclose(discount, np.full((3, 3, 2), 0.9), rtol=1e-6)
    np.testing.assert_array_equal(np.argwhere(~np.asarray(valid)), [[1, 2, 0], [1, 2, 1]])


def test_trajectory_terms_of_an_endless_constant_reward():
    # Time steps of a world that pays 1 for ever and is cut off after two steps: the rows are
    # first, middle, last, first, middle, last. With V = 1 / (1 - gamma) everywhere no transition
    # has an advantage, the time limit included.
    last = np.array([False, False, True, False, False, True])
    reward = np.array([0, 1, 1, 0, 1, 1], np.float32)
    reward, discount, valid = trajectory_terms(reward, np.full(6, 0.9, np.float32), last)
    np.testing.assert_array_equal(valid, [True, True, False, True, True])
    advantage = gae(reward, discount, jnp.full(5, 10.0), jnp.float32(10), 0.95, valid)
    np.testing.assert_allclose(advantage, np.zeros(5), atol=1e-5)


def test_counterfactual_advantage_golden(variant):
    # baseline 0.25 * 4 + 0.75 * 8 = 7
    q, pi = np.array([4.0, 8.0], np.float32), np.array([0.25, 0.75], np.float32)
    advantage = variant(counterfactual_advantage)
    np.testing.assert_allclose(advantage(q, pi, np.int32(0)), -3.0)
    np.testing.assert_allclose(advantage(q, pi, np.int32(1)), 1.0)


def test_counterfactual_advantage_has_mean_zero_under_the_policy():
    q = jax.random.normal(jax.random.key(0), (5, 3, 4))
    pi = jax.nn.softmax(jax.random.normal(jax.random.key(1), (5, 3, 4)))
    each = jnp.stack(
        [counterfactual_advantage(q, pi, jnp.full((5, 3), a)) for a in range(4)], axis=-1
    )
    np.testing.assert_allclose((pi * each).sum(-1), np.zeros((5, 3)), atol=1e-6)


def test_standardise_golden(variant):
    # of 1, 3, (5 masked out), mean 2, deviation 1
    x, mask = np.array([1, 3, 5], np.float32), np.array([True, True, False])
    np.testing.assert_allclose(variant(standardise)(x, mask), [-1, 1, 0], atol=1e-4)


def test_standardise_limits():
    x = np.random.default_rng(0).normal(3, 7, size=(4, 50)).astype(np.float32)
    np.testing.assert_allclose(standardise(x), (x - x.mean()) / x.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(standardise(jnp.full(4, 3.0)), np.zeros(4))
    np.testing.assert_array_equal(standardise(jnp.array([np.nan, 2.0]), jnp.zeros(2, bool)), [0, 0])


def test_explained_variance_golden(variant):
    # targets 1, 3, 5 (and 9, which does not count): variance 8/3; errors 0, 1, -1: variance 2/3
    target, value = np.array([1, 3, 5, 9], np.float32), np.array([1, 2, 6, np.nan], np.float32)
    mask = np.array([True, True, True, False])
    np.testing.assert_allclose(variant(explained_variance)(value, target, mask), 0.75, rtol=1e-6)


def test_explained_variance_limits():
    target = jnp.array([1.0, 2.0, 6.0])
    every = jnp.ones(3, bool)
    np.testing.assert_allclose(explained_variance(target + 5, target, every), 1)
    np.testing.assert_allclose(explained_variance(jnp.full(3, 7.0), target, every), 0, atol=1e-6)
    np.testing.assert_allclose(explained_variance(-target, target, every), -3)
    assert explained_variance(target, jnp.ones(3), every) == 0  # nothing to explain
    assert explained_variance(target, target, ~every) == 0


def test_n_step_transition_golden(variant):
    # 1 + 2/2 + 4/4 = 3 over three steps, and 1/8 of what follows
    reward, discount = np.array([9, 1, 2, 4], np.float32), np.full(4, 0.5, np.float32)
    call = variant(n_step_transition)
    np.testing.assert_allclose(call(reward, discount, np.zeros(4, bool)), (3, 0.125, 3))
    # a time limit at row 2: two steps, and the value of that row; at row 0: none
    last = np.array([False, False, True, False])
    np.testing.assert_allclose(call(reward, discount, last), (2, 0.25, 2))
    last = np.array([True, False, False, False])
    np.testing.assert_allclose(call(reward, discount, last), (0, 1, 0))


@pytest.mark.fast("0", "3")
@pytest.mark.parametrize("seed", range(4))
def test_n_step_transition_gives_the_first_n_step_return(seed):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=(2, 6)).astype(np.float32)
    last = rng.random(6) < 0.3
    discount = np.where(last & (rng.random(6) < 0.5), 0, 0.9).astype(np.float32)
    total, weight, index = n_step_transition(reward, discount, last)
    terms = trajectory_terms(reward, discount, last)
    wanted = n_step(*terms[:2], value[:-1], value[-1], 5, terms[2])[0]
    np.testing.assert_allclose(total + weight * value[index], wanted, atol=1e-5)
