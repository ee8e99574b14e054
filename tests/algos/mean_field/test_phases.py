"""Each phase of an update by itself: act, store, collect, sample, gradient step, update."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import TwoTeams

from jaxmarl_core.algos import il, mfac, mfq
from jaxmarl_core.algos.mean_field import collecting, engine, value_learning
from jaxmarl_core.algos.mean_field.networks import ActionNetwork
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.td_loss import StoredStep
from jaxmarl_core.envs import ising, torus_coordination, two_step_game
from jaxmarl_core.learners.flat_rows import write_rows
from jaxmarl_core.spaces import num_values

TINY = {
    "num_envs": 2,
    "rollout_length": 3,
    "buffer_length": 6,
    "batch_size": 500,
    "num_gradient_steps": 2,
    "hidden": (4,),
    "head_hidden": (4,),
    "exploration": "boltzmann",
    "target": "mean_field",
}


def made(env=None, **config):
    """(learner, of two groups if no world is told, its first state)."""
    config = Config(**TINY | config)
    learner = engine.make_learner("il", env or TwoTeams(), config, value_learning.q_learning)
    state = engine.init(learner, jax.random.key(0), Hparams())
    return learner, state


def values(learner, weights, observation):
    """Q-values of the learner's network, which sees no mean action."""
    group = next(iter(learner.groups.values()))
    num_actions = num_values(group.action)
    network = ActionNetwork(group.observation, num_actions, learner.config, None)
    return np.float64(network.apply(weights, jnp.int32(observation), None))


@pytest.mark.parametrize("self_play", ["shared", "lagged"])
def test_groups_act_on_the_weights_they_play_with(self_play):
    """In lagged self-play the loner acts on the opponent's weights, here of the negative Q."""
    learner, state = made(self_play=self_play)
    _, timestep = TwoTeams().reset(jax.random.key(0))
    q = values(learner, state.params.online, 1)
    assert q[0] != q[1]
    opponent = jax.tree.map(lambda x: x, state.params.online)
    if self_play == "lagged":  # of the last layer: all its weights and biases turned round
        opponent["params"]["Dense_0"] = jax.tree.map(lambda x: -x, opponent["params"]["Dense_0"])
    params = state.params.replace(opponent=opponent)
    exploit = learner.method.exploit
    actions, _ = collecting.act(learner, exploit, params, jax.random.key(1), timestep, ())
    np.testing.assert_array_equal(actions["pair"], [q.argmax()] * 2)
    theirs = q.argmax() if self_play == "shared" else q.argmin()
    np.testing.assert_array_equal(actions["loner"], [theirs])


def test_who_plays_may_be_the_average():
    """The target of the negative Q acts, in an update's rollout and afterwards."""
    learner, state = made(acting="target", exploration="greedy")
    turned = jax.tree.map(lambda x: x, state.target)
    turned["params"]["Dense_0"] = jax.tree.map(lambda x: -x, turned["params"]["Dense_0"])
    state = state.replace(target=turned, params=state.params.replace(average=turned))
    q = values(learner, state.params.online, 1)
    _, timestep = TwoTeams().reset(jax.random.key(0))
    act = partial(collecting.act, learner, learner.method.exploit)
    actions, _ = act(state.params, jax.random.key(1), timestep, ())
    np.testing.assert_array_equal(actions["pair"], [q.argmin()] * 2)
    after, _ = jax.jit(partial(engine.update, learner))(
        jax.random.key(0), state, Hparams(tau=0.25), jnp.int32(0)
    )
    assert (after.buffer.tree.action[0] == q.argmin()).all()
    jax.tree.map(np.testing.assert_array_equal, after.params.average, after.target)
    assert not np.array_equal(*(jax.tree.leaves(x)[0] for x in (after.target, turned)))


def test_one_army_in_three_is_hot():
    """Copies 0, 1, 2 of two groups: cool against cool, cool against hot, hot against cool."""
    learner, state = made(num_envs=3, heats=(1.0, 1.0, 1e9), rollout_length=3)
    heats = collecting.heats_of(learner.config, 2)
    np.testing.assert_array_equal(heats, [[1, 1], [1, 1e9], [1e9, 1]])
    cold = state.params.replace(temperature=jnp.float32(1e-6))
    _, timestep = TwoTeams().reset(jax.random.key(0))
    q = values(learner, cold.online, 1)

    def play(key):
        act = partial(collecting.act, learner, learner.method.explore, cold, key, timestep, ())
        return jax.vmap(lambda heat: act(heat)[0])(heats)

    actions = jax.vmap(play)(jax.random.split(jax.random.key(1), 64))
    best, hot = int(q.argmax()), {0, 1}
    drawn = {name: [set(np.asarray(a[:, i]).ravel().tolist()) for i in range(3)]
             for name, a in actions.items()}  # fmt: skip
    assert drawn == {"pair": [{best}, {best}, hot], "loner": [{best}, hot, {best}]}
    with pytest.raises(ValueError, match=r"heats: expected .* greedy"):
        Config(heats=(1.0, 2.0), exploration="greedy")
    with pytest.raises(ValueError, match="heats: expected at least one factor"):
        Config(heats=(0.0,))
    with pytest.raises(ValueError, match="heats: mfac has no such option"):
        mfac(ising(), Config(heats=(1.0, 2.0)))


