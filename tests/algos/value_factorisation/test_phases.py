"""Each phase of an update by itself: act, collect, sample, loss, gradient step, learn, update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import OneBitMemory, TwoTeams

from jaxmarl_core.algos.value_factorisation import engine
from jaxmarl_core.algos.value_factorisation.factorisation import with_mixer
from jaxmarl_core.algos.value_factorisation.iql import independent
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.sequence_replay import (
    no_replay,
    prioritised_replay,
    uniform_replay,
)
from jaxmarl_core.algos.value_factorisation.vdn import additive_mixer

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
TABULAR = {  # utilities are a table: a row of weights for each observation
    "num_envs": 3,
    "rollout_length": 7,
    "capacity": 6,
    "batch_size": 3,
    "hidden": (),
    "memory_size": 0,
    "agent_ids": False,
    "last_action": False,
}
HP = Hparams(gamma=0.9, optimiser_eps=0.01, max_grad_norm=1e6, learning_rate=0.1)


def made(env, factorise, **config):
    """(learner, its first state with weights drawn anew)."""
    learner = engine.make_learner("test", env, Config(**TABULAR | config), factorise)
    state = engine.init(learner, jax.random.key(0), HP)
    rng = np.random.default_rng(0)
    anew = lambda tree: jax.tree.map(lambda x: jnp.float32(rng.normal(size=x.shape)), tree)
    params = state.params.replace(agents=anew(state.params.agents))
    return learner, state.replace(params=params, target=(anew(state.target[0]), state.target[1]))


def table(agents, stack="agents"):
    """Utilities [observation, action], in float64."""
    layer = agents[stack]["params"]["Dense_0"]
    return np.float64(layer["kernel"]) + np.float64(layer["bias"])


@pytest.fixture(scope="module")
def played():
    """A learner by itself in a world with memory, its state, what one update collected."""
    learner, state = made(OneBitMemory(1, 2), with_mixer(additive_mixer))
    collect = jax.vmap(lambda key, play: engine.collect(learner, key, state.params, play))
    keys = jax.random.split(jax.random.key(1), 3)
    return learner, state, *jax.jit(collect)(keys, state.play)


# ---- act


def test_agents_act_on_their_own_best_legal_action():
    """Two groups with weights of their own, and an agent of which nothing is legal: the dead."""
    learner, state = made(TwoTeams(), independent)
    _, timestep = TwoTeams().reset(jax.random.key(0))
    actions, memory = engine.act(
        learner, engine.exploit, state.params, jax.random.key(2), timestep, state.play.memory
    )
    assert {name: a.shape for name, a in actions.items()} == {"pair": (2,), "loner": (1,)}
    for name, chosen in actions.items():
        np.testing.assert_array_equal(chosen, table(state.params.agents, name)[1].argmax())
    only = {name: jnp.array([[True, False]] * len(a)) for name, a in actions.items()}
    masked, _ = engine.act(
        learner, engine.exploit, state.params, jax.random.key(2),
        timestep.replace(action_mask=only), state.play.memory,
    )  # fmt: skip
    assert all((a == 0).all() for a in masked.values())
    assert memory["pair"].last_action == ()  # not observed, so not kept


def test_exploring_is_uniform_with_probability_epsilon():
    q = jnp.tile(jnp.array([1.0, 3.0, 2.0, 9.0]), (30_000, 1))
    mask = jnp.array([True, True, True, False])
    draw = jax.random.uniform(jax.random.key(0), (30_000,))
    for epsilon in (0.0, 0.3, 1.0):
        chosen = np.asarray(engine.explore(draw, q, mask, epsilon))
        share = np.bincount(chosen, minlength=4) / len(chosen)
        expected = np.array([epsilon / 3, 1 - 2 * epsilon / 3, epsilon / 3, 0])
        np.testing.assert_allclose(share, expected, atol=0.01)


# ---- collect


def test_a_collected_sequence_is_what_the_environment_did(played):
    """The world stepped by hand with the stored actions, each episode from the bit it showed."""
    _, _, following, sequences, timesteps = played
    assert sequences.timestep.last.shape == (3, 8) and timesteps.last.shape == (3, 7)
    assert sequences.timestep.state == ()  # VDN reads none
    observation = np.asarray(sequences.timestep.observation["agents"])[..., 0]
    reward = np.asarray(sequences.timestep.reward["agents"])[..., 0]
    last, actions = np.asarray(sequences.timestep.last), np.asarray(sequences.actions["agents"])
    for b in range(3):
        step, bit = 0, observation[b, 0]
        for t in range(8):
            if step == 0:
                bit = observation[b, t]
                assert bit in (0, 1)
            else:
                assert observation[b, t] == 2
            assert last[b, t] == (step == 3)
            if step == 3:
                assert reward[b, t] == (actions[b, t - 1, 0] == bit)
            step = 0 if step == 3 else step + 1
    np.testing.assert_array_equal(following.timestep.last, last[:, -1])
    assert len(np.unique(actions)) == 2


# ---- replay


def blocks(config):
    """Sequences of one number each: those of update u in environment b are 10 u + b."""
    return [10 * u + jnp.arange(config.num_envs) for u in range(3)]


def test_uniform_replay_keeps_the_newest_and_draws_them_alike():
    config = Config(**TABULAR | {"batch_size": 600})
    replay = uniform_replay(config)
    buffer, priorities = replay.init(jnp.int32(0))
    for u, new in enumerate(blocks(config)):
        buffer, priorities = replay.add(buffer, priorities, new, jnp.int32(u))
    sample = lambda step: replay.sample(
        jax.random.key(0), buffer, priorities, None, jnp.int32(2), step, HP
    )
    batch = sample(0)
    values, counts = np.unique(batch.sequences, return_counts=True)
    np.testing.assert_array_equal(values, [10, 11, 12, 20, 21, 22])
    assert counts.min() > 70 and batch.importance_weight is None
    assert (sample(1).positions != batch.positions).any()  # another draw in each gradient step


def test_prioritised_replay_draws_by_the_errors_it_was_told():
    """Errors 3 and 1 of two sequences, the rest next to none: drawn 3 to 1, weights 1 to 3."""
    config = Config(**TABULAR | {"batch_size": 400})
    replay = prioritised_replay(config)
    buffer, priorities = replay.init(jnp.int32(0))
    new = blocks(config)[0]
    buffer, priorities = replay.add(buffer, priorities, new, jnp.int32(0))
    np.testing.assert_array_equal(priorities, [1, 1, 1, 0, 0, 0])
    told = replay.update_priorities(priorities, jnp.array([0, 2, 1]), jnp.array([3.0, 1.0, 0.0]))
    np.testing.assert_allclose(told, [3, 1e-6, 1, 0, 0, 0])
    hp = HP.replace(priority=1.0, importance=1.0)
    batch = replay.sample(jax.random.key(0), buffer, told, new, jnp.int32(0), 0, hp)
    drawn, weight = np.asarray(batch.sequences), np.asarray(batch.importance_weight)
    assert abs((drawn == 0).sum() - 300) <= 1 and abs((drawn == 2).sum() - 100) <= 1
    np.testing.assert_allclose(weight[drawn == 2][0] / weight[drawn == 0][0], 3, rtol=1e-4)


def test_without_replay_every_sequence_is_used_once_an_epoch():
    config = Config(**TABULAR | {"num_envs": 6, "batch_size": 2, "replay": "none"})
    replay = no_replay(config)
    new = jnp.arange(6)
    batches = [
        replay.sample(jax.random.key(0), (), (), new, jnp.int32(0), step, HP) for step in range(6)
    ]
    drawn = np.concatenate([batch.sequences for batch in batches]).reshape(2, 6)
    np.testing.assert_array_equal(np.sort(drawn, 1), [range(6), range(6)])
    assert (drawn[0] != drawn[1]).any()


# ---- learn


def by_hand(sequences, online, target, b, gamma=0.9):
    """Double DQN's errors of one sequence: the targets less Q where the world took the step."""
    observation = np.asarray(sequences.timestep.observation["agents"])[b, :, 0]
    action = np.asarray(sequences.actions["agents"])[b, :, 0]
    reward = np.asarray(sequences.timestep.reward["agents"])[b, :, 0]
    discount = np.asarray(sequences.timestep.discount["agents"])[b, :, 0]
    last = np.asarray(sequences.timestep.last)[b]
    errors = []
    for t in range(7):
        if not last[t]:
            ahead = target[observation[t + 1]][online[observation[t + 1]].argmax()]
            goal = reward[t + 1] + gamma * discount[t + 1] * ahead
            errors.append(goal - online[observation[t], action[t]])
    return np.array(errors)


