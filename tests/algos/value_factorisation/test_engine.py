"""The engine of value factorisation: what it stores, what it learns from, one step by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, DyingAgents, MixedGroups, OneBitMemory, TwoTeams

from jaxmarl_core import hparams
from jaxmarl_core.algos import cw_qmix, iql, ow_qmix, qmix, qplex, qtran, qtran_alt, vdn
from jaxmarl_core.algos.value_factorisation import engine
from jaxmarl_core.algos.value_factorisation.networks import agent_network
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams, target_step_size
from jaxmarl_core.algos.value_factorisation.rewards import (
    Rewards,
    own_rewards,
    shared_rewards,
    team_reward,
)
from jaxmarl_core.algos.value_factorisation.sequences import (
    agent_values,
    last_actions,
    observe_with_last_action,
    resets,
    time_first,
)
from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.train import Schedule, make_train

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def first(tree):
    return jax.tree.map(lambda leaf: leaf[0], tree)


# ---- one step by hand


LINEAR = {
    "num_envs": 1,
    "rollout_length": 8,
    "capacity": 2,
    "batch_size": 3,  # of the one sequence there is
    "hidden": (),
    "memory_size": 0,
    "agent_ids": False,
    "last_action": False,
}


def dqn_step(weights, aim, rows, gamma, rate, eps):
    """Weights of a linear Q after one step of Adam down the double-DQN loss, in float64.

    `rows` are the stored time steps of one environment, in order; the first step of Adam moves
    every weight by rate g / (|g| + eps).
    """
    observation, action, reward, discount, last = rows
    kernel, bias = weights
    d_kernel, d_bias, count = np.zeros_like(kernel), np.zeros_like(bias), 0
    for t in range(len(action)):
        if last[t]:
            continue
        x, a = observation[t], action[t]
        best = (observation[t + 1] @ kernel + bias).argmax()
        ahead = (observation[t + 1] @ aim[0] + aim[1])[best]
        error = reward[t + 1] + gamma * discount[t + 1] * ahead - (x @ kernel + bias)[a]
        d_kernel[:, a] -= error * x
        d_bias[a] -= error
        count += 1
    step = lambda w, g: w - rate * (g / count) / (np.abs(g / count) + eps)
    return step(kernel, d_kernel), step(bias, d_bias)


@pytest.mark.parametrize("build", [vdn, iql])
def test_with_one_agent_it_is_double_dqn(build):
    """One update against deep Q-learning written out: play, ends, targets, loss, Adam."""
    env = OneBitMemory(1, 2)
    algorithm = build(env, Config(**LINEAR))
    hp = Hparams(learning_rate=0.1, gamma=0.9, max_grad_norm=1e6, optimiser_eps=0.01)
    start = algorithm.init(jax.random.key(1), hp)
    rng = np.random.default_rng(0)
    other = lambda tree: jax.tree.map(lambda x: jnp.float32(rng.normal(size=x.shape)), tree)
    start = start.replace(
        params=start.params.replace(agents=other(start.params.agents)),
        target=(other(start.target[0]), start.target[1]),
    )
    state, _ = jax.jit(algorithm.update)(jax.random.key(2), start, hp, jnp.int32(0))
    weights = lambda agents: tuple(
        np.float64(agents["agents"]["params"]["Dense_0"][x]) for x in ("kernel", "bias")
    )
    stored = first(state.buffer)
    timestep = jax.tree.map(np.float64, stored.timestep)
    rows = (
        np.eye(3)[stored.timestep.observation["agents"][:, 0]],
        np.asarray(stored.actions["agents"][:, 0]),
        timestep.reward["agents"][:, 0],
        timestep.discount["agents"][:, 0],
        np.asarray(stored.timestep.last),
    )
    assert rows[4].sum() == 2 and set(rows[1]) == {0, 1}  # two whole episodes
    expected = dqn_step(
        weights(start.params.agents), weights(start.target[0]), rows, 0.9, 0.1, 0.01
    )
    for ours, theirs in zip(weights(state.params.agents), expected):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


# ---- targets and rewards


def random_rewards(rng, k=2):
    reward, value = rng.normal(size=(6, 2, k)), rng.normal(size=(7, 2, k))
    discount = (rng.random((6, 2, k)) < 0.8).astype(float)
    valid = rng.random((6, 2)) < 0.7
    rewards = Rewards(*map(jnp.asarray, (reward, discount, discount > -1, valid)))
    return jax.tree.map(lambda x: x if x.dtype == bool else jnp.float32(x), rewards), value


@pytest.mark.parametrize("td_lambda", [0.0, 0.6, 1.0])
def test_targets_of_td_lambda(td_lambda):
    rewards, value = random_rewards(np.random.default_rng(0))
    hp = Hparams(gamma=0.9, td_lambda=td_lambda)
    found = engine.td_targets(rewards, jnp.float32(value), hp, Config())
    reward, discount, valid = (
        np.float64(x) for x in (rewards.reward, rewards.discount, rewards.valid)
    )
    for b, k in np.ndindex(2, 2):
        g = value[6, b, k]
        for t in reversed(range(6)):
            mix = (1 - td_lambda) * value[t + 1, b, k] + td_lambda * g
            g = reward[t, b, k] + 0.9 * discount[t, b, k] * mix if valid[t, b] else value[t, b, k]
            if valid[t, b]:
                np.testing.assert_allclose(found[t, b, k], g, **CLOSE)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_targets_of_n_steps(n):
    rewards, value = random_rewards(np.random.default_rng(1))
    found = engine.td_targets(rewards, jnp.float32(value), Hparams(gamma=0.9), Config(n_step=n))
    reward, discount, valid = (
        np.asarray(x) for x in (rewards.reward, rewards.discount, rewards.valid)
    )
    for b, k, t in np.ndindex(2, 2, 6):
        if not valid[t, b]:
            continue
        total, weight, at = 0.0, 1.0, t
        while at < min(t + n, 6) and valid[at, b]:
            total += weight * reward[at, b, k]
            weight *= 0.9 * discount[at, b, k]
            at += 1
        np.testing.assert_allclose(found[t, b, k], total + weight * value[at, b, k], **CLOSE)


def test_what_is_paid_and_to_whom():
    """Rows 0 to 3 of one episode, in which agent i dies on arriving at row i + 1; row 4 is new."""
    env = TwoTeams()
    whole = agent_stacks(env, "group", False)
    alive = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]], bool)
    reward = np.arange(15.0).reshape(5, 3) + 1
    part = lambda x: {"pair": jnp.asarray(x)[:, None, :2], "loner": jnp.asarray(x)[:, None, 2:]}
    timestep = env.reset(jax.random.key(0))[1].replace(
        alive=part(alive),
        reward=part(np.float32(reward)),
        discount=part(np.float32(alive)),
        last=jnp.array([[False], [False], [False], [True], [False]]),
    )
    own = own_rewards(whole)(timestep)
    np.testing.assert_array_equal(
        own.reward[:, 0], [[4, 5, 6], [0, 8, 9], [0, 0, 12], [0, 0, 0]]
    )  # on arriving alive or dying; nothing for the dead
    np.testing.assert_array_equal(own.discount[:, 0], alive[1:])
    in_loss = [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(own.in_loss[:, 0], in_loss)
    np.testing.assert_array_equal(own.valid[:, 0], [True, True, True, False])
    mates = shared_rewards(whole)(timestep)
    np.testing.assert_array_equal(mates.reward[:3, 0], [[4.5, 4.5, 6], [4, 4, 9], [0, 0, 12]])
    np.testing.assert_array_equal(mates.in_loss, own.in_loss)
    team = team_reward(whole)(timestep)
    np.testing.assert_allclose(team.reward[:3, 0, 0], [5, 17 / 3, 4])
    np.testing.assert_array_equal(team.discount[:3, 0, 0], [1, 1, 0])
    np.testing.assert_array_equal(team.in_loss[:, 0, 0], [True, True, True, False])


# ---- sequences

SMALL = {"num_envs": 2, "rollout_length": 5, "capacity": 6, "batch_size": 4, "hidden": (8,)}


@pytest.fixture(scope="module")
def played():
    """A recurrent learner that never explores, and its states after each of five updates."""
    env = OneBitMemory(2, 2)
    config = Config(**SMALL, memory_size=6)
    algorithm = vdn(env, config)
    hp = algorithm.hparams.replace(epsilon=0.0, final_epsilon=0.0, learning_rate=0.0)
    update = jax.jit(algorithm.update)
    states = [jax.jit(algorithm.init)(jax.random.key(0), hp)]
    for index in range(5):
        key = jax.random.fold_in(jax.random.key(1), index)
        states.append(update(key, states[-1], hp, jnp.int32(index))[0])
    return env, config, algorithm, states


def test_the_ring_keeps_what_was_played_last(played):
    """Three blocks of two sequences: after five updates blocks 3, 4 and 2, in this order."""
    *_, states = played
    stored = states[5].buffer
    steps = lambda s, part: np.asarray(s.timestep.last[part])
    for slot, index in enumerate((3, 4, 2)):
        here = slice(2 * slot, 2 * slot + 2)
        fresh = states[index + 1].buffer
        np.testing.assert_array_equal(steps(stored, here), steps(fresh, here))
        held = jax.tree.map(lambda x, here=here: x[here], (stored.memory, stored.actions))
        then = jax.tree.map(lambda x, here=here: x[here], (fresh.memory, fresh.actions))
        jax.tree.map(np.testing.assert_array_equal, held, then)


def test_a_sequence_ends_where_the_next_begins(played):
    *_, states = played
    stored = states[3].buffer
    ends = jax.tree.map(lambda x: x[2:4, -1], stored.timestep)  # block 1
    begins = jax.tree.map(lambda x: x[4:6, 0], stored.timestep)  # block 2
    jax.tree.map(np.testing.assert_array_equal, ends, begins)
    # block 2 begins inside of an episode, in row 10, with the memory that block 1 ended with
    assert (np.asarray(stored.memory["agents"].hidden[4:6]) != 0).any()
    # where a block ends with an episode, as block 2 does, the next one begins with another
    assert stored.timestep.last[4:6, -1].all()
    anew = jax.tree.map(lambda x: x[0:2], states[4].buffer)  # block 3
    assert not anew.timestep.last[:, 0].any()
    empty = anew.memory["agents"]
    assert (empty.hidden == 0).all() and (empty.last_action == -1).all()
    np.testing.assert_array_equal(stored.is_first, [True, True, False, False, False, False])
    assert anew.is_first.all()


def test_networks_say_along_sequences_what_they_said_in_play(played):
    """Unrolled, its best actions are those that were played: by memory and last action, too."""
    env, config, _, states = played
    whole = agent_stacks(env, config.share, config.agent_ids)
    networks = {stack.name: agent_network(stack, config) for stack in whole}
    sequences = time_first(states[5].buffer)
    values = agent_values(whole, networks, states[5].params.agents, sequences)
    taken = np.asarray(sequences.actions["agents"])
    q = np.asarray(values.q[0])[:-1]
    np.testing.assert_array_equal(q.argmax(-1), taken)
    assert len(np.unique(taken)) == 2  # else this would prove little


def test_last_actions_begin_anew_with_an_episode():
    actions = jnp.array([[[1, 0]], [[0, 1]], [[1, 1]]])
    last = jnp.array([[False], [True], [False], [False]])
    before = last_actions(jnp.array([[1, 1]]), actions, resets(last))
    np.testing.assert_array_equal(before[:, 0], [[1, 1], [1, 0], [-1, -1], [1, 1]])


def test_the_target_moves_when_a_period_has_passed():
    hp = Hparams(tau=0.25, target_period=3.0)
    shares = [float(target_step_size(hp, jnp.int32(i))) for i in range(7)]
    assert shares == [0, 0, 0.25, 0, 0, 0.25, 0]
    half = Hparams(tau=1.0, target_period=2.5)  # whole updates nearest above 2.5, 5, 7.5, 10
    assert [i for i in range(10) if target_step_size(half, jnp.int32(i))] == [2, 4, 7, 9]


def test_utilities_start_as_large_as_head_gain_says():
    """The layer's weights are linear in it, its bias 0, and all before it is drawn alike."""
    env = OneBitMemory(2, 2)
    timestep = env.reset(jax.random.key(1))[1]

    def utilities(gain):
        (stack,) = agent_stacks(env, "group", True)
        net = agent_network(stack, Config(**SMALL, head_gain=gain))
        observation = observe_with_last_action(stack, timestep, jnp.zeros(2, jnp.int32), 0)
        memory = jnp.zeros((2, 64))
        params = net.init(jax.random.key(0), memory, observation)
        return np.asarray(net.apply(params, memory, observation)[1][0])

    assert abs(utilities(1.0)).min() > 0
    np.testing.assert_allclose(utilities(0.01), 0.01 * utilities(1.0), rtol=1e-5)
    assert (utilities(0.0) == 0).all()