@pytest.mark.parametrize("exploration", ["boltzmann", "greedy"])
def test_only_legal_actions_are_chosen_greedily_or_by_boltzmann(exploration):
    """TwoTeams have two actions; of two illegal ones the lot falls on the other."""
    learner, state = made(exploration=exploration)
    weights, observation = state.params.online, jnp.ones(400, jnp.int32)
    mask = jnp.arange(400)[:, None] % 4 != jnp.arange(2)  # rows 0 and 1 of four leave one action
    args = weights, jax.random.key(0), observation, jnp.zeros((400, 2)), mask
    q = values(learner, weights, 1)
    for choose in (learner.method.explore, learner.method.exploit):
        chosen = np.asarray(choose(*args, jnp.float32(100.0)))
        np.testing.assert_array_equal(chosen[0::4], 1)
        np.testing.assert_array_equal(chosen[1::4], 0)
        drawn = exploration == "boltzmann" and choose is learner.method.explore
        expected = {0, 1} if drawn else {int(q.argmax())}
        assert set(chosen[2::4].tolist()) == expected


def test_groups_that_learn_lie_side_by_side_in_the_buffer():
    learner, state = made()
    assert (learner.learning_groups, learner.num_learning) == (("pair", "loner"), 3)
    timestep = state.play.timestep.replace(
        reward={"pair": jnp.array([[1.0, 2], [3, 4]]), "loner": jnp.array([[5.0], [6]])}
    )
    actions = {"pair": jnp.array([[0, 1], [1, 0]]), "loner": jnp.array([[1], [0]])}
    buffer = collecting.store(learner, state.buffer, jnp.int32(4), timestep, actions)
    expected = np.zeros((6, 2, 3))
    expected[4] = [[1, 2, 5], [3, 4, 6]]
    np.testing.assert_array_equal(buffer.tree.reward, expected)
    np.testing.assert_array_equal(buffer.tree.action[4], [[0, 1, 1], [1, 0, 0]])


def test_only_the_first_group_is_stored_in_lagged_self_play():
    learner, state = made(self_play="lagged")
    assert learner.learning_groups == ("pair",)
    assert state.buffer.tree.reward.shape == (6, 2, 2)


def test_the_mean_action_is_stored_as_the_world_tells_it():
    learner, state = made(ising(), mean_action="current", mean_action_hidden=(4,))
    (name,) = learner.groups
    told = jax.tree.map(lambda x: jnp.float32(np.random.default_rng(0).random(x.shape)),
        state.play.timestep.mean_action)  # fmt: skip
    timestep = state.play.timestep.replace(mean_action=told)
    actions = {name: jnp.zeros((2, learner.num_learning), int)}
    buffer = collecting.store(learner, state.buffer, jnp.int32(0), timestep, actions)
    np.testing.assert_array_equal(buffer.tree.mean_action[0], told[name])


def test_what_is_collected_is_the_next_block_of_the_buffer():
    """DyingAgents pay the living their action: on arriving at step t + 1 for that of step t."""
    learner, state = made()
    collect = jax.jit(partial(collecting.collect, learner))
    play, buffer = state.play, state.buffer
    params = state.params.replace(temperature=jnp.float32(100.0))  # nearly uniform
    for u in range(2):
        key, index = jax.random.key(u), jnp.int32(u)
        (play, buffer, _), timesteps = collect(key, params, play, buffer, (), index)
        block = slice(3 * u, 3 * u + 3)
        np.testing.assert_array_equal(buffer.tree.reward[block, :, :2], timesteps.reward["pair"])
        np.testing.assert_array_equal(buffer.tree.last[block, :, 2], timesteps.last)
    alive, last = np.asarray(buffer.tree.alive), np.asarray(buffer.tree.last)
    living = alive[:-1] & ~last[:-1]
    np.testing.assert_array_equal(
        np.asarray(buffer.tree.reward)[1:][living], np.asarray(buffer.tree.action)[:-1][living]
    )
    assert len(np.unique(np.asarray(buffer.tree.action)[:-1][living])) == 2


