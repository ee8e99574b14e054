"""How actors and critics learn, on fixed batches against NumPy in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.on_policy import learning
from jaxmarl_core.algos.on_policy.learning import Batch, Ratio, action_distribution, surrogate_loss
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config, Hparams, trust_region_hparams
from jaxmarl_core.algos.on_policy.value_critics import CriticBatch
from jaxmarl_core.algos.on_policy.value_learning import value_loss
from jaxmarl_core.functional.trust_region import conjugate_gradient, fisher_vector_product
from jaxmarl_core.spaces import Box, Discrete

T, B, F, A = 5, 4, 3, 4
CONFIG = Config(num_envs=B, num_epochs=1, num_minibatches=1, hidden=())  # linear: NumPy can follow
ACTOR = Actor(Box((F,)), Discrete(A), CONFIG)
RNG = np.random.default_rng(0)
OBSERVATION = RNG.normal(size=(T, B, F))
MASK = RNG.random((T, B, A)) < 0.8
MASK[..., 0] = True
ACTION = np.array([[RNG.choice(np.flatnonzero(m)) for m in row] for row in MASK])
ADVANTAGE, WEIGHT = RNG.normal(size=(T, B)), RNG.random((T, B)) + 0.5
COUNTS = RNG.random((T, B)) < 0.7
THEN = {"kernel": RNG.normal(size=(F, A)), "bias": RNG.normal(size=A)}
NOW = {name: leaf + 0.3 * RNG.normal(size=leaf.shape) for name, leaf in THEN.items()}
ENTROPY, CLIP = 0.07, 0.2
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def probabilities(weights):
    """[T, B, A] in float64, 0 where illegal."""
    logits = np.where(MASK, OBSERVATION @ weights["kernel"] + weights["bias"], -np.inf)
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def taken(table):
    return np.take_along_axis(table, ACTION[..., None], -1)[..., 0]


def as_params(weights):
    return {"params": {"Dense_0": jax.tree.map(jnp.float32, weights)}}


BATCH = Batch(
    jnp.float32(OBSERVATION),
    jnp.asarray(MASK),
    jnp.int32(ACTION),
    jnp.float32(np.log(taken(probabilities(THEN)))),
    jnp.float32(ADVANTAGE),
    jnp.float32(WEIGHT),
    jnp.asarray(COUNTS),
    jnp.zeros((T, B), bool),
    (),
)


def gradient(d_logits):
    """Of a mean over rows that count, from its derivative by each row's logits [T, B, A]."""
    d = np.where(COUNTS[..., None], d_logits, 0) / COUNTS.sum()
    return {"kernel": np.einsum("tbf,tba->fa", OBSERVATION, d), "bias": d.sum((0, 1))}


def by_hand(objective_and_slope):
    """(loss, gradient) at NOW; `objective_and_slope` maps r to the objective and d / dr."""
    p, old = probabilities(NOW), probabilities(THEN)
    ratio = taken(p) / taken(old)
    value, slope = objective_and_slope(ratio)
    log_p = np.log(np.where(p > 0, p, 1))
    entropy = -(p * log_p).sum(-1)
    score = np.eye(A)[ACTION] - p  # d log pi(a) / d logits
    d_gain = (WEIGHT * slope * ratio)[..., None] * score
    d_entropy = -p * (log_p + entropy[..., None])
    mean = lambda x: x[COUNTS].mean()
    loss = -mean(WEIGHT * value) - ENTROPY * mean(entropy)
    return loss, gradient(-d_gain - ENTROPY * d_entropy)


def clipped_slope(ratio):
    bounded = np.clip(ratio, 1 - CLIP, 1 + CLIP)
    active = ratio * ADVANTAGE <= bounded * ADVANTAGE
    value = np.minimum(ratio * ADVANTAGE, bounded * ADVANTAGE)
    return value, np.where(active, ADVANTAGE, 0)