# ---- what cannot be

REFUSED = {
    "two teams": (lambda: vdn(battle()), "vdn: expected an environment of one team"),
    "two teams, QTRAN": (lambda: qtran(battle()), "qtran: expected an environment of one team"),
    "a box": (lambda: iql(MixedGroups()), 'iql: needs discrete actions, group "aimer"'),
    "capacity": (
        lambda: Config(num_envs=3, capacity=10),
        r"capacity: expected at least 2 and a multiple of num_envs \(3\), got 10",
    ),
    "batch": (
        lambda: Config(replay="none", batch_size=3),
        r"batch_size: expected a divisor of num_envs \(8\), with replay none, got 3",
    ),
    "memory": (
        lambda: qmix(matrix_game("qtran"), Config(capacity=8_000_000_000)),
        r"capacity: expected at most \d+, as .* GiB are left .*, got 8000000000, which take",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        build()


def test_the_replays_memory_is_told_before_it_is_taken():
    """Per sequence of 5 steps: by 6 rows of 2 agents, and by what its agents remembered."""
    algorithm = vdn(OneBitMemory(2, 2), Config(**SMALL, memory_size=6))
    rows = 6 * (2 * 4 + 2 * 1 + 2 * 4 + 2 * 4 + 1)  # observation, alive, reward, discount, last
    others = 5 * 2 * 4 + 2 * 6 * 4 + 2 * 4 + 1  # actions; hidden, action before, and if first
    assert replay.num_bytes(engine.buffer_shapes(algorithm)) == 6 * (rows + others)
    none = vdn(OneBitMemory(2, 2), Config(**SMALL | {"replay": "none", "batch_size": 2}))
    assert replay.num_bytes(engine.buffer_shapes(none)) == 0


# ---- what is learnt


def trained(build, config, env, num_updates, num_seeds=4, **numbers):
    algorithm = build(env, config)
    train, _ = make_train(algorithm, env, Schedule(num_updates, num_updates, 32, 10))
    given = {name: jnp.float32(value) for name, value in numbers.items()}
    run = lambda key: train(key, algorithm.hparams.replace(**given))
    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), num_seeds))


