"""Mixers against NumPy in float64, their monotony, and what the dead may not do to them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.learners.mixers import (
    CounterfactualValues,
    Duplex,
    JointValue,
    Monotone,
    additive,
)

N, S, A, F = 3, 4, 3, 5
RNG = np.random.default_rng(0)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
ALIVE = np.array([[True, True, True], [True, False, True], [False, False, True]])
STATE = RNG.normal(size=(3, S))
FEATURES = RNG.normal(size=(3, N, F))
ACTIONS = np.eye(A)[RNG.integers(0, A, (3, N))]


def random_like(params, seed, scale=1.0):
    """Parameters drawn anew, biases too: as they start, many are 0."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.float32(scale * rng.normal(size=x.shape)), params)


def dense(layer, x):
    return x @ np.float64(layer["kernel"]) + np.float64(layer["bias"])


def mlp(layers, x, final=True):
    x = np.maximum(dense(layers["Dense_0"], x), 0)
    x = dense(layers["Dense_1"], x)
    return np.maximum(x, 0) if final else x


def test_a_sum_leaves_out_the_dead():
    q = np.array([[1.0, 2.0, 4.0], [1.0, np.nan, 4.0], [np.nan, np.inf, 4.0]])
    np.testing.assert_array_equal(additive(q, ALIVE), [7.0, 5.0, 4.0])


def monotone(hypernet, seed, embed=6):
    net = Monotone(embed, hypernet)
    params = jax.jit(net.init)(jax.random.key(0), jnp.zeros(N), jnp.ones(N, bool), jnp.zeros(S))
    return net, random_like(params, seed)


@pytest.mark.parametrize("hypernet", [0, 7])
def test_the_monotone_mixer_is_what_the_paper_draws(hypernet):
    embed = 6
    net, params = monotone(hypernet, 1, embed)
    q = RNG.normal(size=(3, N))
    layers = params["params"]
    linear = dense(layers["of_state"], STATE)
    b, v, rest = linear[:, :embed], linear[:, embed : 2 * embed], linear[:, 2 * embed :]
    before = [np.maximum(x, 0) for x in np.split(rest, 2, 1)] if hypernet else [STATE, STATE]
    first, second = (dense(layers[name], x) for name, x in zip(("first", "second"), before))
    expected = []
    for row in range(3):
        weights = np.abs(first[row]).reshape(N, embed)
        inner = sum(weights[i] * q[row, i] for i in range(N) if ALIVE[row, i]) + b[row]
        elu = np.where(inner > 0, inner, np.expm1(np.minimum(inner, 0)))
        bias = dense(layers["value"], np.maximum(v[row], 0))[0]
        expected.append(elu @ np.abs(second[row]) + bias)
    found = net.apply(params, jnp.float32(q), ALIVE, jnp.float32(STATE))
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("hypernet", [0, 7])
def test_the_monotone_mixer_never_falls(hypernet):
    """dQ / dq_i >= 0 at 1,000 states and utilities for each of 20 sets of weights."""
    rng = np.random.default_rng(2)
    q = jnp.float32(3 * rng.normal(size=(1000, N)))
    state = jnp.float32(3 * rng.normal(size=(1000, S)))
    alive = jnp.asarray(rng.random((1000, N)) < 0.8)
    net, start = monotone(hypernet, 0)
    slope = jax.jit(jax.vmap(jax.grad(net.apply, 1), (None, 0, 0, 0)))
    for seed in range(20):
        slopes = np.asarray(slope(random_like(start, seed), q, alive, state))
        assert (slopes >= 0).all()
        assert (slopes[np.asarray(alive)] > 0).mean() > 0.8  # it rises, but where elu is flat
        assert (slopes[~np.asarray(alive)] == 0).all()


def joint_actions():
    return np.array(list(itertools.product(range(A), repeat=N)))


def duplex(seed, *args):
    net = Duplex(2, 6)
    return net, random_like(jax.jit(net.init)(jax.random.key(0), *args), seed, 0.5)


@pytest.mark.parametrize("name", ["sum", "monotone", "duplex"])
def test_own_best_actions_are_jointly_best(name):
    """IGM: over all 27 joint actions none is worth more than the agents' own best."""
    every = joint_actions()
    flat, alive = jax.nn.one_hot(every, A).reshape(27, -1), jnp.ones((27, N), bool)
    net, start = monotone(7, 0) if name == "monotone" else (None, None)
    if name == "duplex":
        net, start = duplex(0, alive * 1.0, alive * 1.0, flat, alive, jnp.zeros((27, S)))
    apply = additive if net is None else jax.jit(net.apply)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        utilities = rng.normal(size=(N, A))
        q = jnp.float32(utilities[np.arange(N), every])
        best = jnp.tile(jnp.float32(utilities.max(1)), (27, 1))
        state = jnp.tile(jnp.float32(rng.normal(size=S)), (27, 1))
        args = {
            "sum": lambda q=q: (q, alive),
            "monotone": lambda q=q, s=state, seed=seed: (random_like(start, seed), q, alive, s),
            "duplex": lambda q=q, best=best, s=state, seed=seed: (
                *(random_like(start, seed, 0.5), q, best, flat, alive, s),
            ),
        }[name]()
        values = apply(*args)
        own = np.flatnonzero((every == utilities.argmax(1)).all(1))[0]
        assert values[own] >= values.max() - 1e-5 * abs(values).max()


