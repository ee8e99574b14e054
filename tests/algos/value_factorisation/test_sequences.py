"""Sequences with hand-made episodes: where they begin, what is in the loss, what only warms up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, OneBitMemory

from jaxmarl_core.algos import vdn
from jaxmarl_core.algos.value_factorisation import engine
from jaxmarl_core.algos.value_factorisation.factorisation import with_mixer
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.sequences import (
    Sequences,
    agent_values,
    memory_is_exact,
    warmed_up,
)
from jaxmarl_core.algos.value_factorisation.vdn import additive_mixer
from jaxmarl_core.envs import matrix_game

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
SMALL = {"num_envs": 2, "rollout_length": 8, "capacity": 8, "batch_size": 2, "hidden": ()}
PLAIN = SMALL | {"memory_size": 0, "agent_ids": False, "last_action": False}
HP = Hparams(gamma=0.9, td_lambda=0.7, optimiser_eps=0.01, max_grad_norm=1e6, learning_rate=0.1)


def made(**config):
    """(learner by itself in a world of three-step episodes, its state with weights drawn anew)."""
    env = OneBitMemory(1, 2)
    learner = engine.make_learner("test", env, Config(**config), with_mixer(additive_mixer))
    state = engine.init(learner, jax.random.key(0), HP)
    rng = np.random.default_rng(0)
    anew = lambda tree: jax.tree.map(lambda x: jnp.float32(rng.normal(size=x.shape) / 2), tree)
    params = state.params.replace(agents=anew(state.params.agents))
    return learner, state.replace(params=params, target=(anew(state.target[0]), state.target[1]))


# ---- where sequences begin


@pytest.mark.fast("5-6")
@pytest.mark.parametrize(("length", "num_updates"), [(3, 3), (5, 6), (1, 4)])
def test_no_sequence_begins_on_the_step_after_an_end(length, num_updates):
    """Episodes of 3 steps: as long as a sequence, shorter, and longer; every step is counted."""
    env = OneBitMemory(1, 2)
    config = Config(**PLAIN | {"rollout_length": length, "capacity": 2 * num_updates})
    algorithm = vdn(env, config)
    hp = algorithm.hparams.replace(epsilon=1.0, final_epsilon=1.0)
    state, update = algorithm.init(jax.random.key(0), hp), jax.jit(algorithm.update)
    figures = []
    for index in range(num_updates):
        state, metrics = update(jax.random.key(index), state, hp, jnp.int32(index))
        figures.append((float(metrics["env_steps"]), float(metrics["episode_count"])))
    last = np.asarray(state.buffer.timestep.last)  # [2 num_updates, length + 1]
    shown = np.asarray(state.buffer.timestep.observation["agents"])[..., 0]
    is_first = np.asarray(state.buffer.is_first)
    assert not last[:, 0].any()
    np.testing.assert_array_equal(shown[:, 0] != 2, is_first)  # the bit, at the first step only
    if length == 3:  # each sequence is an episode
        assert is_first.all()
        np.testing.assert_array_equal(last, np.tile(np.arange(4) == 3, (len(last), 1)))
    if length == 5:
        assert 0 < is_first.mean() < 1
    by_update = last.reshape(num_updates, 2, length + 1)
    np.testing.assert_array_equal(
        figures, np.stack([(~by_update[:, :, :-1]).sum((1, 2)), by_update[:, :, 1:].sum((1, 2))], 1)
    )


def test_all_steps_of_one_round_games_are_played():
    env = matrix_game("coordination", num_rounds=1)
    algorithm = vdn(env, Config(**PLAIN | {"rollout_length": 1, "capacity": 2}))
    state, update = algorithm.init(jax.random.key(0), algorithm.hparams), jax.jit(algorithm.update)
    for index in range(3):
        state, metrics = update(jax.random.key(1), state, algorithm.hparams, jnp.int32(index))
        assert (metrics["env_steps"], metrics["episode_count"]) == (2, 2)
        assert metrics["episode_length"] == 1


# ---- what is in the loss

T = 8
ENDS = {0: {2: False, 6: True}, 1: {4: True}}  # sequence -> row -> whether it truly ended there


def handmade(rng):
    """Sequences [2, T + 1]: one begins inside of an episode, the other with one."""
    env = OneBitMemory(1, 2)
    _, timestep = env.reset(jax.random.key(0))
    last, discount = np.zeros((2, T + 1), bool), np.ones((2, T + 1, 1), np.float32)
    for b, ends in ENDS.items():
        for row, truly in ends.items():
            last[b, row], discount[b, row] = True, 1.0 - truly
    timestep = timestep.replace(
        observation={"agents": rng.integers(0, 3, (2, T + 1, 1)).astype("i4")},
        alive={"agents": np.ones((2, T + 1, 1), bool)},
        reward={"agents": rng.normal(size=(2, T + 1, 1)).astype("f4")},
        discount={"agents": discount},
        last=last,
        state=(),
        extras={},
    )
    actions = {"agents": rng.integers(0, 2, (2, T, 1)).astype("i4")}
    is_first = np.array([False, True])
    return timestep, actions, is_first


def episodes(b):
    """(first row, last row) of the episodes that sequence b has steps of."""
    ends = [*ENDS[b], T]
    return list(zip([0, *[row + 1 for row in ends[:-1]]], ends))


def test_the_loss_is_that_of_each_episode_by_itself():
    """Targets of TD(lambda) in NumPy, episode by episode, each as if there were no other."""
    learner, state = made(**PLAIN)
    timestep, actions, is_first = handmade(np.random.default_rng(1))
    table = lambda agents: sum(
        np.float64(agents["agents"]["params"]["Dense_0"][part]) for part in ("kernel", "bias")
    )
    online, target = table(state.params.agents), table(state.target[0])
    errors = []
    for b in range(2):
        x, a = timestep.observation["agents"][b, :, 0], actions["agents"][b, :, 0]
        r, d = timestep.reward["agents"][b, :, 0], timestep.discount["agents"][b, :, 0]
        for start, end in episodes(b):
            v = [target[x[t]][online[x[t]].argmax()] for t in range(start, end + 1)]
            goal = v[-1]
            for t in reversed(range(start, end)):
                goal = r[t + 1] + 0.9 * d[t + 1] * (0.3 * v[t + 1 - start] + 0.7 * goal)
                errors.append(goal - online[x[t], a[t]])
    assert len(errors) == 2 * T - 3  # all but the steps after the three ends
    weights = state.params.agents, state.params.joint

    @jax.jit
    def loss(timestep, actions):
        memory = jax.tree.map(lambda x: x, state.play.memory)
        batch = engine.Batch(Sequences(timestep, actions, memory, is_first), jnp.arange(2), None)
        return jax.grad(engine.loss, has_aux=True)(weights, learner, state.target, batch, HP)

    gradient, (metrics, _) = loss(timestep, actions)
    np.testing.assert_allclose(metrics["loss"], np.mean(np.square(errors)) / 2, **CLOSE)

    # what is told of the steps after ends, nobody reads
    reward, taken = timestep.reward["agents"].copy(), actions["agents"].copy()
    for b, ends in ENDS.items():
        for row in ends:
            reward[b, row + 1], taken[b, row] = np.nan, 1 - taken[b, row]
    again, (others, _) = loss(timestep.replace(reward={"agents": reward}), {"agents": taken})
    jax.tree.map(np.testing.assert_array_equal, (gradient, metrics), (again, others))


# ---- burn-in


def test_what_warms_up_is_in_no_loss_but_what_begins_in_the_sequence_is():
    timestep, actions, is_first = handmade(np.random.default_rng(1))
    time_first = timestep.replace(last=timestep.last.T)
    sequences = Sequences(time_first, actions, {}, is_first)
    exact = np.ones((T + 1, 2), bool)
    exact[:3, 0] = False  # rows 0 to 2 are of an episode that began earlier
    np.testing.assert_array_equal(memory_is_exact(sequences), exact)
    for burn_in in range(T):
        expected = exact[:-1].copy()
        expected[burn_in:] = True
        np.testing.assert_array_equal(warmed_up(sequences, burn_in), expected)


RECURRENT = SMALL | {"memory_size": 3, "hidden": (4,), "agent_ids": False}


@pytest.mark.fast("4")
@pytest.mark.parametrize("burn_in", [2, 4])
def test_no_gradient_flows_into_what_warms_up(burn_in):
    """Values are those without a burn-in; gradients those of steps taken one by one from there.

    Sequence 0 begins inside of an episode: after 2 steps its memory is not exact, and held still;
    after 4 steps another episode has begun. Sequence 1 begins with its episode.
    """
    learner, state = made(**RECURRENT, burn_in=burn_in)
    plain, _ = made(**RECURRENT)
    timestep, actions, is_first = handmade(np.random.default_rng(2))
    memory = jax.tree.map(
        lambda x: (
            jnp.float32(np.random.default_rng(3).normal(size=x.shape))
            if x.dtype == jnp.float32
            else jnp.array([[1], [-1]], x.dtype)
        ),
        state.play.memory,
    )
    memory["agents"] = memory["agents"]._replace(
        hidden=memory["agents"].hidden.at[1].set(0.0)
    )  # of an episode that begins
    sequences = engine.time_first(Sequences(timestep, actions, memory, is_first))
    weigh = jnp.float32(np.random.default_rng(4).normal(size=(T + 1, 2, 1, 2)))
    weigh = weigh.at[: min(burn_in, 3), 0].set(0.0)  # what is in no loss
    stacks = learner.stacks

    def value(params, learner):
        return (weigh * agent_values(stacks, learner.networks, params, sequences).q[0]).sum()

    def one_by_one(params, frozen):
        """The same, step by step; sequence 0 is played by frozen weights for `burn_in` steps."""
        network, total = plain.networks["agents"], 0.0
        for b in range(2):
            hidden = memory["agents"].hidden[b]
            before = memory["agents"].last_action[b]
            for t in range(T + 1):
                if t > 0 and timestep.last[b, t - 1]:
                    hidden, before = jnp.zeros_like(hidden), jnp.array([-1])
                held = b == 0 and t < burn_in and not timestep.last[b, :t].any()
                shown = jnp.asarray(timestep.observation["agents"][b, t])
                seen = {"observation": shown, "last_action": before}
                hidden, (q, _) = network.apply((frozen if held else params)["agents"], hidden, seen)
                total += (weigh[t, b] * q).sum()
                before = jnp.asarray(actions["agents"][b, t]) if t < T else before
        return total

    params = state.params.agents
    found, slope = jax.jit(jax.value_and_grad(lambda params: value(params, learner)))(params)
    np.testing.assert_allclose(found, jax.jit(lambda params: value(params, plain))(params), **CLOSE)
    expected, by_hand = jax.jit(jax.value_and_grad(one_by_one))(params, params)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), slope, by_hand
    )


def test_rewards_of_the_steps_that_warm_up_change_no_loss():
    """Two steps warm up in sequence 0, which begins inside of an episode; none in sequence 1."""
    learner, state = made(**RECURRENT, burn_in=2)
    timestep, actions, is_first = handmade(np.random.default_rng(1))
    weights = state.params.agents, state.params.joint

    @jax.jit
    def loss(reward):
        told = timestep.replace(reward={"agents": reward})
        batch = engine.Batch(
            Sequences(told, actions, state.play.memory, is_first), jnp.arange(2), None
        )
        hp = HP.replace(td_lambda=0.0)  # the reward of a step is in its own target alone
        return engine.loss(weights, learner, state.target, batch, hp)[0]

    reward = timestep.reward["agents"]
    before = loss(reward)
    for b, t in np.ndindex(2, T):
        other = reward.copy()
        other[b, t + 1] += 1.0  # of the action at t
        warms_up, ends = b == 0 and t < 2, t in ENDS[b]
        assert (loss(other) == before) == (warms_up or ends), (b, t)


def test_a_burn_in_leaves_steps_to_learn_from_and_needs_a_memory():
    with pytest.raises(ValueError, match="burn_in: expected at most 25, to leave a step to learn"):
        Config(burn_in=26)
    with pytest.raises(ValueError, match=r"burn_in: expected 0 without a memory .*, got 3"):
        Config(memory_size=0, burn_in=3)
    with pytest.raises(ValueError, match="burn_in: expected at least 0, got -1"):
        Config(burn_in=-1)


# ---- when learning starts, and long runs


def test_nothing_moves_before_learning_starts():
    """16 steps an update: with 33 of them wanted, the third update is the first to learn."""
    env = ConstantReward(1, 5)
    algorithm = vdn(env, Config(**PLAIN | {"replay": "prioritised", "num_gradient_steps": 2}))
    hp = algorithm.hparams.replace(
        learning_starts=jnp.float32(33), target_period=jnp.float32(1), tau=jnp.float32(0.5)
    )
    state, update = algorithm.init(jax.random.key(0), hp), jax.jit(algorithm.update)
    learnt = lambda s: (s.params.agents, s.params.joint, s.target, s.optimiser)
    for index in range(3):
        before = state
        state, metrics = update(jax.random.key(index), state, hp, jnp.int32(index))
        assert metrics["env_steps"] > 0
        assert all(np.isfinite(metrics[name]) for name in ("loss", "q", "gradient_steps"))
        if index < 2:
            jax.tree.map(np.testing.assert_array_equal, learnt(state), learnt(before))
            assert metrics["gradient_steps"] == metrics["loss"] == metrics["q"] == 0
            np.testing.assert_array_equal(state.priorities, np.arange(8) < 2 * (index + 1))
    assert metrics["gradient_steps"] == 2 and metrics["loss"] > 0
    for new, old in zip(map(jax.tree.leaves, learnt(state)), map(jax.tree.leaves, learnt(before))):
        assert not new or any((a != b).any() for a, b in zip(new, old))


def test_the_importance_exponent_rises_to_one():
    """Priorities 4 and 1 at exponent 1: the weight of the first is 4^-beta."""
    config = Config(**PLAIN | {"batch_size": 50, "replay": "prioritised"})
    replay = engine.REPLAYS["prioritised"](config)
    priorities = jnp.zeros(8).at[jnp.array([0, 1])].set(jnp.array([4.0, 1.0]))
    hp = HP.replace(priority=1.0, importance=0.4, importance_updates=10.0)
    for index, beta in ((0, 0.4), (5, 0.7), (10, 1.0), (400_000_000, 1.0)):
        batch = replay.sample(
            jax.random.key(0), jnp.arange(8), priorities, None, jnp.int32(index), 0, hp
        )
        weight = np.asarray(batch.importance_weight)[np.asarray(batch.positions) == 0]
        np.testing.assert_allclose(weight, 4**-beta, rtol=1e-5)


def test_after_three_billion_steps_all_schedules_stand_where_they_should():
    """16 steps an update: past 2^31 steps, and past what a float32 counts one by one."""
    late = 3_000_000_000 // 16 + 1
    assert 16 * late > 2**31
    algorithm = vdn(ConstantReward(1, 5), Config(**PLAIN))
    hp = algorithm.hparams.replace(
        explore_steps=4e9, final_epsilon=0.0, target_period=3.0, learning_starts=2.9e9
    )
    state, update = algorithm.init(jax.random.key(0), hp), jax.jit(algorithm.update)
    written = []
    for index in range(late, late + 6):
        before = state
        state, metrics = update(jax.random.key(index), state, hp, jnp.int32(index))
        np.testing.assert_allclose(metrics["epsilon"], 0.25, rtol=1e-5)
        assert metrics["gradient_steps"] == 1
        moved = any(
            (a != b).any()
            for a, b in zip(jax.tree.leaves(state.target), jax.tree.leaves(before.target))
        )
        assert moved == ((index + 1) // 3 > index // 3)
        changed = np.asarray(state.buffer.timestep.alive["agents"])[..., 0, 0]
        written.append(np.flatnonzero(changed).tolist())
    slots = [[2 * (index % 4), 2 * (index % 4) + 1] for index in range(late, late + 6)]
    for i, filled in enumerate(written):
        assert filled == sorted({slot for both in slots[: i + 1] for slot in both})


@pytest.mark.parametrize("period", [1.0, 2.5, 7.0, 1000.0])
@pytest.mark.parametrize("first", [0, 2**24 - 3, 2**31 - 3000])
def test_the_target_moves_once_a_period_however_late(period, first):
    """Against whole numbers: twice the period is one."""
    double = int(2 * period)
    indices = np.arange(first, first + 2500, dtype=np.int64)
    due = 2 * (indices + 1) // double > 2 * indices // double
    hp = Hparams(tau=0.25, target_period=period)
    found = jax.vmap(lambda i: engine.target_step_size(hp, i))(jnp.asarray(indices, jnp.int32))
    np.testing.assert_array_equal(found, np.where(due, 0.25, 0.0))