@pytest.mark.fast("True-0.0-10.0", "False-0.0-3.571428571428571")
@pytest.mark.parametrize(
    ("truncate", "td_lambda", "value"),
    [(True, 0.0, 10.0), (False, 0.0, 1 / 0.28), (False, 1.0, 2.62882)],
)
def test_a_time_limit_is_no_end(truncate, td_lambda, value):
    """Q of the one observation, reward 1 in each of 5 steps, gamma 0.9.

    Cut off: 1 / (1 - 0.9). Ended: in one of five steps nothing follows, so that Q = 1 + 0.8 0.9 Q;
    with whole returns the mean of (1 - 0.9^k) / 0.1 over k = 1 ... 5.
    """
    env = ConstantReward(2, 5, truncate)
    config = Config(
        num_envs=2, rollout_length=6, capacity=4, batch_size=8, hidden=(), memory_size=0,
        agent_ids=False, last_action=False,
    )  # fmt: skip
    state, _ = trained(
        vdn, config, env, 1000, 2, gamma=0.9, td_lambda=td_lambda, learning_rate=0.1, tau=1.0,
        target_period=1.0, epsilon=0.0, final_epsilon=0.0, optimiser_eps=1.0,
    )  # fmt: skip
    layer = state.params.agents["agents"]["params"]["Dense_0"]
    played = (layer["kernel"][:, 0] + layer["bias"]).max(-1)  # the other action is never tried
    np.testing.assert_allclose(2 * played, value, rtol=1e-3)  # the sum over two agents' equal Q