def test_the_loss_is_double_dqn_s_weighted_by_importance(played):
    learner, state, _, sequences, _ = played
    online, target = table(state.params.agents), table(state.target[0])
    errors = [by_hand(sequences, online, target, b) for b in range(3)]
    weight = jnp.array([0.5, 1.0, 0.25])
    batch = engine.Batch(sequences, jnp.arange(3), weight)
    weights = state.params.agents, state.params.joint
    loss, (metrics, error) = jax.jit(lambda w: engine.loss(w, learner, state.target, batch, HP))(
        weights
    )
    terms = np.concatenate([w * e**2 / 2 for w, e in zip(np.asarray(weight), errors)])
    np.testing.assert_allclose(loss, terms.mean(), **CLOSE)
    np.testing.assert_allclose(error, [abs(e).mean() for e in errors], **CLOSE)
    assert set(metrics) == {"loss", "q"}


def test_a_gradient_step_is_adam_s_first_down_the_loss(played):
    """Each weight moves by rate g / (|g| + eps), with g by central differences of the loss."""
    learner, state, _, sequences, _ = played
    batch = engine.Batch(sequences, jnp.arange(3), None)
    online = state.params.agents, state.params.joint
    moved, _, metrics, _ = jax.jit(
        lambda w, s: engine.gradient_step(learner, w, s, state.target, batch, HP, jnp.int32(0))
    )(online, state.optimiser)
    bias = lambda weights: np.float64(weights[0]["agents"]["params"]["Dense_0"]["bias"])
    before, aim = table(online[0]), table(state.target[0])

    def loss(bias_change):
        errors = []
        for b in range(3):  # targets hold still: only the prediction changes
            taken = np.asarray(sequences.actions["agents"])[b, :, 0]
            kept = ~np.asarray(sequences.timestep.last)[b, :7]
            errors.append(by_hand(sequences, before, aim, b) - bias_change[taken[kept]])
        return (np.concatenate(errors) ** 2 / 2).mean()

    np.testing.assert_allclose(metrics["loss"], loss(np.zeros(2)), **CLOSE)
    h = 1e-4
    slope = np.array([(loss(h * e) - loss(-h * e)) / (2 * h) for e in np.eye(2)])
    step = -0.1 * slope / (abs(slope) + 0.01)
    np.testing.assert_allclose(bias(moved) - bias(online), step, rtol=1e-3, atol=1e-5)


