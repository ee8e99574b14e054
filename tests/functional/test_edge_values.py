"""Values at edges: far out, in low precision, where actions are illegal; of lists and integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.functional import (
    distributions,
    exploration,
    losses,
    off_policy,
    projections,
    returns,
)
from jaxmarl_core.spaces import Box, Composite, Discrete

INF = np.inf
KEY = jax.random.key(0)
FIRST_TWO, ONE, NONE = [True, True, False], [False, True, False], [False] * 3
PARTS = Composite({"move": Discrete(2), "aim": Box((2,), -1.0, 1.0)})


def test_projection_far_out():
    np.testing.assert_array_equal(projections.project([2e7, 0]), [1, 0])
    np.testing.assert_array_equal(projections.project([-1e30, 0]), [0, 1])
    np.testing.assert_allclose(projections.project([1e6, 1e6, 0]), [0.5, 0.5, 0])


def test_legal_actions_go_before_illegal_ones_whatever_they_are_worth():
    q, mask = jnp.array([0.0, -INF, -INF]), jnp.array([False, False, True])
    assert exploration.greedy(q, mask) == 2
    assert losses.double_q_value(q, jnp.array([1.0, 2.0, 3.0]), mask) == 3
    assert losses.max_value(q, mask) == -INF
    np.testing.assert_array_equal(exploration.epsilon_greedy_probs(q, 0.0, mask), [0, 0, 1])


def test_rows_that_share_a_mask_explore_by_themselves():
    q, mask = jnp.zeros((64, 4)), jnp.array([True, True, True, False])
    for choose in (exploration.epsilon_greedy, exploration.boltzmann):
        actions = np.asarray(choose(KEY, q, 1.0, mask))
        assert set(actions) == {0, 1, 2}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_every_action_is_drawn_in_low_precision(dtype):
    probs = jnp.full(300, 1 / 300, dtype)
    share = (jnp.arange(3000) + 0.5) / 3000
    actions = exploration.pick(share, jnp.broadcast_to(probs, (3000, 300)))
    np.testing.assert_array_equal(np.bincount(np.asarray(actions), minlength=300), 10)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_masks_in_low_precision(dtype):
    logits = jnp.array([1.0, 200.0, 3.0], dtype)
    for mask in (FIRST_TWO, ONE, NONE):
        pi = distributions.categorical(logits, jnp.array(mask))
        slope = jax.grad(lambda x, m=mask: distributions.categorical(x, jnp.array(m)).entropy())
        assert np.isfinite(np.asarray(pi.entropy(), np.float32))
        assert np.isfinite(np.asarray(slope(logits), np.float32)).all()
    assert exploration.greedy(logits, jnp.array(FIRST_TWO)) == 1
    assert losses.max_value(logits, jnp.array(ONE)) == 200


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_squashed_draws_have_a_density_in_any_precision(dtype):
    mean, log_std = jnp.zeros((4096, 1), dtype), jnp.zeros(1, dtype)
    pi = distributions.SquashedNormal(mean, log_std, -2.0, 2.0)
    action, log_prob = pi.sample_and_log_prob(seed=KEY)
    assert action.dtype == log_prob.dtype == dtype
    again = np.asarray(pi.log_prob(action), np.float32)
    log_prob = np.asarray(log_prob, np.float32)
    assert np.isfinite(again).all() and np.isfinite(log_prob).all()
    # the draw's own density, by the change of variables in float64
    x = np.arctanh(np.clip(np.asarray(action, np.float64)[:, 0] / 2, -0.9, 0.9))
    truth = -(x**2) / 2 - np.log(2 * np.pi) / 2 - np.log(2 * (1 - np.tanh(x) ** 2))
    inside = np.abs(np.asarray(action, np.float64)[:, 0]) < 1.8
    tolerance = {jnp.bfloat16: 0.1, jnp.float16: 0.02, jnp.float32: 1e-4}[dtype]
    np.testing.assert_allclose(log_prob[inside], truth[inside], atol=tolerance)


@pytest.mark.parametrize("squash", [True, False])
def test_distributions_leave_jit_and_vmap(squash):
    make = lambda head: distributions.distribution(PARTS, head, None, jnp.zeros(2), squash)
    heads = jnp.ones((3, 4))
    for pi in (jax.jit(make)(heads), jax.vmap(make)(heads)):
        np.testing.assert_allclose(pi.entropy(), make(heads).entropy(), rtol=1e-6)
        action, log_prob = pi.sample_and_log_prob(seed=KEY)
        np.testing.assert_allclose(pi.log_prob(action), log_prob, rtol=1e-4)


@pytest.mark.fast("bfloat16-reward", "bfloat16-value", "float16-discount", "float16-bootstrap")
@pytest.mark.parametrize("names", ["reward", "discount", "value", "bootstrap"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_mixed_precision_trajectories(names, dtype):
    terms = {name: jnp.ones(3) for name in ("reward", "discount", "value")} | {"bootstrap": 1.0}
    terms[names] = jnp.asarray(terms[names], dtype)
    for function, extra in ((returns.gae, 0.5), (returns.n_step, 2), (returns.lambda_returns, 1)):
        found = function(*terms.values(), extra)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, function(*map(jnp.float32, terms.values()), extra))


LISTS = {
    "masked_mean": (losses.masked_mean, ([1, 2, 6], [True, False, True]), 3.5),
    "chosen": (losses.chosen, ([[1, 2], [3, 4]], [0, 1]), [1, 4]),
    "ppo_clip": (losses.ppo_clip, ([2, 1], [1, 1], 0.5), [1.5, 1]),
    "policy_gradient": (losses.policy_gradient, ([2, 1], 3), [6, 3]),
    "squared": (losses.squared, ([2, 1],), [2, 0.5]),
    "huber": (losses.huber, ([2, 1], 1), [1.5, 0.5]),
    "clipped_value": (losses.clipped_value, ([1], [0], [3], 1), [2]),
    "td_target": (losses.td_target, ([1, 2], 1, [3, 4]), [4, 6]),
    "q_target": (losses.q_target, ([1], 1, [[3, 4]], [[True, False]]), [4]),
    "double_q_target": (losses.double_q_target, ([1], 1, [[3, 4]], [[5, 6]]), [7]),
    "mean_field_value": (losses.mean_field_value, ([1, 3], [1, 0]), 1),
    "entropy": (losses.entropy, ([1, 0],), 0),
    "gae": (returns.gae, ([1, 2], [1, 1], [0, 0], 3, 1), [6, 5]),
    "n_step": (returns.n_step, ([1, 2], [1, 1], [0, 0], 3, 2), [6, 5]),
    "standardise": (returns.standardise, ([1, 3],), [-1, 1]),
    "counterfactual_advantage": (returns.counterfactual_advantage, ([1, 3], [1, 0], 1), 2),
    "greedy": (exploration.greedy, ([1, 5, 2], [True, False, True]), 2),
    "pick": (exploration.pick, (0.5, [1, 0, 3]), 2),
    "boltzmann_probs": (exploration.boltzmann_probs, ([2, 2], 1), [0.5, 0.5]),
    "epsilon_greedy_probs": (exploration.epsilon_greedy_probs, ([2, 1], 0.5), [0.75, 0.25]),
    "project": (projections.project, ([1, 0],), [1, 0]),
    "action_payoffs": (projections.action_payoffs, ([[1, 2], [3, 4]], [None, [0, 1]], 0), [2, 4]),
    "vtrace": (
        lambda *a: off_policy.vtrace(*a).target,
        ([1, 2], [1, 1], [0, 0], 3, [1, 1]),
        [6, 5],
    ),
    "retrace": (off_policy.retrace, ([1, 2], [1, 1], [0, 0], [0, 3], [1, 1]), [6, 5]),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_integers_and_numpy_arrays_will_do(name):
    function, args, wanted = LISTS[name]
    np.testing.assert_allclose(function(*args), wanted, atol=2e-5)
    arrays = [np.asarray(x) if isinstance(x, list) and None not in x else x for x in args]
    np.testing.assert_allclose(function(*arrays), wanted, atol=2e-5)