TINY = {"num_envs": 8, "rollout_length": 4, "capacity": 64, "batch_size": 16, "hidden": (16,)}
LEARNERS = {"iql": iql, "vdn": vdn, "qmix": qmix, "qtran": qtran, "qtran_alt": qtran_alt}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_dying_agents_learn_what_pays_the_living(name):
    """Action 1 pays the living 1 at each step: 1 + 2 + 3 in all, greedily."""
    config = Config(**TINY | {"memory_size": 0})
    numbers = {"final_epsilon": 0.5, "learning_rate": 5e-3, "target_period": 5.0}
    found = trained(LEARNERS[name], config, DyingAgents(), 600, **numbers)[1]
    np.testing.assert_array_equal(found["eval_return_sum"][:, -1], 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cw_qmix", "ow_qmix", "qplex"])
def test_weights_and_duels_find_what_a_plain_mixture_misses(name):
    """QTRAN's game, played at random: both play 0 and are paid 8; see the study qtran_matrix."""
    env = matrix_game("qtran", num_rounds=None)
    build = {"cw_qmix": cw_qmix, "ow_qmix": ow_qmix, "qplex": qplex}[name]
    config = Config(**TINY | {"rollout_length": 1, "memory_size": 0, "last_action": False})
    algorithm = build(env, config)
    train, _ = make_train(algorithm, env, Schedule(2000))
    hp = algorithm.hparams.replace(gamma=0.0, final_epsilon=1.0, learning_rate=3e-3)
    hp = hp.replace(alpha=0.1) if hp.alpha is not None else hp
    keys = jax.random.split(jax.random.key(0), 8)
    state, _ = jax.jit(jax.vmap(train, (0, None)))(keys, hp)
    greedy = lambda params: algorithm.policy.greedy(
        params, keys[0], env.reset(keys[0])[1], algorithm.policy.memory()
    )[0]["agents"]
    played = np.asarray(jax.vmap(greedy)(state.params))
    assert (played == 0).all(1).sum() >= 7, played


@pytest.mark.slow
@pytest.mark.parametrize("replay", ["uniform", "prioritised", "none"])
def test_memory_solves_what_a_feed_forward_agent_cannot(replay):
    config = TINY | {"num_envs": 16, "capacity": 512, "rollout_length": 3, "replay": replay}
    config |= {"num_gradient_steps": 2, "last_action": False}
    numbers = {
        "learning_rate": 3e-3,
        "explore_steps": 15_000.0,
        "gamma": 1.0,
        "target_period": 10.0,
    }
    found = {
        size: trained(vdn, Config(**config, memory_size=size), OneBitMemory(1, 1), 600, **numbers)
        for size in (0, 16)
    }
    chance, solved = (np.asarray(found[size][1]["eval_return"][:, -1]) for size in (0, 16))
    assert chance.max() < 0.8
    np.testing.assert_array_equal(solved, 1)


@pytest.mark.slow
def test_a_sweep_of_32_configurations_is_one_program():
    """Learning rates x periods of the target x lengths of exploration, each of them solved."""
    env = matrix_game("coordination", num_rounds=3, memory=True)
    algorithm = qmix(env, Config(**TINY | {"memory_size": 0}))
    rows = hparams.grid(
        algorithm.hparams.replace(gamma=0.5),
        learning_rate=[3e-3, 1e-2],
        target_period=[1.0, 3.0, 10.0, 30.0],
        explore_steps=[100.0, 1000.0, 3000.0, 10_000.0],
    )
    train, _ = make_train(algorithm, env, Schedule(400, 400, 16, 3))
    program = jax.jit(jax.vmap(train, (None, 0)))
    returns = np.asarray(program(jax.random.key(0), rows)[1]["eval_return"][:, -1])
    assert returns.shape == (32,) and program._cache_size() == 1
    assert (returns == 30).sum() >= 30, returns  # 10 in each of three rounds