def test_learning_takes_all_gradient_steps_and_tells_the_replay_the_errors():
    learner, state = made(
        OneBitMemory(1, 2), independent, replay="prioritised", num_gradient_steps=4, reward="own"
    )
    collect = jax.vmap(lambda key: engine.collect(learner, key, state.params, first))
    first = jax.tree.map(lambda x: x[0], state.play)
    _, new, _ = collect(jax.random.split(jax.random.key(3), 3))
    buffer, priorities = learner.replay.add(state.buffer, state.priorities, new, jnp.int32(0))
    state = state.replace(buffer=buffer, priorities=priorities)
    learn = jax.jit(lambda key, s: engine.learn(learner, key, s, new, HP, jnp.int32(0)))
    after, metrics = learn(jax.random.key(4), state)
    assert metrics["loss"].shape == (4,)
    stored, told = np.asarray(priorities) > 0, np.asarray(after.priorities)
    np.testing.assert_array_equal(told > 0, stored)
    assert (told[stored] != 1).any()  # what was drawn has its error now, no longer the first 1
    same = lambda a, b: jax.tree.map(np.testing.assert_array_equal, a, b)
    same((after.buffer, after.target), (state.buffer, state.target))
    assert (table(after.params.agents) != table(state.params.agents)).any()


# ---- update


@pytest.mark.fast("1-0.25")
@pytest.mark.parametrize(("update_index", "share"), [(0, 0.0), (1, 0.25)])
def test_an_update_anneals_epsilon_remembers_and_moves_the_target(update_index, share):
    """A period of 2: the target follows after update 1. Of 210 steps 21 are over after one."""
    learner, state = made(OneBitMemory(1, 2), independent, reward="own")
    hp = HP.replace(tau=0.25, target_period=2.0, explore_steps=210.0, final_epsilon=0.0)
    update = jax.jit(lambda s: engine.update(learner, jax.random.key(5), s, hp, update_index))
    after, metrics = update(state)
    np.testing.assert_allclose(metrics["epsilon"], 1 - 0.1 * update_index, rtol=1e-6)
    assert after.params.epsilon == metrics["epsilon"]
    online, old = table(after.params.agents), table(state.target[0])
    np.testing.assert_allclose(table(after.target[0]), old + share * (online - old), **CLOSE)
    written = np.asarray(after.buffer.timestep.observation["agents"]).any((1, 2))
    np.testing.assert_array_equal(written, np.arange(6) // 3 == update_index)