def test_a_joint_value_may_prefer_what_no_monotone_mixture_can():
    """Else the test above would prove little: the best action of one depends on the others'."""
    net = JointValue(8)
    features, alive = jnp.zeros((27, N, F)), jnp.ones((27, N), bool)
    actions = jax.nn.one_hot(joint_actions(), A)
    args = [features], [actions], alive, jnp.zeros((27, S))
    start = net.init(jax.random.key(0), *args)
    values = [net.apply(random_like(start, seed, 0.5), *args) for seed in range(10)]
    best = [np.asarray(table).reshape(A, A, A).argmax(0) for table in values]
    assert any(len(np.unique(replies)) > 1 for replies in best)


def test_the_duplex_mixer_is_what_the_paper_says():
    """sum of w_i max q_i + b_i and of lambda_i w_i (q_i(u_i) - max q_i), over the living."""
    q = RNG.normal(size=(3, N))
    best = q + RNG.random((3, N))
    flat = ACTIONS.reshape(3, -1)
    args = (*map(jnp.float32, (q, best, flat)), jnp.asarray(ALIVE), jnp.float32(STATE))
    net, params = duplex(0, *args)
    layers = params["params"]
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    expected = np.zeros(3)
    for row in range(3):
        part = lambda name, x: mlp(layers[name], x, final=False)
        state, both = STATE[row], np.concatenate([STATE[row], flat[row]])
        heads = sigmoid(part("agents", state)) * sigmoid(part("actions", both))
        weight = heads.reshape(N, 2) @ np.abs(part("key", state))
        w, b = np.abs(part("weight", state)), part("bias", state)
        for i in np.flatnonzero(ALIVE[row]):
            missed = w[i] * (q[row, i] - best[row, i])
            expected[row] += w[i] * best[row, i] + b[i] + weight[i] * missed
    np.testing.assert_allclose(net.apply(params, *args), expected, **CLOSE)
    # what is missed is weighed without gradient: the utilities learn as in a weighed sum
    slope = jax.grad(lambda q: net.apply(params, q, *args[1:])[0])(args[0])
    np.testing.assert_allclose(slope[0], np.abs(mlp(layers["weight"], STATE[0], False)), **CLOSE)


def codes(kinds, actions, row):
    """[n, embed] of one row, two kinds of agents: the first two, and the last."""
    found = np.zeros((N, 6))
    for k, members in enumerate(([0, 1], [2])):
        for place, i in enumerate(members):
            action = () if actions is None else actions[row, i]
            number = np.eye(len(members))[place]
            x = np.concatenate([FEATURES[row, i], action, number])
            if ALIVE[row, i]:
                found[i] = mlp(kinds[f"kind_{k}"], x, final=False)
    return found


def split(x):
    return [jnp.float32(x[:, :2]), jnp.float32(x[:, 2:])]


ARGS = split(FEATURES), split(ACTIONS), jnp.asarray(ALIVE), jnp.float32(STATE)


@pytest.mark.parametrize("of_actions", [True, False])
def test_the_joint_value_adds_up_codes(of_actions):
    net = JointValue(6)
    args = (ARGS[0], ARGS[1] if of_actions else None, *ARGS[2:])
    params = random_like(net.init(jax.random.key(0), *args), 3, 0.5)
    layers = params["params"]
    expected = []
    for row in range(3):
        code = codes(layers["codes"], ACTIONS if of_actions else None, row).sum(0)
        x = mlp(layers["MLP_0"], np.concatenate([STATE[row], code]))
        expected.append(dense(layers["Dense_0"], x)[0])
    np.testing.assert_allclose(net.apply(params, *args), expected, **CLOSE)


def test_counterfactual_values_see_what_the_others_do():
    net = CounterfactualValues(6)
    params = random_like(net.init(jax.random.key(0), *ARGS), 4, 0.5)
    layers = params["params"]
    found = np.concatenate(net.apply(params, *ARGS), 1)
    for row in range(3):
        others = codes(layers["others"], ACTIONS, row)
        own = codes(layers["own"], None, row)
        for i in range(N):
            k = 0 if i < 2 else 1
            rest = sum(others[j] for j in range(N) if j != i)
            x = mlp(layers[f"layers_{k}"], np.concatenate([STATE[row], own[i], rest]))
            np.testing.assert_allclose(found[row, i], dense(layers[f"head_{k}"], x), **CLOSE)


def test_an_agents_own_action_is_no_part_of_its_counterfactuals():
    net = CounterfactualValues(6)
    params = net.init(jax.random.key(0), *ARGS)
    other = ACTIONS.copy()
    other[:, 0] = np.roll(ACTIONS[:, 0], 1, -1)
    before = np.concatenate(net.apply(params, *ARGS), 1)
    after = np.concatenate(net.apply(params, ARGS[0], split(other), *ARGS[2:]), 1)
    np.testing.assert_allclose(before[:, 0], after[:, 0], rtol=1e-4, atol=1e-5)
    changed = np.abs(before - after).max(-1)
    assert (changed[:2, 2] > 1e-4).all() and changed[2].max() < 1e-5  # the dead change nothing


def test_a_state_with_time_and_batch_exchanged_is_refused():
    """It would be flattened to as many rows, of other steps."""
    utilities, alive = jnp.ones((4, 3, 2)), jnp.ones((4, 3, 2), bool)
    state, actions = jnp.ones((3, 4, 5)), jnp.ones((4, 3, 6))
    calls = [
        (Monotone(), (utilities, alive, state)),
        (Duplex(), (utilities, utilities, actions, alive, state)),
        (JointValue(), ([jnp.ones((4, 3, 2, 5))], None, alive, state)),
    ]
    for mixer, args in calls:
        with pytest.raises(ValueError, match=r"^state: expected shape"):
            jax.eval_shape(mixer.init, jax.random.key(0), *args)
    with pytest.raises(ValueError, match=r"^alive: expected shape"):
        additive(utilities, alive[..., :1])
