"""Every function's slope at its edges, against finite differences."""

import inspect

import edges
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import Edge

from jaxmarl_core.functional import (
    distributions,
    exploration,
    losses,
    off_policy,
    projections,
    q_policies,
    returns,
    statistics,
    trees,
    trust_region,
)
from jaxmarl_core.spaces import Box, Composite, Discrete

INF, NAN = np.inf, np.nan
KEY = jax.random.key(0)
Q = [1.0, 2.0, 3.0]
FIRST_TWO, ONE, NONE = [True, True, False], [False, True, False], [False] * 3
LAST_INVALID = [True, True, False]
PARTS = Composite({"move": Discrete(2), "aim": Box((2,), -1.0, 1.0)})


def part(method, head=None, mask=None, squash=True, action=None):
    """A function of (head, log_std) of a composite's distribution."""

    def function(head, log_std):
        pi = distributions.distribution(PARTS, head, mask, log_std, squash)
        if method == "kl_divergence":
            other = distributions.distribution(PARTS, 2 * head, mask, log_std + 0.1, squash)
            return pi.kl_divergence(other)
        return pi.log_prob(action) if method == "log_prob" else getattr(pi, method)()

    return function


def squashed(mean, log_std):
    return distributions.SquashedNormal(mean, log_std, -1.0, 1.0)


def clipped(mean, log_std):
    return distributions.ClippedNormal(mean, log_std, -1.0, 1.0)


def trust_step(x):
    here = jax.lax.stop_gradient(x)
    return trust_region.trust_region_step(
        lambda p: -jnp.sum(p**4), lambda p: jnp.sum((p - here) ** 2), x, 0.01
    )


HEAD, LOG_STD = [0.3, -0.2, 0.5, -0.4], [0.0, -0.5]
ACTION = {"move": 1, "aim": np.array([0.3, -0.9])}

