"""V-trace and Retrace against the sums of their papers, in NumPy and float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional.off_policy import retrace, vtrace
from jaxmarl_core.functional.returns import lambda_returns

LENGTH = 9


def random_trajectory(seed):
    """Rewards, discounts, values of T + 1 states, ratios, and which transitions are the world's."""
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=LENGTH), rng.normal(size=LENGTH + 1)
    terminated = rng.random(LENGTH) < 0.2
    discount = np.where(terminated, 0.0, 0.9)
    ended = terminated | (rng.random(LENGTH) < 0.2)
    valid = np.append(True, ~ended[:-1])
    return reward, discount, value, rng.exponential(size=LENGTH), valid


def within(valid, t):
    """The transitions of t's episode from t on."""
    steps = []
    while t < LENGTH and valid[t]:
        steps.append(t)
        t += 1
    return steps


def vtrace_sum(reward, discount, value, ratio, valid, lam, max_ratio, max_trace):
    """Equation 1: v_s = V_s + sum_t gamma^(t-s) (prod c) rho_t (r_t + gamma V_{t+1} - V_t)."""
    target = value.copy()
    rho, trace = np.minimum(ratio, max_ratio), lam * np.minimum(ratio, max_trace)
    for s in range(LENGTH):
        weight = 1.0
        for t in within(valid, s):
            target[s] += weight * rho[t] * (reward[t] + discount[t] * value[t + 1] - value[t])
            weight *= discount[t] * trace[t]
    advantage = rho * (reward + discount * target[1:] - value[:-1])
    return target[:-1], np.where(valid, advantage, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("lam", "max_ratio", "max_trace"), [(1, 1, 1), (0.7, 1.5, 0.5), (0, np.inf, 1)]
)
def test_vtrace_is_the_sum_of_its_paper(variant, seed, lam, max_ratio, max_trace):
    reward, discount, value, ratio, valid = random_trajectory(seed)
    wanted = vtrace_sum(reward, discount, value, ratio, valid, lam, max_ratio, max_trace)
    call = lambda r, d, v, b, w, ok: vtrace(r, d, v, b, w, lam, max_ratio, max_trace, ok)
    terms = [jnp.asarray(x, jnp.float32) for x in (reward, discount, value[:-1], value[-1], ratio)]
    found = variant(call)(*terms, valid)
    for mine, theirs in zip(found, wanted):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_vtrace_of_ones_own_policy_is_a_lambda_return():
    reward, discount, value, _, valid = random_trajectory(5)
    terms = [jnp.asarray(x, jnp.float32) for x in (reward, discount, value[:-1], value[-1])]
    found = vtrace(*terms, np.ones(LENGTH), 0.8, valid=valid)
    np.testing.assert_allclose(found.target, lambda_returns(*terms, 0.8, valid), atol=1e-5)


def test_vtrace_by_hand():
    # r = 1, 2; discount 1/2; V = 0, 2, 4; ratios 2 and 1/2, cut off at 1:
    #   d_1 = 2 + 2 - 2 = 2, v_1 = 2 + 1/2 * 2 = 3
    #   d_0 = 1 + 1 - 0 = 2, v_0 = 0 + 2 + 1/2 (3 - 2) = 2.5
    #   advantages: 1 + 3/2 - 0 = 2.5,  1/2 (2 + 2 - 2) = 1
    found = vtrace([1, 2], [0.5, 0.5], [0, 2], 4, [2, 0.5])
    np.testing.assert_allclose(found.target, [2.5, 3])
    np.testing.assert_allclose(found.advantage, [2.5, 1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lam", [0, 0.7, 1])
def test_retrace_is_the_sum_of_its_paper(variant, seed, lam):
    """Equation 3: Q_s + sum_t gamma^(t-s) (prod_{i=s+1..t} c_i) (r_t + gamma E Q_{t+1} - Q_t)."""
    reward, discount, q, ratio, valid = random_trajectory(seed)
    q, next_value = q[:-1], np.random.default_rng(seed + 9).normal(size=LENGTH)
    wanted = q.copy()
    for s in range(LENGTH):
        weight = 1.0
        for t in within(valid, s):
            weight *= 1.0 if t == s else discount[t - 1] * lam * min(1, ratio[t])
            wanted[s] += weight * (reward[t] + discount[t] * next_value[t] - q[t])
    call = lambda r, d, q, v, w, ok: retrace(r, d, q, v, w, lam, ok)
    terms = [jnp.asarray(x, jnp.float32) for x in (reward, discount, q, next_value, ratio)]
    np.testing.assert_allclose(variant(call)(*terms, valid), wanted, atol=2e-5)


def test_what_an_invalid_row_holds_reaches_nothing():
    nan, valid = np.nan, [True, False, True]
    found = vtrace([1, nan, 1], [0.5, nan, 0.5], [0, 2, 0], 4, [1, nan, 1], valid=valid)
    np.testing.assert_allclose(found.target, [2, 2, 3])  # 1 + 2/2; V; 1 + 4/2
    np.testing.assert_allclose(found.advantage, [2, 0, 3])
    found = retrace([1, nan, 1], [0.5, nan, 0.5], [0, 7, 0], [2, nan, 4], [1, nan, 1], 1, valid)
    np.testing.assert_allclose(found, [2, 7, 3])