def holding(buffer, **fields):
    """The buffer with these fields stored instead, [6, 2, 3] each."""
    tree = buffer.tree.replace(**fields)
    for t in range(6):
        buffer = write_rows(buffer, [jax.tree.map(lambda x: x[t], tree)], jnp.int32(t))  # noqa: B023
    return buffer


def test_a_sampled_transition_is_one_agent_s_step_and_the_next():
    learner, state = made()
    number = 100 * np.arange(6)[:, None, None] + 10 * np.arange(2)[:, None] + np.arange(3)
    number[:3] += 600  # update 2 wrote over the oldest block
    buffer = holding(state.buffer, reward=jnp.float32(number))
    step, following = collecting.sample(learner, jax.random.key(0), buffer, jnp.int32(2))
    assert step.reward.shape == (500,)
    np.testing.assert_array_equal(following.reward, step.reward + 100)
    drawn = np.asarray(step.reward).astype(int)
    assert set(drawn // 100) == {3, 4, 5, 6, 7}  # step 8 has no successor yet
    assert {(x // 10 % 10, x % 10) for x in drawn} == {(b, n) for b in range(2) for n in range(3)}


def test_no_transition_is_sampled_that_leads_from_one_episode_to_the_next():
    """Environment 0 ended in step 1 and 3, environment 1 in step 4."""
    learner, state = made()
    number = jnp.arange(6.0)[:, None, None] + jnp.zeros((6, 2, 3))
    last = np.zeros((6, 2, 3), bool)
    last[[1, 3], 0], last[4, 1] = True, True
    alive = jnp.arange(2)[:, None] + jnp.zeros((6, 2, 3))  # tells the environments apart
    buffer = holding(state.buffer, reward=number, last=jnp.asarray(last), discount=alive)
    step, following = collecting.sample(learner, jax.random.key(0), buffer, jnp.int32(1))
    assert not np.asarray(step.last).any()
    np.testing.assert_array_equal(following.reward, step.reward + 1)
    drawn = set(zip(np.asarray(step.discount).tolist(), np.asarray(step.reward).tolist()))
    assert drawn == {(0, t) for t in (0, 2, 4)} | {(1, t) for t in (0, 1, 2, 3)}


def test_nothing_is_learnt_before_learning_starts():
    """6 steps an update: with 13 of them wanted, the third update is the first to learn."""
    learner, state = made()
    hp = Hparams(learning_starts=jnp.float32(13.0), tau=jnp.float32(0.5))
    update = jax.jit(partial(engine.update, learner))
    learnt = lambda s: (s.params.online, s.target, s.optimiser)
    same = lambda a, b: all(
        (x == y).all() for x, y in zip(jax.tree.leaves(learnt(a)), jax.tree.leaves(learnt(b)))
    )
    for index in range(3):
        before = state
        state, metrics = update(jax.random.key(index), state, hp, jnp.int32(index))
        assert same(state, before) == (index < 2)
        assert metrics["gradient_steps"] == (2 if index == 2 else 0)
        assert (metrics["loss"] > 0) == (index == 2)
        np.testing.assert_array_equal(metrics["env_steps"], (~state_last(state, index)).sum())


def state_last(state, index):
    """Whether the steps of an update were an episode's last, [T, B]."""
    first = 3 * (index % 2)
    return np.asarray(state.buffer.tree.last[first : first + 3, :, 0])


def test_after_three_billion_steps_the_buffer_goes_on():
    """6 steps an update, past 2^31: written in turn, each half of the buffer anew."""
    learner, state = made()
    late = 3_000_000_000 // 6
    hp = Hparams(learning_starts=jnp.float32(2.9e9), anneal_updates=jnp.float32(1e9))
    update = jax.jit(partial(engine.update, learner))
    for index, half in ((late, slice(0, 3)), (late + 1, slice(3, 6))):
        state, metrics = update(jax.random.key(index), state, hp, jnp.int32(index))
        assert np.asarray(state.buffer.tree.discount[half]).any()
        assert metrics["gradient_steps"] == 2
        expected = 0.1 * 0.5**0.5  # half way from 0.1 to 0.05, geometrically
        np.testing.assert_allclose(metrics["temperature"], expected, rtol=1e-5)


def transition(reward):
    """Three transitions that end, of which the second is a dead agent's."""
    step = StoredStep(
        observation=jnp.array([1, 1, 1]),
        mean_action=jnp.zeros((3, 2)),
        action_mask=None,
        action=jnp.array([0, 0, 1]),
        reward=jnp.zeros(3),
        discount=jnp.ones(3),
        alive=jnp.array([True, False, True]),
        last=jnp.zeros(3, bool),
    )
    return step, step.replace(reward=jnp.asarray(reward), discount=jnp.zeros(3))


def test_a_gradient_step_lowers_the_loss_and_the_target_follows_by_tau():
    learner, state = made()
    hp = Hparams(learning_rate=0.01, tau=0.25)
    start = state.params.online, jax.tree.map(lambda x: x + 1, state.target), state.optimiser
    data = transition([1.0, 1e6, -1.0])
    step = jax.jit(lambda weights: learner.method.gradient_step(weights, data, 0.1, hp))
    (online, target, _), metrics = step(start)
    q = values(learner, start[0], 1)
    expected = ((1 - q[0]) ** 2 + (-1 - q[1]) ** 2) / 4
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["q"], q.mean(), rtol=1e-5, atol=1e-7)
    assert step((online, start[1], start[2]))[1]["loss"] < metrics["loss"]
    mix = lambda new, old: 0.25 * new + 0.75 * old
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, target, jax.tree.map(mix, online, start[1]))


def test_an_update_cools_and_takes_all_its_gradient_steps():
    """Half way through the annealing the temperature is the geometric mean of both ends."""
    learner, state = made()
    hp = Hparams(temperature=0.4, final_temperature=0.1, anneal_updates=2.0, tau=1.0)
    update = jax.jit(partial(engine.update, learner))
    after, metrics = update(jax.random.key(1), state, hp, jnp.int32(1))
    np.testing.assert_allclose(metrics["temperature"], 0.2, rtol=1e-5)
    assert int(after.optimiser[0].count) == 2
    jax.tree.map(np.testing.assert_array_equal, after.target, after.params.online)
    assert after.params.opponent == ()


def test_lagged_self_play_needs_somebody_to_play_against():
    message = 'self_play: expected "shared", or an environment of several teams'
    with pytest.raises(ValueError, match=message):
        il(two_step_game(), Config(self_play="lagged"))


def test_a_replay_that_fits_nowhere_is_refused():
    with pytest.raises(ValueError, match="buffer_length: expected at most"):
        il(two_step_game(), Config(buffer_length=2**40))


def test_mean_actions_are_iterated_as_often_as_told():
    """Greedy agents that do what most neighbours did: a round of the rule, by hand on the torus."""
    learner, state = made(
        torus_coordination(5),
        mean_action="current",
        mean_action_hidden=(),
        mean_action_iterations=3,
    )
    follow = lambda weights, key, observation, mean_action, mask, temperature: jnp.int32(
        mean_action[:, 1] >= 0.5
    )
    _, timestep = torus_coordination(5).reset(jax.random.key(0))
    action = np.random.default_rng(0).integers(0, 2, (5, 5))
    shares = lambda action: sum(np.roll(action, d, a) for d in (1, -1) for a in (0, 1)) / 4
    told = shares(action).reshape(-1)
    timestep = timestep.replace(mean_action={"agents": jnp.float32(np.stack([1 - told, told], -1))})
    found, _ = collecting.act(learner, follow, state.params, jax.random.key(1), timestep, ())
    for _ in range(4):  # three rounds, and the action itself
        action = (shares(action) >= 0.5).astype(int)
    np.testing.assert_array_equal(found["agents"], action.reshape(-1))


@pytest.mark.parametrize("seed", range(3))
def test_iterated_mean_actions_tend_to_equation_12(seed):
    """A population of 4000 who answer its mean with pi(1) = sigmoid(1 - 2 m): m is its root."""

    def chosen(key, mean_action):
        up = jax.nn.sigmoid(1 - 2 * mean_action["all"][:, 1])
        return {"all": jax.random.bernoulli(key, up).astype(jnp.int32)}

    def mean_of(actions):
        m = actions["all"].mean()
        return {"all": jnp.broadcast_to(jnp.stack([1 - m, m]), (4000, 2))}

    start = {"all": jnp.zeros((4000, 2))}
    found = collecting.iterated(chosen, mean_of, jax.random.key(seed), start, 20)["all"][0, 1]
    root = 0.5  # sigmoid(1 - 2 / 2) = 1 / 2
    np.testing.assert_allclose(found, root, atol=4 * 0.5 / 4000**0.5)


@pytest.mark.parametrize(
    ("algorithm", "config", "why"),
    [
        (mfq, {"mean_action": "previous"}, "0 where what is learnt beside is the mean action seen"),
        (mfac, {}, "0 unless actor_mean_action"),
        (il, {}, "il has no such option"),
    ],
)
def test_mean_actions_that_nobody_acts_on_are_not_iterated(algorithm, config, why):
    with pytest.raises(ValueError, match=f"mean_action_iterations: .*{why}"):
        algorithm(torus_coordination(), Config(mean_action_iterations=2, **config))
