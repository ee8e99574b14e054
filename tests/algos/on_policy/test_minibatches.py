"""How a batch is cut: single steps without a memory, rollouts or chunks of them with one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, DyingAgents, OneBitMemory

from jaxmarl_core.algos import ippo
from jaxmarl_core.algos.on_policy import engine, value_critics
from jaxmarl_core.algos.on_policy.learning import (
    Batch,
    gradient_ascent,
    importance_weighted,
    surrogate_loss,
)
from jaxmarl_core.algos.on_policy.minibatches import (
    minibatch_of,
    minibatches,
    sequences,
    shuffled,
)
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.train import Schedule, make_train

KEY = jax.random.key(0)
T, B = 6, 4


def batch_of(config, value):
    """A batch whose advantages are `value` [T, B], and its memory the number of its chunk."""
    num_chunks = T // (config.chunk_length or T)
    memory = jnp.arange(num_chunks * B).reshape(num_chunks, B, 1) if config.memory_size else ()
    blank = Batch(*[jnp.zeros((T, B))] * len(Batch._fields))
    return blank._replace(advantage=jnp.asarray(value), memory=memory)


@pytest.mark.parametrize(
    ("options", "length"),
    [({}, 1), ({"memory_size": 2}, 6), ({"memory_size": 2, "chunk_length": 3}, 3)],
)
def test_an_epoch_is_every_sequence_once(options, length):
    """Steps are numbered b T + t, so that a sequence counts on from its first step."""
    config = Config(num_envs=B, rollout_length=T, num_epochs=2, num_minibatches=2, **options)
    number = np.arange(B * T).reshape(B, T).T
    cut = sequences(batch_of(config, number), config)
    assert cut.advantage.shape == (length, B * T // length)
    steps = minibatches(KEY, config, 2)
    assert steps.shape == (4, B * T // length // 2)
    for epoch in (steps[:2], steps[2:]):
        parts = [minibatch_of(cut, config)(which) for which in epoch]
        seen = np.concatenate([part.advantage for part in parts], 1)  # [L, S]
        np.testing.assert_array_equal(np.sort(seen[0]), np.arange(0, B * T, length))
        np.testing.assert_array_equal(seen, seen[0] + np.arange(length)[:, None])
        for part in parts if config.memory_size else ():
            chunk, b = part.advantage[0] % T // length, part.advantage[0] // T
            np.testing.assert_array_equal(part.memory[0, :, 0], chunk * B + b)
    assert (steps[:2] != steps[2:]).any()


def test_minibatches_of_steps_vary_as_draws_without_replacement_do():
    """What differs by environment alone: a variance of s^2 / m (N - m) / (N - 1), N steps, m drawn.

    That is 0.043 s^2; minibatches of two whole environments of four vary by s^2 / 3.
    """
    config = Config(num_envs=B, rollout_length=T, num_minibatches=2)
    value = np.tile(np.arange(B), (T, 1)).astype(np.float32)
    cut = sequences(batch_of(config, value), config)

    def mean(key):
        return minibatch_of(cut, config)(minibatches(key, config, 1)[0]).advantage.mean()

    means = jax.vmap(mean)(jax.random.split(KEY, 4000))
    n, m = B * T, B * T // 2
    expected = value.var() / m * (n - m) / (n - 1)
    np.testing.assert_allclose(means.var(), expected, rtol=0.1)  # deviation of a variance: 2 %


@pytest.mark.parametrize("size", [1, 6, 8])
def test_every_number_is_as_often_everywhere(size):
    """In 4000 orders, each number once in each, and 4000 / size times at each place."""
    orders = np.asarray(jax.vmap(lambda key: shuffled(key, size))(jax.random.split(KEY, 4000)))
    assert orders.dtype == np.int32
    np.testing.assert_array_equal(np.sort(orders, 1), np.tile(np.arange(size), (4000, 1)))
    counts = np.stack([np.bincount(place, minlength=size) for place in orders.T])
    deviation = np.sqrt(4000 / size * (1 - 1 / size))
    assert np.abs(counts - 4000 / size).max() <= 4.5 * deviation


@pytest.mark.fast("3")
@pytest.mark.parametrize("chunk_length", [2, 3, 6])
def test_gradients_end_where_a_chunk_begins(chunk_length):
    """One step after another by hand, from what was remembered before each chunk."""
    config = Config(
        num_envs=B, rollout_length=T, num_minibatches=1, hidden=(3,), memory_size=2,
        chunk_length=chunk_length,
    )  # fmt: skip
    actor = Actor(Box((2,)), Discrete(3), config)
    keys = jax.random.split(KEY, 7)
    num_chunks = T // chunk_length
    batch = Batch(
        jax.random.normal(keys[0], (T, B, 2)),
        None,
        jax.random.randint(keys[1], (T, B), 0, 3),
        jnp.full((T, B), -1.0),
        jax.random.normal(keys[2], (T, B)),
        jnp.ones((T, B)),
        jax.random.bernoulli(keys[3], 0.8, (T, B)),
        jax.random.bernoulli(keys[4], 0.3, (T, B)),
        jax.random.normal(keys[5], (num_chunks, B, 2)),
    )
    params = actor.init(keys[6], jnp.zeros(2), jnp.zeros(2))
    params = jax.tree.map(lambda x: x + 0.1, params)

    def by_hand(params):
        total = 0.0
        for t in range(T):
            if t % chunk_length == 0:
                memory = batch.memory[t // chunk_length]
            memory = jnp.where(batch.reset[t][:, None], 0, memory)
            memory, pi = actor.policy(params, memory, batch.observation[t], None)
            gain = jnp.exp(pi.log_prob(batch.action[t]) + 1) * batch.advantage[t]
            total += jnp.where(batch.counts[t], gain + 0.1 * pi.entropy(), 0).sum()
        return -total / batch.counts.sum()

    objective = lambda ratio: importance_weighted(ratio, None)
    ours = lambda params: surrogate_loss(
        params, params, actor, sequences(batch, config), objective, 0.1
    )[0]
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    both = [jax.jit(jax.value_and_grad(loss))(params) for loss in (ours, by_hand)]
    jax.tree.map(same, *both)


def test_memories_are_those_that_the_rollout_passed_through():
    """Of actors and critics, before each chunk of two steps; episodes end after three."""
    config = Config(
        num_envs=2, rollout_length=6, num_epochs=1, num_minibatches=1, hidden=(3,), share="group",
        memory_size=2, chunk_length=2, normalise_value="none",
    )  # fmt: skip
    env = DyingAgents(3)
    update = gradient_ascent(config, importance_weighted)
    parts = engine.build(env, config, value_critics.own_critics, update, simultaneous_update)
    state = engine.init(parts, KEY, Hparams())
    _, steps, memory = jax.jit(partial(engine.play_on, parts))(KEY, state)
    batch = engine.actor_batches(parts, state.params, steps, memory, Hparams())["agents"]
    step = lambda carried, seen: parts.actors.networks["agents"].policy(
        state.params.actors["agents"], carried, seen, None
    )[0]
    carried = jnp.zeros((2, 3, 2))
    for t in range(6):
        carried = jnp.where(batch.reset[t][:, None, None], 0, carried)
        if t % 2 == 0:
            np.testing.assert_allclose(memory["agents"][t // 2], carried, atol=1e-5)
        carried = step(carried, batch.observation[t])

    critic = value_critics.Critic(env.groups["agents"].observation, config)
    params = state.params.critics["agents"]
    values = partial(value_critics.predict, critic)
    given = params, jnp.ones((2, 3, 2)), batch.observation, batch.reset
    after, value, before = value_critics.unroll(values, *given, 2)
    expected = values(*given)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), (after, value), expected)
    carried = jnp.ones((2, 3, 2))
    for t in range(6):
        if t % 2 == 0:
            np.testing.assert_allclose(before[t // 2], carried, atol=1e-5)
        carried = values(params, carried, batch.observation[t][None], batch.reset[t][None])[0]


def learnt(**options):
    """The parameters that five updates lead to."""
    env = OneBitMemory(2)
    shape = {"num_envs": 4, "rollout_length": 6, "num_minibatches": 2, "hidden": (4,)}
    algorithm = ippo(env, Config(**shape, memory_size=3, **options))
    train, _ = make_train(algorithm, env, Schedule(5))
    return jax.jit(train)(KEY, algorithm.hparams)[0].params


@pytest.mark.slow
def test_a_chunk_as_long_as_the_rollout_is_the_rollout():
    same = jax.tree.map(np.array_equal, learnt(), learnt(chunk_length=6))
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_length": 2}, "chunk_length: expected 0 without a memory to unroll, got 2"),
        (
            {"memory_size": 2, "chunk_length": 4},
            "chunk_length: expected a divisor of 6 steps, got 4",
        ),
        ({"num_minibatches": 5}, "num_minibatches: expected a divisor of 24, the steps of an upd"),
        (
            {"memory_size": 2, "num_minibatches": 3},
            "num_minibatches: expected a divisor of 4, the sequences of an update, got 3",
        ),
    ],
)
def test_what_does_not_divide_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Config(num_envs=B, rollout_length=T, **options)
    ippo(ConstantReward(), Config(num_envs=4, rollout_length=6, memory_size=2, chunk_length=3))
