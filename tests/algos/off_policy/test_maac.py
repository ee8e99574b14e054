"""MAAC: its attention against a loop in double precision, and a baseline that adds no bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from probes import MixedGroups, TwoTeams

from jaxmarl_core.algos import maac
from jaxmarl_core.algos.off_policy.attention import Attention, attention_critics
from jaxmarl_core.algos.off_policy.batches import Observed
from jaxmarl_core.algos.off_policy.maac import score_loss
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.train import Schedule, make_train

B, N, F, HEADS = 3, 4, 6, 2
RNG = np.random.default_rng(0)


def test_attention_is_a_softmax_over_the_living_others():
    network = Attention(HEADS, jax.nn.relu)
    asking, others = RNG.normal(size=(N, B, F)), RNG.normal(size=(B, N, F))
    alive = np.array([[True] * 4, [True, False, True, False], [True, False, False, False]])
    args = jnp.float32(asking), jnp.float32(others), alive
    params = network.init(jax.random.key(0), *args)
    found = np.asarray(jax.jit(network.apply)(params, *args))
    own = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    d = F // HEADS
    key, query = (
        asked @ own[name]["kernel"] for asked, name in ((others, "key"), (asking, "query"))
    )
    value = np.maximum(others @ own["value"]["kernel"] + own["value"]["bias"], 0)
    for i, b, h in np.ndindex(N, B, HEADS):
        at = slice(h * d, (h + 1) * d)
        heard = [j for j in range(N) if j != i and alive[b, j]]
        wanted = np.zeros(d)
        if heard:
            weights = np.exp(key[b, heard, at] @ query[i, b, at] / np.sqrt(d))
            wanted = weights / weights.sum() @ value[b, heard, at]
        np.testing.assert_allclose(found[i, b, at], wanted, rtol=1e-4, atol=1e-5)


def test_attention_in_parts_is_the_same_as_at_once():
    """Of more agents than are computed together, with the gradient that goes through."""
    num, size = 19, 4
    network = Attention(1, jax.nn.relu)
    asking, others = RNG.normal(size=(num, 2, size)), RNG.normal(size=(2, num, size))
    args = jnp.float32(asking), jnp.float32(others), np.ones((2, num), bool)
    params = network.init(jax.random.key(0), *args)

    def whole(params, asking, others, alive):
        own = params["params"]
        keys, query = others @ own["key"]["kernel"], asking @ own["query"]["kernel"]
        values = jax.nn.relu(others @ own["value"]["kernel"] + own["value"]["bias"])
        logits = jnp.einsum("ibd,bjd->ibj", query, keys) / 2.0
        weights = jax.nn.softmax(jnp.where(jnp.eye(num, dtype=bool)[:, None], -jnp.inf, logits))
        return jnp.einsum("ibj,bjd->ibd", weights, values)

    def measured(function):
        total = lambda params: jnp.sum(jnp.sin(function(params, *args)))
        return jax.jit(jax.value_and_grad(total))(params)

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    jax.tree.map(close, measured(network.apply), measured(whole))


@pytest.mark.parametrize("share", ["none", pytest.param("group", marks=pytest.mark.slow)])
def test_values_do_not_see_the_own_action_but_all_others(share):
    """What an agent did moves the others' values and never its own; the dead move nobody's."""
    env = TwoTeams()
    stacks = agent_stacks(env, share, False)
    critics = attention_critics(
        env, stacks, Config(hidden=(8,), activation="tanh", num_heads=2, share=share)
    )
    params = critics.init(jax.random.key(1))
    observation = {"pair": np.ones((1, 2), np.int32), "loner": np.ones((1, 1), np.int32)}

    @jax.jit
    def q(actions, alive):
        one_hot = jax.nn.one_hot(actions, 2) * alive[:, None]
        vectors = {"pair": one_hot[None, :2], "loner": one_hot[None, 2:]}
        living = {"pair": alive[None, :2], "loner": alive[None, 2:]}
        observed = Observed(
            observation, {"pair": None, "loner": None}, living, (), dict.fromkeys(observation, ())
        )
        found = critics.of_actions(params, observed, vectors)
        return jnp.concatenate([found["pair"][0], found["loner"][0]])

    everyone = np.ones(3, bool)
    base = q(np.zeros(3, int), everyone)
    for i in range(3):
        changed = np.eye(3, dtype=int)[i]
        moved = (np.asarray(q(changed, everyone)) != np.asarray(base)).any(1)
        assert not moved[i] and moved[np.arange(3) != i].all()
        dead = np.arange(3) != i
        np.testing.assert_array_equal(q(changed, dead)[dead], q(np.zeros(3, int), dead)[dead])


def test_the_baseline_adds_no_bias():
    """Two agents, every joint action weighed by its probability: the gradient is the exact one."""
    payoff = RNG.normal(size=(3, 2))
    logits = [jnp.float32(RNG.normal(size=3)), jnp.float32(RNG.normal(size=2))]
    other = jax.nn.softmax(logits[1])

    def expected(weight, logits_0):
        pi = jax.nn.softmax(logits_0)
        entropy = -(pi * jnp.log(pi)).sum()
        return -(pi @ payoff @ other) - weight * entropy

    def sampled(weight, logits_0):
        """The mean over all joint actions of what a sample minimises, weights held."""
        pi = jax.lax.stop_gradient(jax.nn.softmax(logits_0))
        total = 0.0
        for a in range(3):
            for b in range(2):
                q = jnp.float32(payoff[:, b])
                total += pi[a] * other[b] * score_loss(logits_0, None, q, jnp.int32(a), weight)
        return total

    for weight in (0.0, 0.3):
        exact = jax.grad(lambda x, w=weight: expected(w, x))(logits[0])
        found = jax.grad(lambda x, w=weight: sampled(w, x))(logits[0])
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6)


def test_illegal_actions_have_no_gradient_whatever_they_are_worth():
    mask = jnp.array([True, False, True])
    slopes = [
        jax.grad(score_loss)(
            jnp.array([0.3, 5.0, 0.1]), mask, jnp.array([1.0, worth, 2.0]), jnp.int32(0), 0.1
        )
        for worth in (0.0, 1e6)
    ]
    np.testing.assert_allclose(*slopes, rtol=1e-6)
    assert slopes[0][1] == 0 and abs(slopes[0][0]) > 0


def test_heads_that_do_not_share_out_the_features_are_refused():
    with pytest.raises(ValueError, match=r"num_heads: expected a divisor of .*\(6,\), got 4"):
        maac(matrix_game("chicken"), Config(hidden=(6,)))
    with pytest.raises(ValueError, match='maac: needs discrete actions, group "aimer"'):
        maac(MixedGroups())


@pytest.mark.slow
def test_what_is_learnt_does_not_depend_on_the_unit_of_pay():
    """The entropy weighs against rewards in units of their deviation; four times is exact."""
    game = matrix_game("stag_hunt", num_rounds=4)
    config = Config(
        num_envs=4, rollout_length=5, num_gradient_steps=4, buffer_length=50, hidden=(8,)
    )

    @jax.jit
    def learnt(unit):
        """The actors' weights in a row, before learning and after."""
        env = game.replace(payoffs=unit * game.payoffs)
        algorithm = maac(env, config)
        train, _ = make_train(algorithm, env, Schedule(3))
        after, _ = train(jax.random.key(0), algorithm.hparams)
        before = algorithm.init(jax.random.split(jax.random.key(0))[0], algorithm.hparams)
        return [ravel_pytree(state.params.actors)[0] for state in (before, after)]

    (start, ours), (_, theirs) = learnt(1.0), learnt(4.0)
    assert np.isfinite(ours).all() and np.mean(ours != start) > 0.5
    assert np.array_equal(ours, theirs)


@pytest.mark.slow
def test_agents_settle_on_one_of_two_conventions():
    """Four rounds pay 10 each if both do the same, else nothing; play at random earns 20."""
    env = matrix_game("coordination", num_rounds=4)
    config = Config(
        num_envs=8, rollout_length=10, num_gradient_steps=10, buffer_length=1000, hidden=(16,)
    )
    algorithm = maac(env, config)
    train, _ = make_train(algorithm, env, Schedule(200, 200, 64, 4))
    hp = algorithm.hparams.replace(learning_rate=3e-3, tau=0.02, entropy=0.1, gamma=0.5)
    keys = jax.random.split(jax.random.key(0), 4)
    found = jax.jit(jax.vmap(lambda key: train(key, hp)[1]["eval_return"][-1]))(keys)
    np.testing.assert_array_equal(found, 40)
