"""Agents who learn one after another: the order, the compound ratio, and why it is right."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import OneBitMemory

from jaxmarl_core.algos import haa2c, happo, mappo
from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.learning import (
    ActorUpdate,
    Batch,
    action_distribution,
    clipping_drift,
    trust_region,
)
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config, trust_region_hparams
from jaxmarl_core.algos.on_policy.order import Actors, ActorState, sequential_update
from jaxmarl_core.envs import matrix_game, simple_spread
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.learners.turns import drawn_order
from jaxmarl_core.train import Schedule, make_train

SMALL = {"num_envs": 8, "rollout_length": 6, "hidden": (8,)}


def test_the_order_is_a_permutation_drawn_fresh_each_update_and_alike_in_all_runs():
    orders = np.array(jax.vmap(lambda i: drawn_order(i, 4))(jnp.arange(240)))
    np.testing.assert_array_equal(np.sort(orders, 1), np.tile(np.arange(4), (240, 1)))
    counts = np.array(
        [(orders == order).all(1).sum() for order in itertools.permutations(range(4))]
    )
    # 24 orders, 10 expected of each: the 0.999 quantile of chi-square with 23 degrees of freedom
    assert ((counts - 10) ** 2 / 10).sum() < 49.7


def random_team(rng, num_agents=3):
    """A team game of agents in one group, and one whose agents are groups of their own."""
    alike = from_payoffs(
        np.broadcast_to(table := rng.normal(size=(3,) * num_agents), (num_agents, *table.shape))
    )
    different = rng.normal(size=(2, 3, 4)[:num_agents])
    return alike, from_payoffs(np.broadcast_to(different, (num_agents, *different.shape)))


@pytest.mark.parametrize("kind", [0, 1], ids=["one group", "several groups"])
@pytest.mark.parametrize("share", ["none", "group"])
def test_the_compound_ratio_against_numpy(kind, share):
    """Each agent moves by a known amount; what it is told of those before it, in float64."""
    rng = np.random.default_rng(kind)
    env = random_team(rng)[kind]
    config = Config(share=share, hidden=())
    stacks = agent_stacks(env, share, False)
    actors = {stack.name: Actor(stack.observation, stack.action, config) for stack in stacks}
    sizes = [stack.action.num_values for stack in stacks for _ in range(stack.size)]
    num, (t, b) = len(sizes), (4, 5)
    advantage = rng.normal(size=(t, b, num))
    counts = rng.random((t, b, num)) < 0.8
    actions = np.stack([rng.integers(0, n, (t, b)) for n in sizes], -1)
    # a policy of the one observation is the softmax of its bias
    biases = [
        rng.normal(size=stack.action.num_values * (stack.size if stack.separate else 1))
        for stack in stacks
    ]
    biases = [
        x.reshape(stack.size, -1) if stack.separate else x for x, stack in zip(biases, stacks)
    ]
    log_softmax = lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))
    of_agent = [
        bias[i] if stack.separate else bias
        for stack, bias in zip(stacks, biases)
        for i in range(stack.size)
    ]
    log_prob = np.stack([log_softmax(x)[actions[..., i]] for i, x in enumerate(of_agent)], -1)

    def push(n):  # how far a step moves the biases
        return 0.4 * np.arange(n) / n

    def step(actor, key, params, opt_state, batch, hp, update_index):
        bias = params["params"]["Dense_0"]["bias"]
        moved = bias + jnp.float32(push(len(bias)))
        params = {"params": {"Dense_0": params["params"]["Dense_0"] | {"bias": moved}}}
        told = jnp.where(batch.counts, batch.advantage, 0).sum()
        return params, opt_state, {"told": told}

    params = {
        stack.name: {
            "params": {
                "Dense_0": {
                    "kernel": jnp.zeros(
                        (*([stack.size] if stack.separate else []), 1, stack.action.num_values)
                    ),
                    "bias": jnp.float32(bias),
                }
            }
        }
        for stack, bias in zip(stacks, biases)
    }
    batches = {}
    for stack in stacks:
        own = slice(stack.first, stack.first + stack.size)
        batches[stack.name] = Batch(
            jnp.zeros((t, b, stack.size), jnp.int32),
            None,
            jnp.int32(actions[..., own]),
            jnp.float32(log_prob[..., own]),
            jnp.float32(advantage[..., own]),
            jnp.ones((t, b, stack.size)),
            jnp.asarray(counts[..., own]),
            jnp.zeros((t, b), bool),
            (),
        )
    learners = Actors(stacks, actors, ActorUpdate(lambda p: (), step))
    learn = jax.jit(partial(sequential_update, learners))
    index = jnp.int32(3)
    start = ActorState(params, {stack.name: () for stack in stacks})
    (after, _), figures = learn(jax.random.key(0), start, batches, None, index)

    m, told = np.ones((t, b)), []
    stack_of = [k for k, stack in enumerate(stacks) for _ in range(stack.size)]
    shared = [None if stack.separate else np.array(bias) for stack, bias in zip(stacks, biases)]
    for i in np.array(drawn_order(index, num)):
        told.append(np.where(counts[..., i], m * advantage[..., i], 0).sum())
        before = of_agent[i] if shared[stack_of[i]] is None else shared[stack_of[i]]
        now = before + push(len(before))
        if shared[stack_of[i]] is not None:
            shared[stack_of[i]] = now
        change = (log_softmax(now) - log_softmax(before))[actions[..., i]]
        m = m * np.where(counts[..., i], np.exp(change), 1)
    np.testing.assert_allclose(figures["told"], np.mean(told), rtol=1e-5)
    np.testing.assert_allclose(figures["compound_ratio"], m.mean(), rtol=1e-5)
    for stack, bias in zip(stacks, biases):
        moves = 1 if stack.separate else stack.size
        moved = after[stack.name]["params"]["Dense_0"]["bias"]
        np.testing.assert_allclose(moved, bias + moves * push(bias.shape[-1]), rtol=1e-5)


def test_advantages_decompose_and_the_compound_ratio_estimates_each_part():
    """A random Markov game of three agents, everything exact in float64.

        A(s, a) = sum over i of A_i(s, a before i, a_i)      (the decomposition)
        E over old a of  M (r_i - 1) A(s, a)  =  E over new a before i and a_i of A_i

    Kuba et al., 2021, lemma 1 and proposition 2.
    """
    rng = np.random.default_rng(0)
    states, sizes, gamma = 4, (2, 3, 2), 0.9
    reward = rng.normal(size=(states, *sizes))
    transition = rng.dirichlet(np.ones(states), (states, *sizes))
    old = [rng.dirichlet(np.ones(n), states) for n in sizes]
    new = [rng.dirichlet(np.ones(n), states) for n in sizes]
    joint = lambda pi: np.einsum("sa,sb,sc->sabc", *pi)
    transition_old = np.einsum("sabc,sabct->st", joint(old), transition)
    value = np.linalg.solve(
        np.eye(states) - gamma * transition_old, (joint(old) * reward).sum((1, 2, 3))
    )
    q = reward + gamma * transition @ value
    advantage = q - value[:, None, None, None]
    np.testing.assert_allclose((joint(old) * advantage).sum((1, 2, 3)), 0, atol=1e-12)

    for order in itertools.permutations(range(3)):
        total = np.zeros_like(q)
        for k, agent in enumerate(order):
            # Q of the agents before and including, the rest playing the old policy
            def mean_over(rest):
                found = q
                for j in rest:
                    shape = [states, 1, 1, 1]
                    shape[j + 1] = sizes[j]
                    found = (found * old[j].reshape(shape)).sum(j + 1, keepdims=True)
                return found

            part = mean_over(order[k + 1 :]) - mean_over(order[k:])
            total = total + part
            m = np.ones((states, 1, 1, 1))
            for j in order[:k]:
                shape = [states, 1, 1, 1]
                shape[j + 1] = sizes[j]
                m = m * (new[j] / old[j]).reshape(shape)
            shape = [states, 1, 1, 1]
            shape[agent + 1] = sizes[agent]
            ratio = (new[agent] / old[agent]).reshape(shape)
            estimated = (joint(old) * m * (ratio - 1) * advantage).sum((1, 2, 3))
            mixed = [new[j] if j in order[: k + 1] else old[j] for j in range(3)]
            exact = (joint(mixed) * np.broadcast_to(part, q.shape)).sum((1, 2, 3))
            np.testing.assert_allclose(estimated, exact, atol=1e-12)
        np.testing.assert_allclose(total, advantage, atol=1e-12)


def learned(algorithm, env, num_updates=5, **hparams):
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    given = {name: jnp.float32(value) for name, value in hparams.items()}
    return jax.jit(train)(jax.random.key(0), algorithm.hparams.replace(**given))


@pytest.mark.parametrize("memory_size", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_happo_with_one_agent_is_ppo(memory_size):
    env = OneBitMemory(1)
    config = Config(**SMALL, num_minibatches=1, memory_size=memory_size, share="none")
    one, _ = learned(happo(env, config), env)
    other, _ = learned(mappo(env, config), env)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(same, one.params, other.params)


@pytest.mark.slow
def test_happo_without_clipping_and_in_one_epoch_is_the_policy_gradient():
    env = matrix_game("climbing")
    config = Config(**SMALL, num_minibatches=1, num_epochs=1)
    one, _ = learned(happo(env, config), env, clip=1e6)
    other, _ = learned(haa2c(env, config), env)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(same, one.params, other.params)


@pytest.mark.slow
def test_happo_is_its_template():
    env = matrix_game("climbing")
    config = Config(**SMALL)
    one, _ = learned(happo(env, config), env)
    other, _ = learned(haml(env, config, drift=clipping_drift), env)
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    with pytest.raises(ValueError, match="drift: expected None where a neighbourhood is given"):
        haml(env, config, drift=clipping_drift, neighbourhood=trust_region())


@pytest.mark.slow
def test_states_may_be_sampled_by_their_step_in_the_episode():
    """Counting only first steps, in a game of two rounds, equals learning from them alone."""
    env = matrix_game("climbing", num_rounds=2)
    config = Config(**SMALL)
    first_only = lambda step, hp: (step == 0).astype(jnp.float32)
    state, _ = learned(haml(env, config, sampling=first_only), env)
    plain, _ = learned(haml(env, config), env)
    none, _ = learned(haml(env, config, sampling=lambda step, hp: 0.0 * step), env, entropy=0.0,
                      final_entropy=0.0)  # fmt: skip
    start = haml(env, config).init(
        jax.random.split(jax.random.key(0))[0], haml(env, config).hparams
    )
    flat = lambda tree: jax.flatten_util.ravel_pytree(tree)[0]
    np.testing.assert_allclose(flat(none.params.actors), flat(start.params.actors), atol=1e-6)
    assert not np.allclose(flat(state.params.actors), flat(plain.params.actors), atol=1e-4)


@pytest.mark.slow
def test_each_of_200_trust_region_steps_is_small_enough_and_an_improvement():
    """Watched from inside: what an accepted step is too long by, or loses, must stay 0."""
    region = trust_region()

    def watched(*args):
        params, opt_state, figures = region.update(*args)
        batch, hp = args[4], args[5]
        actor, before = args[0], args[2]
        old, new = (action_distribution(actor, p, batch) for p in (before, params))
        mean = lambda x: jnp.where(batch.counts, x, 0).sum() / batch.counts.sum()
        kl = mean(old.kl_divergence(new))
        ratio = jnp.exp(new.log_prob(batch.action) - batch.log_prob)
        gain = mean(batch.advantage * (ratio - 1))
        accepted = figures["accepted"] > 0
        figures["too_long"] = jnp.where(accepted, jnp.maximum(kl - hp.max_kl, 0), 0)
        figures["no_gain"] = (accepted & (gain <= 0)).astype(jnp.float32)
        return params, opt_state, figures

    env = simple_spread(max_steps=10)
    config = Config(num_envs=4, rollout_length=11, hidden=(8,), num_minibatches=1)
    algorithm = haml(
        env, config, neighbourhood=ActorUpdate(region.init, watched), hparams=trust_region_hparams()
    )
    _, metrics = learned(algorithm, env, 200)
    np.testing.assert_array_equal(metrics["too_long"], 0)
    np.testing.assert_array_equal(metrics["no_gain"], 0)
    assert metrics["accepted"].mean() > 0.95
    assert (metrics["kl"] <= 0.01).all() and metrics["kl"].mean() > 0.003