SLOPES = [
    Edge("masked_mean", lambda x: losses.masked_mean(x, FIRST_TWO), (Q,)),
    Edge("masked_means", lambda x: losses.masked_means({"a": x, "b": x**2}, FIRST_TWO)["b"], (Q,)),
    Edge(
        "masked_mean: what does not count is no number",
        lambda x: losses.masked_mean(x, FIRST_TWO),
        ([1, 2, NAN],),
    ),
    Edge("masked_mean: nothing counts", lambda x: losses.masked_mean(x, NONE), (Q,)),
    Edge("masked_mean: without a mask", losses.masked_mean, (Q,)),
    Edge("chosen", lambda q: losses.chosen(q, 1), (Q,)),
    Edge("policy_gradient", losses.policy_gradient, ([0.5, 0, 1], [0, 2, -1])),
    Edge("ppo_clip", lambda r, a: losses.ppo_clip(r, a, 0.2), ([0.5, 0, 1.5, 1], [2, 2, -1, 1])),
    Edge("ppo_clip: no clip", lambda r, a: losses.ppo_clip(r, a, INF), ([0.5, 0], [2, -1])),
    Edge("squared", losses.squared, ([0, 1, -2],)),
    Edge("huber", lambda e: losses.huber(e, 1.0), ([0, 0.5, -2],)),
    Edge("huber: infinite delta", lambda e: losses.huber(e, INF), ([0, 0.5, -2e4],)),
    Edge(
        "clipped_value",
        lambda v, o, y: losses.clipped_value(v, o, y, 0.5),
        ([0, 1, 3], [0, 0.2, 0], [1, 1, 2]),
    ),
    Edge(
        "clipped_value: no clip",
        lambda v, o, y: losses.clipped_value(v, o, y, INF),
        ([0.1, 1, 3], [0, 0.2, 0], [1, 0, 2]),
        second=False,
    ),
    Edge("max_value", lambda q: losses.max_value(q, FIRST_TWO), (Q,)),
    Edge("max_value: one legal", lambda q: losses.max_value(q, ONE), ([NAN, 2, INF],)),
    Edge("max_value: none legal", lambda q: losses.max_value(q, NONE), (Q,)),
    Edge("max_value: one action", losses.max_value, ([[1.0]],)),
    Edge("double_q_value", lambda q, t: losses.double_q_value(q, t, FIRST_TWO), (Q, [4, 5, NAN])),
    Edge("mean_field_value", losses.mean_field_value, (Q, [0, 1, 0])),
    Edge(
        "mean_field_value: infinite where it cannot be",
        lambda q, pi: losses.mean_field_value(q, jnp.append(pi, 0)),
        ([1, 2, -INF], [0.3, 0.7]),
    ),
    Edge("entropy", losses.entropy, ([0.2, 0.3, 0.5],)),
    Edge("gae", returns.gae, (Q, [0.9, 0, 1], [0, 1, -1], 2, 0.9)),
    Edge(
        "gae: invalid rows",
        lambda r, d, v, b, lam: returns.gae(r, d, v, b, lam, LAST_INVALID),
        ([1, 2, NAN], [0.9, 0, NAN], [0, 1, -1], 2, 1),
    ),
    Edge("lambda_returns", returns.lambda_returns, (Q, [0.9, 0, 1], [0, 1, -1], 2, 0)),
    Edge(
        "n_step", lambda r, d, v, b: returns.n_step(r, d, v, b, 2), (Q, [0.9, 0, 1], [0, 1, -1], 2)
    ),
    Edge(
        "n_step_transition",
        lambda r, d: returns.n_step_transition(r, d, [False] * 3)[:2],
        (Q, [0.9, 0.8, 0]),
    ),
    Edge(
        "n_step_transition: an end",
        lambda r, d: returns.n_step_transition(r, d, [False, True, False])[:2],
        ([1, 2, NAN], [0.9, 0.8, NAN]),
    ),
    Edge(
        "counterfactual_advantage",
        lambda q, pi: returns.counterfactual_advantage(q, jnp.append(pi, 0), 1),
        ([1, 2, -INF], [0, 1]),
    ),
    Edge(
        "explained_variance",
        lambda v, y: returns.explained_variance(v, y, FIRST_TWO),
        ([1, 2, NAN], [1, 3, NAN]),
    ),
    Edge(
        "explained_variance: nothing varies",
        lambda v: returns.explained_variance(v, jnp.ones(3), FIRST_TWO),
        (Q,),
    ),
    Edge("standardise", lambda x: returns.standardise(x, FIRST_TWO), ([1, 2, NAN],)),
    Edge(
        "standardise: all the same",
        lambda x: returns.standardise(x, None, 0.1),
        ([2, 2, 2],),
        second=False,
    ),
    Edge("standardise: one entry", lambda x: returns.standardise(x, None, 0.1), ([2],)),
    Edge("standardise: one counts", lambda x: returns.standardise(x, ONE, 0.1), (Q,)),
    Edge(
        "epsilon_greedy_probs",
        lambda q, e: exploration.epsilon_greedy_probs(q, e, FIRST_TWO),
        ([1, 2, -INF], 0),
    ),
    Edge("boltzmann_probs", lambda q, t: exploration.boltzmann_probs(q, t, FIRST_TWO), (Q, 1)),
    Edge("boltzmann_probs: -infinity", exploration.boltzmann_probs, ([1, 2, -INF], 1)),
    Edge("boltzmann_probs: equal values", exploration.boltzmann_probs, ([2, 2, 2], 0.5)),
    Edge("boltzmann_probs: one legal", lambda q, t: exploration.boltzmann_probs(q, t, ONE), (Q, 1)),
    Edge(
        "boltzmann_probs: none legal", lambda q, t: exploration.boltzmann_probs(q, t, NONE), (Q, 1)
    ),
    Edge("boltzmann_probs: cold", lambda q: exploration.boltzmann_probs(q, 0.0), (Q,)),
    Edge(
        "boltzmann_probs: nearly so",
        lambda t: exploration.boltzmann_probs(Q, t),
        (1e-3,),
        step=1e-9,
    ),
    Edge("gaussian_noise", lambda a, s: exploration.gaussian_noise(KEY, a, s, -1, 1), ([0, 5], 0)),
    Edge("linear", exploration.linear, (1, 0, 0.5)),
    Edge("exponential", exploration.exponential, (1, 0.1, 0.5)),
    Edge("project", projections.project, ([0.5, 0.3, -2],)),
    Edge("project: far out", projections.project, ([50, 0, -INF],)),
    Edge("project: one action", projections.project, ([3],)),
    Edge(
        "expectation",
        lambda pi, x: projections.expectation(jnp.append(pi, 0), x),
        ([0, 1], [1, 2, INF]),
    ),
    Edge(
        "action_payoffs",
        lambda u, x, y: projections.action_payoffs(u, [x, y], 0),
        ([[1, 2], [3, 4]], [1, 0], [0, 1]),
    ),
    Edge(
        "categorical: log_prob",
        lambda q: distributions.categorical(q, FIRST_TWO).log_prob(1),
        ([1, 2, NAN],),
    ),
    Edge(
        "categorical: entropy, one legal",
        lambda q: distributions.categorical(q, ONE).entropy(),
        (Q,),
    ),
    Edge(
        "normal: log_prob",
        lambda m, s: distributions.normal(m, s).log_prob(jnp.ones(2)),
        ([1, 0], [0, -1]),
    ),
    Edge(
        "squashed: log_prob",
        lambda m, s: squashed(m, s).log_prob(jnp.array([1.0, -0.5])),
        ([1, 0], [0, -1]),
    ),
    Edge("squashed: entropy", lambda m, s: squashed(m, s).entropy(), ([30, 0], [0, -9])),
    Edge(
        "squashed: draw",
        lambda m, s: squashed(m, s).sample_and_log_prob(seed=KEY),
        ([0.5, 0], [0, -1]),
    ),
    Edge(
        "clipped: log_prob",
        lambda m, s: clipped(m, s).log_prob(jnp.array([1.0, -0.5])),
        ([20, 0], [0, -1]),
    ),
    Edge(
        "clipped: draw",
        lambda m, s: clipped(m, s).sample_and_log_prob(seed=KEY),
        ([0.5, 0], [-2, -1]),
    ),
    Edge("composite: log_prob", part("log_prob", action=ACTION), (HEAD, LOG_STD)),
    Edge(
        "composite: entropy, one legal",
        part("entropy", mask={"move": [True, False]}),
        (HEAD, LOG_STD),
    ),
    Edge("composite: divergence", part("kl_divergence", squash=False), (HEAD, LOG_STD)),
    Edge("select", lambda a, b: trees.select(False, {"x": a}, {"x": b}), ([NAN, INF], Q[:2])),
    Edge(
        "relaxed_one_hot",
        lambda q, t: distributions.relaxed_one_hot(KEY, q, t, FIRST_TWO, straight_through=False),
        (Q, 0.5),
    ),
    Edge(
        "perturbed_one_hot",
        lambda q, g, t: distributions.perturbed_one_hot(q, g, t, FIRST_TWO, straight_through=False),
        (Q, [0.3, -1, 2], 0.5),
    ),
    Edge("ornstein_uhlenbeck", exploration.ornstein_uhlenbeck, ([0, 1], [-1, 0.5], 0.0, 0.2)),
    Edge("squashed_draw", q_policies.squashed_draw, ([30, 0], [0, -9], [0.5, -2])),
    Edge(
        "smoothed",
        lambda a, noise, scale: q_policies.smoothed(a, noise, scale, 0.5),
        ([0.9, 0.2, -0.3], [1, 0.5, -5], 0.2),
    ),
    Edge("soft_policy_loss", q_policies.soft_policy_loss, ([0.5, -3], [1, 2], 0.0)),
    Edge(
        "temperature_loss",
        lambda t: q_policies.temperature_loss(t, jnp.array([0.5, -3.0]), jnp.array([-1.0, -1.0])),
        (0.0,),
    ),
    Edge(
        "fisher_vector_product",
        lambda v: trust_region.fisher_vector_product(lambda x: jnp.sum(x**4), jnp.ones(2), 0.1)(v),
        ([1, 0],),
    ),
    Edge("trust_region_step", lambda x: trust_step(x).params, ([1, 2],), second=False),
    Edge(
        "conjugate_gradient",
        lambda b: trust_region.conjugate_gradient(lambda v: jnp.array([2.0, 4.0]) * v, b, 2),
        ([1, 2],),
        second=False,
    ),
]