OBJECTIVES = {
    "clipped": (learning.clipped, clipped_slope),
    "less its drift": (learning.less_drift(learning.clipping_drift), clipped_slope),
    "importance weighted": (
        learning.importance_weighted,
        lambda ratio: (ratio * ADVANTAGE, ADVANTAGE),
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_and_gradient(name):
    objective, slope = OBJECTIVES[name]
    hp = Hparams(clip=CLIP)
    loss = partial(
        surrogate_loss,
        old_params=as_params(THEN),
        actor=ACTOR,
        batch=BATCH,
        objective=lambda ratio: objective(ratio, hp),
        entropy=ENTROPY,
        clip=CLIP,
    )
    (value, figures), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(as_params(NOW))
    expected, expected_grads = by_hand(slope)
    np.testing.assert_allclose(value, expected, **CLOSE)
    for field, leaf in grads["params"]["Dense_0"].items():
        np.testing.assert_allclose(leaf, expected_grads[field], **CLOSE)
    ratio = taken(probabilities(NOW)) / taken(probabilities(THEN))
    beyond = (np.abs(ratio - 1) > CLIP)[COUNTS].mean()
    np.testing.assert_allclose(figures["clip_fraction"], beyond, **CLOSE)
    near = (ratio - 1 - np.log(ratio))[COUNTS].mean()
    np.testing.assert_allclose(figures["kl"], near, **CLOSE)


def test_where_nothing_moved_yet_it_is_the_policy_gradient():
    """With any clip, the first gradient is that of `weight A log pi`."""
    hp = Hparams(clip=CLIP)

    def gain(params):
        log_prob = action_distribution(ACTOR, params, BATCH).log_prob(BATCH.action)
        rows = BATCH.weight * BATCH.advantage * log_prob
        return -jnp.sum(jnp.where(BATCH.counts, rows, 0)) / BATCH.counts.sum()

    start = as_params(THEN)
    for objective in (learning.clipped, learning.importance_weighted):
        loss = lambda p, objective=objective: surrogate_loss(
            p, start, ACTOR, BATCH, lambda ratio: objective(ratio, hp), 0.0
        )[0]
        ours, plain = jax.grad(loss)(start), jax.grad(gain)(start)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), ours, plain)


def kl_by_hand():
    old, new = probabilities(THEN), probabilities(NOW)
    log = np.log(np.where(old > 0, old, 1)) - np.log(np.where(new > 0, new, 1))
    return (old * log).sum(-1)[COUNTS].mean()


def mean_kl(params):
    old = action_distribution(ACTOR, as_params(THEN), BATCH)
    kl = old.kl_divergence(action_distribution(ACTOR, params, BATCH))
    return jnp.sum(jnp.where(BATCH.counts, kl, 0)) / BATCH.counts.sum()


def test_a_drift_may_ask_for_the_divergence():
    drift = lambda x, hp: 3.0 * x.kl()
    loss = surrogate_loss(
        as_params(NOW),
        as_params(THEN),
        ACTOR,
        BATCH._replace(weight=jnp.ones((T, B)), advantage=jnp.zeros((T, B))),
        lambda ratio: learning.less_drift(drift)(ratio, None),
        0.0,
    )[0]
    np.testing.assert_allclose(loss, 3 * kl_by_hand(), **CLOSE)


