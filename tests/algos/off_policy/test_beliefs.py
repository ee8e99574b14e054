"""What agents believe of others, and agents of several policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import MixedGroups
from scipy import stats

from jaxmarl_core.algos import maddpg, maddpg_ensemble, maddpg_inferred
from jaxmarl_core.algos.off_policy.action_vectors import standard_noise
from jaxmarl_core.algos.off_policy.batches import Observed
from jaxmarl_core.algos.off_policy.beliefs import divergence, model_loss, values_by_beliefs
from jaxmarl_core.algos.off_policy.networks import Ensemble, Network, init_network
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.algos.off_policy.playing import first_memory
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.train import Schedule, make_train

RNG = np.random.default_rng(0)
PARTS = Composite({"move": Discrete(3), "aim": Box((2,), 0.0, 4.0)})
SMALL = {
    "num_envs": 2,
    "rollout_length": 4,
    "num_gradient_steps": 2,
    "batch_size": 6,
    "buffer_length": 40,
    "hidden": (4,),
}


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_a_models_loss_is_likelihood_less_entropy():
    output = RNG.normal(size=7)  # three logits, two means, two deviations
    vector = np.array([0.0, 1.0, 0.0, 0.3, 1.0])  # the last is at its bound, where there is mass
    p, mean, std = softmax(output[:3]), output[3:5], np.exp(output[5:])
    likelihood = np.log(p[1]) + stats.norm.logpdf(0.3, mean[0], std[0])
    likelihood += stats.norm.logsf(1.0, mean[1], std[1])
    entropy = stats.entropy(p) + stats.norm.entropy(mean, std).sum()
    found = model_loss(PARTS, jnp.float32(output), None, jnp.float32(vector), jnp.float32(0.1))
    np.testing.assert_allclose(found, -likelihood - 0.1 * entropy, rtol=1e-4)


def test_divergence_is_that_of_the_policy_as_it_is_played():
    output, policy = RNG.normal(size=7), RNG.normal(size=5)
    p, q = softmax(output[:3]), softmax(policy[:3])
    mean, std, centre, scale = output[3:5], np.exp(output[5:]), np.tanh(policy[3:]), 0.2
    normal = np.log(scale / std) + (std**2 + (mean - centre) ** 2) / (2 * scale**2) - 0.5
    wanted = stats.entropy(p, q) + normal.sum()
    found = divergence(PARTS, jnp.float32(output), jnp.float32(policy), None, jnp.float32(scale))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.fixture(scope="module")
def inferring():
    algorithm = maddpg_inferred(MixedGroups(), Config(**SMALL))
    state = jax.jit(algorithm.init)(jax.random.key(0), algorithm.hparams)
    return algorithm, algorithm.update.args[0], state


def test_each_critic_follows_its_own_agents_models(inferring):
    """Changing agent 0's models moves the values of agent 0 alone; and not its own action's."""
    _, learner, state = inferring
    lives = {"choosers": np.ones((3, 2), bool), "aimer": np.ones((3, 1), bool)}
    observed = Observed(
        {"choosers": np.ones((3, 2), np.int32), "aimer": np.ones((3, 1, 2), np.float32)},
        {"choosers": None, "aimer": None},
        lives,
        (),
        dict.fromkeys(lives, ()),
    )
    vectors = {"choosers": jnp.eye(3)[jnp.zeros((3, 2), int)], "aimer": jnp.zeros((3, 1, 1))}
    noise = {
        stack.name: standard_noise(jax.random.key(5), stack.action, (3, stack.size))
        for stack in learner.actors.stacks
    }
    critics = state.params.critics

    @jax.jit
    def values(models):
        return values_by_beliefs(
            learner.beliefs, models, learner.critics, critics, observed, vectors, noise
        )[0]

    base = np.asarray(values(state.params.beliefs))
    shift = lambda observer, stack, agent: (
        state.params.beliefs
        | {
            stack: jax.tree.map(
                lambda x: x.at[observer, agent].add(3.0), state.params.beliefs[stack]
            )
        }
    )
    moved = np.asarray(values(shift(0, "aimer", 0))) != base
    assert moved[:, 0].any() and not moved[:, 1:].any()
    moved = np.asarray(values(shift(0, "choosers", 0))) != base
    assert not moved.any()


@pytest.mark.slow
def test_models_come_to_know_the_others_and_the_return_is_that_of_who_knows():
    env = MixedGroups()
    sizes = {"num_envs": 8, "rollout_length": 10, "num_gradient_steps": 10, "batch_size": 64}
    sizes |= {"buffer_length": 2000, "hidden": (32, 32)}
    returns = {}
    for build in (maddpg_inferred, maddpg):
        algorithm = build(env, Config(**sizes))
        train, _ = make_train(algorithm, env, Schedule(400, 400, 64, 5))
        hp = algorithm.hparams.replace(
            learning_rate=3e-3, critic_learning_rate=3e-3, tau=0.02, gamma=0.9, noise=0.3
        )
        hp = hp.replace(final_noise=0.3, learning_starts=500.0)
        keys = jax.random.split(jax.random.key(0), 4)
        metrics = jax.jit(jax.vmap(lambda key, hp=hp, train=train: train(key, hp)[1]))(keys)
        returns[build] = np.asarray(metrics["eval_return_mean_choosers"])[:, -1]
        if build is maddpg_inferred:
            kl = np.asarray(metrics["kl_beliefs"])
            early, late = kl[:, 10:30].mean(1), kl[:, -50:].mean(1)
            assert (late < early).all() and (late < 0.5).all(), (early, late)
    assert (returns[maddpg_inferred] > returns[maddpg].mean() - 0.2).all(), returns


def test_an_ensemble_puts_out_what_its_policy_does_and_teaches_no_other():
    network = Network(Box((2,)), 3, Config(hidden=(4,)), gain=1.0)
    ensemble = Ensemble(network, 3)
    params = init_network(ensemble, jax.random.key(0))
    observation = jnp.float32(RNG.normal(size=(5, 2)))
    policy = jnp.array([2, 0, 0, 2, 0])
    inputs = {"observation": observation, "policy": policy}
    found = ensemble.apply(params, inputs)
    for row, k in enumerate(policy):
        own = jax.tree.map(lambda x, k=k: x[k], params)
        np.testing.assert_allclose(found[row], network.apply(own, observation[row]), rtol=1e-5)
    grads = jax.grad(lambda params: jnp.sum(ensemble.apply(params, inputs) ** 2))(params)
    taught = np.array([any((x[k] != 0).any() for x in jax.tree.leaves(grads)) for k in range(3)])
    np.testing.assert_array_equal(taught, [True, False, True])


@pytest.mark.slow
def test_a_policy_is_drawn_for_each_episode_and_stored_with_its_steps():
    algorithm = maddpg_ensemble(MixedGroups(3), Config(**SMALL | {"num_policies": 4}))
    learner = algorithm.update.args[0]
    state = jax.jit(algorithm.init)(jax.random.key(0), algorithm.hparams)
    assert (first_memory(learner)["choosers"].policy == -1).all()
    once = jax.jit(algorithm.update)
    for index in range(10):
        key = jax.random.fold_in(jax.random.key(1), index)
        state, _ = once(key, state, algorithm.hparams, jnp.int32(index))
    drawn = np.concatenate([state.buffer.policy["choosers"], state.buffer.policy["aimer"]], -1)
    last = np.asarray(state.buffer.timestep.last)
    assert drawn.shape == (40, 2, 3) and set(drawn.reshape(-1)) == {0, 1, 2, 3}
    same = (drawn[1:] == drawn[:-1]).all(-1)
    assert same[~last[:-1]].all()  # within an episode
    assert not same[last[:-1]].all()  # from one to the next
    apart = drawn.reshape(-1, 3)
    assert (apart[:, 0] != apart[:, 1]).any()  # each for itself