SLOW = {  # ten seconds and more to compile, second order among them
    *("clipped: draw", "clipped: log_prob", "squashed: draw", "trust_region_step"),
    *("composite: log_prob", "composite: divergence", "conjugate_gradient"),
}


@pytest.mark.parametrize(
    "edge",
    [pytest.param(edge, marks=pytest.mark.slow if edge.name in SLOW else ()) for edge in SLOPES],
    ids=lambda edge: edge.name,
)
def test_slopes(edge):
    edges.check(edge)


CONSTANTS = {
    "td_target": lambda x: losses.td_target(x, 0.9 * x, x),
    "q_target": lambda x: losses.q_target(x, x, x[:, None]),
    "double_q_target": lambda x: losses.double_q_target(x, x, x[:, None], x[:, None]),
    "vtrace": lambda x: off_policy.vtrace(x, x, x, x[0], x),
    "twin_target": lambda x: q_policies.twin_target(x, x, jnp.stack([x, 2 * x]), x),
    "retrace": lambda x: off_policy.retrace(x, x, x, x, x),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_targets_are_constants(name):
    total = lambda x: sum(jnp.sum(y) for y in jax.tree.leaves(CONSTANTS[name](x)))
    np.testing.assert_array_equal(jax.jit(jax.grad(total))(jnp.ones(3)), 0)


def test_a_trust_region_steps_gain_says_that_it_has_no_reverse_mode():
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.eval_shape(jax.grad(lambda x: trust_step(x).gain), jnp.ones(2))


def test_the_temperatures_slope_beside_an_illegal_action():
    # of [e, e^2] / (e + e^2): p (1 - p) (q_0 - q_1) / T^2, and p (1 - p) = .19661
    slope = jax.jacfwd(lambda t: exploration.boltzmann_probs(Q, t, FIRST_TWO))(1.0)
    np.testing.assert_allclose(slope, [0.19661, -0.19661, 0], atol=1e-5)


def test_entropy_has_no_slope_where_it_would_be_infinite():
    np.testing.assert_allclose(jax.grad(losses.entropy)(jnp.array([0.0, 1.0])), [0, -1])


WITHOUT_SLOPE = {  # what returns integers or shapes, acts, or is a part of what stands in the table
    "wilson_interval",  # of counts, in NumPy
    "greedy",
    "draw",
    "pick",
    "uniform",
    "epsilon_greedy",
    "boltzmann",
    "head_size",
    "num_scales",
    "masked_logits",
    "moments",
    "distribution",
    "trajectory_terms",
    "one_trajectory",
    "following",
    "sums_to_come",
    "one_by_one",
    "pair_by_pair",
    "over_trajectories",
    # of NumPy, on the host
    *("iqm", "mean", "median", "standard_error", "bootstrap_interval", "bin_means", "bridge_gaps"),
}


@pytest.mark.parametrize(
    "module",
    [
        *(losses, returns, off_policy, exploration, projections, distributions, trust_region),
        *(statistics, trees, q_policies),
    ],
)
def test_every_function_has_its_row(module):
    rows = {edge.name.split(":")[0] for edge in SLOPES} | CONSTANTS.keys()
    rows |= WITHOUT_SLOPE
    public = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert public <= rows, public - rows