def test_divergence_and_fisher_vector_products():
    """F = mean over states of sum over a of p(a) grad log p(a) grad log p(a)', written out."""
    np.testing.assert_allclose(mean_kl(as_params(NOW)), kl_by_hand(), **CLOSE)
    flat, unravel = jax.flatten_util.ravel_pytree(as_params(THEN))
    p = probabilities(THEN)
    fisher = np.zeros((len(flat), len(flat)))
    for t, b in zip(*np.nonzero(COUNTS)):
        for a in range(A):
            d = np.eye(A)[a] - p[t, b]
            parts = {"kernel": np.outer(OBSERVATION[t, b], d), "bias": d}
            score = np.concatenate([parts[k].ravel() for k in sorted(parts)])  # as ravel_pytree
            fisher += p[t, b, a] * np.outer(score, score)
    fisher /= COUNTS.sum()
    divergence = lambda x: mean_kl(unravel(x))
    vectors = RNG.normal(size=(3, len(flat)))
    product = fisher_vector_product(divergence, flat, 0.1)
    for v in vectors:
        np.testing.assert_allclose(product(jnp.float32(v)), fisher @ v + 0.1 * v, **CLOSE)
    solved = conjugate_gradient(product, jnp.float32(vectors[0]), 40)
    expected = np.linalg.solve(fisher + 0.1 * np.eye(len(flat)), vectors[0])
    np.testing.assert_allclose(solved, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("max_kl", [1e-3, 1e-2, 0.3])
def test_a_trust_region_step_keeps_its_promises(max_kl):
    hp = trust_region_hparams().replace(max_kl=max_kl)
    start = as_params(THEN)
    step = jax.jit(lambda: learning.trust_region().update(ACTOR, None, start, (), BATCH, hp, 0))
    params, _, figures = step()
    assert figures["accepted"] == 1
    kl = mean_kl(params)
    assert 0 < kl < max_kl
    np.testing.assert_allclose(figures["kl"], kl, rtol=1e-4)
    weights = jax.tree.map(np.float64, params["params"]["Dense_0"])
    ratio = taken(probabilities(weights)) / taken(probabilities(THEN))
    gained = (WEIGHT * (ratio - 1) * ADVANTAGE)[COUNTS].mean()
    np.testing.assert_allclose(figures["improvement"], gained, rtol=1e-4)
    assert gained > 0


def test_a_trust_region_without_a_way_up_stays():
    batch = BATCH._replace(advantage=jnp.full((T, B), jnp.nan))
    start = as_params(THEN)
    params, _, figures = learning.trust_region().update(
        ACTOR, None, start, (), batch, trust_region_hparams(), 0
    )
    assert figures["accepted"] == 0
    jax.tree.map(np.testing.assert_array_equal, params, start)


def test_no_step_follows_one_that_went_too_far():
    start = as_params(THEN)

    def moved(target_kl, epochs):
        config = Config(num_envs=B, num_epochs=epochs, num_minibatches=1, hidden=())
        one = learning.gradient_ascent(config, learning.clipped)
        hp = Hparams(learning_rate=0.1, clip=1e6, target_kl=target_kl)
        return one.update(ACTOR, jax.random.key(0), start, one.init(start), BATCH, hp, 0)[0]

    # One step of 0.1 goes further than 1e-6: the second finds that, and nothing moves any more.
    jax.tree.map(np.testing.assert_array_equal, moved(1e-6, 6), moved(1e6, 1))
    flat = lambda tree: jax.flatten_util.ravel_pytree(tree)[0]
    assert not np.allclose(flat(moved(1e6, 6)), flat(moved(1e-6, 6)))


def test_a_part_that_misses_its_number_says_which():
    ratio = Ratio(jnp.ones(2), jnp.ones(2), None)
    with pytest.raises(ValueError, match=r"^clip: expected a number"):
        learning.clipped(ratio, Hparams())
    with pytest.raises(ValueError, match=r"^damping: expected a number"):
        learning.trust_region().update(ACTOR, None, as_params(THEN), (), BATCH, Hparams(), 0)


def test_value_loss_and_gradient():
    """max of the clipped and the plain Huber loss, row by row."""
    old, target, value = RNG.normal(size=(3, T, B))
    clip, delta = 0.3, 0.8
    total, slopes = 0.0, np.zeros((T, B))
    for t, b in zip(*np.nonzero(COUNTS)):
        losses = []
        near = np.clip(value[t, b], old[t, b] - clip, old[t, b] + clip)
        for v, slope in ((value[t, b], 1.0), (near, float(near == value[t, b]))):
            e = v - target[t, b]
            inside = abs(e) <= delta
            loss = e * e / 2 if inside else delta * (abs(e) - delta / 2)
            losses.append((loss, slope * (e if inside else delta * np.sign(e))))
        loss, slopes[t, b] = max(losses, key=lambda pair: pair[0])
        total += loss
    batch = CriticBatch((), jnp.float32(old), jnp.float32(target), jnp.asarray(COUNTS), None, ())
    hp = Hparams(value_clip=clip, huber=delta)
    found, grads = jax.value_and_grad(value_loss)(jnp.float32(value), batch, hp)
    np.testing.assert_allclose(found, total / COUNTS.sum(), **CLOSE)
    np.testing.assert_allclose(grads, slopes / COUNTS.sum(), **CLOSE)


def test_drifts_are_no_reward():
    """At least 0 everywhere, and flat at 0 where the policy has not moved: HAML, definition 1."""
    ratio, advantage = jnp.float32(RNG.uniform(0.2, 3, 1000)), jnp.float32(RNG.normal(size=1000))
    hp = Hparams(clip=CLIP)
    drift = lambda r: learning.clipping_drift(Ratio(r, advantage, None), hp)
    assert (drift(ratio) >= 0).all() and (drift(ratio) > 0).any()
    still = jnp.ones(1000)
    assert (drift(still) == 0).all()
    assert (jax.grad(lambda r: drift(r).sum())(still) == 0).all()
