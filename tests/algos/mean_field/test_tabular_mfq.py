"""Tabular MF-Q against a NumPy loop, and on the paper's toy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import tabular_mfq
from jaxmarl_core.algos.mean_field import tabular_mfq as module
from jaxmarl_core.algos.mean_field.tabular_mfq import Config, Hparams, Params
from jaxmarl_core.envs import gaussian_squeeze, ising, matrix_game, torus_coordination
from jaxmarl_core.play.wrappers import episodic
from jaxmarl_core.train import Schedule, make_train


def learner_of(env, **config):
    return module.Learner(Config(**config), env, episodic(env), dict(env.groups))


def test_levels_of_a_mean_action():
    """Of four neighbours with two actions: how many chose the second. With ten, the mean index."""
    downs = np.arange(5) / 4
    mean = jnp.float32(np.stack([1 - downs, downs], -1))
    np.testing.assert_array_equal(module.level_of(mean, 5), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(module.level_of(mean, 1), 0)
    half = jnp.zeros((1, 10)).at[0, jnp.array([3, 6])].set(0.5)  # 4.5 of 9
    np.testing.assert_array_equal(module.level_of(half, 21), [10])
    np.testing.assert_array_equal(module.level_of(jnp.zeros((1, 10)), 21), [0])


def by_hand(config, hp, q, temperature, before, action, after):
    """The tables after a step, agent by agent, in float64."""
    errors = {}
    size = len(action)

    def where(timestep, beside, i):
        told = np.asarray(beside.mean_action["agents"][i], np.float64)
        share = told @ np.arange(len(told)) / (len(told) - 1)
        level = int(np.round(share * (config.levels - 1)))
        table = i if config.share == "none" else 0
        return table, int(timestep.observation["agents"][i]), level

    for i in range(size):
        if not before.alive["agents"][i] or before.last:
            continue
        beside = after if config.mean_action == "current" else before
        entry = (*where(before, beside, i), int(action[i]))
        next_q = q[where(after, after, i)]
        odds = np.exp((next_q - next_q.max()) / temperature)
        value = odds / odds.sum() @ next_q
        discount = hp.gamma * float(after.discount["agents"][i])
        target = float(after.reward["agents"][i]) + discount * value
        errors.setdefault(entry, []).append(target - q[entry])
    learnt = q.copy()
    for entry, found in errors.items():
        learnt[entry] += hp.learning_rate * np.mean(found)
    return learnt


@pytest.mark.parametrize(
    ("mean_action", "share"), list(itertools.product(("current", "previous"), ("none", "group")))
)
def test_a_step_is_learnt_as_by_hand(mean_action, share):
    env = ising(3)
    learner = learner_of(env, mean_action=mean_action, share=share)
    hp = Hparams(learning_rate=0.3, gamma=0.9)
    rng = np.random.default_rng(0)
    q = rng.normal(size=(9 if share == "none" else 1, 5, 5, 2))
    state, before = learner.env.reset(jax.random.key(0))
    alive = jnp.arange(9) != 4
    discount = jnp.where(jnp.arange(9) == 2, 0.0, 1.0)
    before = before.replace(alive={"agents": alive})
    action = jnp.int32(rng.integers(0, 2, 9))
    _, after = learner.env.step(jax.random.key(1), state, {"agents": action})
    after = after.replace(discount={"agents": discount})
    params = Params({"agents": jnp.float32(q)}, jnp.float32(0.5))
    found, error = module.learn(learner, params, "agents", before, action, after, hp)
    expected = by_hand(learner.config, hp, q, 0.5, before, action, after)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found != params.q["agents"]).any() and error > 0
    dead = jax.tree.map(lambda x: x.at[4].set(jnp.nan), after.reward)
    spoilt, _ = module.learn(
        learner, params, "agents", before, action, after.replace(reward=dead), hp
    )
    np.testing.assert_array_equal(spoilt, found)
    over = before.replace(last=jnp.bool_(True))
    unmoved, _ = module.learn(learner, params, "agents", over, action, after, hp)
    np.testing.assert_array_equal(unmoved, params.q["agents"])


def test_the_value_of_agreeing_with_all_neighbours_as_in_the_paper_s_figure():
    """Figure 2, rate 0.1: 0.82 after five visits, then 0.82 + 0.1 (2 - 0.82) = 0.93, at last 2."""
    env = torus_coordination()
    learner = learner_of(env)
    params = Params({"agents": jnp.zeros((9, 1, 5, 2))}, jnp.float32(1.0))
    down = {"agents": jnp.ones(9, jnp.int32)}
    env_state, before = learner.env.reset(jax.random.key(0))
    _, after = learner.env.step(jax.random.key(1), env_state, down)
    found = []
    for _ in range(200):
        q, _ = module.learn(learner, params, "agents", before, down["agents"], after, Hparams())
        params = params.replace(q={"agents": q})
        found.append(float(q[6, 0, 4, 1]))  # bottom left; all four neighbours down
    np.testing.assert_allclose(found[4:6], [0.82, 0.937], atol=1e-3)
    np.testing.assert_allclose(found[-1], 2.0, atol=1e-6)
    assert (np.asarray(params.q["agents"]) != 0).sum() == 9


def test_agents_play_the_boltzmann_policy_of_the_level_they_saw():
    env = torus_coordination()
    learner = learner_of(env)
    _, timestep = env.reset(jax.random.key(0))
    told = jnp.tile(jnp.float32([0.25, 0.75]), (9, 1))  # level 3
    timestep = timestep.replace(mean_action={"agents": told})
    q = jnp.zeros((9, 1, 5, 2)).at[:, 0, 3].set(jnp.float32([0.0, 0.5]))
    params = Params({"agents": q}, jnp.float32(0.25))
    draw = lambda key: module.act(learner, True, params, key, timestep, ())[0]["agents"]
    drawn = jax.vmap(draw)(jax.random.split(jax.random.key(1), 2000))
    wanted = 1 / (1 + np.exp(-0.5 / 0.25))
    np.testing.assert_allclose(np.mean(drawn), wanted, atol=4 * (0.11 / 18000) ** 0.5)
    greedy, _ = module.act(learner, False, params, jax.random.key(2), timestep, ())
    np.testing.assert_array_equal(greedy["agents"], 1)


@pytest.mark.parametrize("share", ["none", "group"])
@pytest.mark.fast("none")
def test_agents_of_a_torus_agree(share):
    env = torus_coordination()
    algorithm = tabular_mfq(env, Config(share=share))
    train, _ = make_train(algorithm, env, Schedule(40))
    hparams = algorithm.hparams.replace(anneal_steps=1000.0)
    _, metrics = jax.jit(train)(jax.random.key(0), hparams)
    last = np.asarray(metrics["episode_return_mean"])[-10:]
    np.testing.assert_allclose(last[np.isfinite(last)], 2.0 * env.max_steps, rtol=0.02)
    assert np.isfinite(last).any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="tabular_mfq: needs a mean-field environment"):
        tabular_mfq(matrix_game("stag_hunt"))
    with pytest.raises(ValueError, match="levels: expected at least 1, got 0"):
        Config(levels=0)
    assert tabular_mfq(gaussian_squeeze(3), Config(levels=7)).env_steps == 64


def test_the_temperature_falls_with_the_steps():
    env = torus_coordination()
    algorithm = tabular_mfq(env, Config(rollout_length=8))
    hp = algorithm.hparams.replace(temperature=0.4, final_temperature=0.1, anneal_steps=14.0)
    state = algorithm.init(jax.random.key(0), hp)
    _, metrics = jax.jit(algorithm.update)(jax.random.key(1), state, hp, jnp.int32(0))
    np.testing.assert_allclose(metrics["temperature"], 0.2, rtol=1e-5)  # after 7 of 14
