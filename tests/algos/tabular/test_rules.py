"""The rules of independent tabular learners: by hand, and in games whose outcome is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import (
    distributed_q,
    hysteretic_q,
    lenient_q,
    phc,
    q_learning,
    sarsa,
    wolf_phc,
)
from jaxmarl_core.algos.tabular import distributed_q as distributed
from jaxmarl_core.algos.tabular import hysteretic_q as hysteretic
from jaxmarl_core.algos.tabular import lenient_q as lenient
from jaxmarl_core.algos.tabular import pd_wolf as pd
from jaxmarl_core.algos.tabular import sarsa as on_policy
from jaxmarl_core.algos.tabular import wolf_phc as wolf
from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.algos.tabular.rates import RATES, Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train

INFO = GameInfo(0, 2, (2, 2), (0, 1), None)


def transition(action, reward, discount=1.0, next_action=0, seed=0):
    every = jnp.ones(2, bool)
    numbers = jnp.int32(0), jnp.int32(action), jnp.float32(reward), jnp.float32(discount)
    step = jnp.int32(0)
    return Transition(
        *numbers, jnp.int32(1), jnp.int32(next_action), every, every, step, jax.random.key(seed)
    )


def values(*q):
    return Values(jnp.array(q), ())


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("constant", [0.5, 0.5, 0.5]),
        ("hyperbolic", [0.5, 0.25, 0.5 / 3]),
        ("exponential", [0.5, 0.005, 0.00005]),
        ("visits", [0.5, 0.25, 0.5 / 3]),
    ],
)
def test_rates(rate, expected):
    """At steps 0, 10, 20 with a period of 10, and at the first, second and third visit."""
    found = [RATES[rate](0.5, 10.0, step, visits) for step, visits in ((0, 1), (10, 2), (20, 3))]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_rate_of_one_over_visits_gives_the_mean():
    hp = q_learning(matrix_game()).hparams.replace(learning_rate=1.0)
    entry = initial_values((2, 3), "visits", value=7.0)
    rewards = [3.0, -1.0, 4.0, 8.0]
    for reward in rewards:
        entry = q_update(entry, (jnp.int32(1), jnp.int32(2)), reward, hp, 0, "visits")
    expected = np.full((2, 3), 7.0)
    expected[1, 2] = np.mean(rewards)
    np.testing.assert_allclose(entry.q, expected, rtol=1e-6)


def test_sarsa_values_what_comes_next():
    """2 + 0.1 (1 + 0.5 * 4 - 2) = 2.1, although the other action would be worth 9."""
    hp = sarsa(matrix_game()).hparams.replace(learning_rate=0.1, gamma=0.5)
    learned, _ = on_policy.rule(INFO).learn(
        values(2.0, 3.0), values(4.0, 9.0), transition(0, 1.0, next_action=0), hp
    )
    np.testing.assert_allclose(learned.q, [2.1, 3.0], rtol=1e-6)


def test_hysteretic_learns_bad_news_slowly():
    """Up: 2 + 0.5 (4 - 2) = 3. Down: 2 + 0.5 * 0.1 (0 - 2) = 1.9."""
    hp = hysteretic_q(matrix_game()).hparams.replace(learning_rate=0.5, pessimism=0.1)
    learn = hysteretic.rule(INFO).learn
    up, _ = learn(values(2.0, 3.0), values(0.0, 0.0), transition(0, 4.0, 0.0), hp)
    down, _ = learn(values(2.0, 3.0), values(0.0, 0.0), transition(0, 0.0, 0.0), hp)
    np.testing.assert_allclose(up.q[0], 3.0)
    np.testing.assert_allclose(down.q[0], 1.9, rtol=1e-6)


def test_lenience_is_a_matter_of_temperature():
    """Bad news is heeded with probability 1 - exp(-1 / T), good news always; tries cool."""
    hp = lenient_q(matrix_game()).hparams.replace(
        learning_rate=0.5, cooling=0.9, leniency=1.0, diffusion=0.25
    )
    learn = lenient.rule(INFO).learn
    entry = lenient.Entry(values(2.0, 3.0), jnp.array([4.0, 6.0]))
    ahead = lenient.Entry(values(0.0, 0.0), jnp.array([1.0, 3.0]))
    bad = lambda key: learn(entry, ahead, transition(0, 0.0, 0.0)._replace(key=key), hp)[
        0
    ].values.q[0]
    found = np.asarray(jax.vmap(bad)(jax.random.split(jax.random.key(0), 4000)))
    assert set(np.unique(found)) == {1.0, 2.0}
    heeded = 1 - np.exp(-1 / 4)
    assert abs((found == 1).mean() - heeded) < 3 * np.sqrt(heeded * (1 - heeded) / 4000)
    good, _ = learn(entry, ahead, transition(0, 8.0, 0.0), hp)
    np.testing.assert_allclose(good.values.q[0], 5.0)
    np.testing.assert_allclose(good.temperature, [3.6, 6.0], rtol=1e-6)  # ended: 0.9 * 4
    goes_on, _ = learn(entry, ahead, transition(0, 8.0, 1.0), hp)
    np.testing.assert_allclose(goes_on.temperature[0], 0.9 * (4 + 0.25 * (2 - 4)), rtol=1e-6)


def test_distributed_q_keeps_the_best_and_its_action():
    hp = distributed_q(matrix_game()).hparams.replace(gamma=0.5)
    learn = distributed.rule(INFO).learn
    none = distributed.Entry(jnp.zeros(2), jnp.int32(0))
    entry = distributed.Entry(jnp.array([2.0, 5.0]), jnp.int32(1))
    worse, _ = learn(entry, none, transition(1, 3.0), hp)
    np.testing.assert_allclose(worse.q, [2.0, 5.0])
    equal, _ = learn(entry, none, transition(0, 5.0), hp)  # as good as the best: the policy stays
    np.testing.assert_allclose(equal.q, [5.0, 5.0])
    assert equal.action == 1
    better, _ = learn(
        entry, distributed.Entry(jnp.array([4.0, 8.0]), none.action), transition(0, 2.0), hp
    )
    np.testing.assert_allclose(better.q, [6.0, 5.0])
    assert better.action == 0


def test_policies_climb_by_hand():
    """Others give min(pi, step / (A - 1)) to the greedy one; an illegal action gives nothing."""
    pi, q = jnp.array([0.5, 0.1, 0.4]), jnp.array([1.0, 2.0, 3.0])
    every, two = jnp.ones(3, bool), jnp.array([True, True, False])
    np.testing.assert_allclose(wolf.hill_climb(pi, q, every, 0.4), [0.3, 0.0, 0.7], rtol=1e-6)
    np.testing.assert_allclose(wolf.hill_climb(pi, q, two, 0.2), [0.3, 0.3, 0.4], rtol=1e-6)
    expected = [0.15 + 0.7 * 5 / 6, 0.15 + 0.7 / 6, 0.0]
    np.testing.assert_allclose(wolf.epsilon_soft(pi, two, 0.3), expected, rtol=1e-6)


MASKS = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 0]], bool)  # of three states


def climbed(kind, start, told, hp):
    """Policies [3, A] by loops over actions, each state's kept to the legal ones from the start."""
    num_actions, legal = MASKS.shape[1], [np.flatnonzero(mask) for mask in MASKS]
    pi = np.zeros(MASKS.shape)
    for s, mask in enumerate(legal):
        pi[s, mask] = start[s, mask] / start[s, mask].sum()
    q, average = np.zeros_like(pi), pi.copy()
    change, change2, visits = np.zeros_like(pi), np.zeros_like(pi), np.zeros(len(pi))
    for t, (s, a, reward, s_after) in enumerate(told):
        best_after = max(q[s_after, b] for b in legal[s_after])
        alpha = hp.learning_rate / (1 + t / hp.rate_period)
        q[s, a] += alpha * (reward + hp.gamma * best_after - q[s, a])
        visits[s] += 1
        for b in legal[s]:
            average[s, b] += (pi[s, b] - average[s, b]) / visits[s]
        wins = sum(pi[s, b] * q[s, b] for b in legal[s]) > sum(
            average[s, b] * q[s, b] for b in legal[s]
        )
        best = max(legal[s], key=lambda b: q[s, b])
        before = pi[s].copy()
        for b in range(num_actions):
            if b == best or b not in legal[s]:
                continue
            slow = {"wolf": wins, "phc": False, "pd": change[s, b] * change2[s, b] < 0}[kind]
            step = hp.win_step / (1 + t / hp.step_period) * (1 if slow else hp.lose_ratio)
            given = min(before[b], step / (len(legal[s]) - 1))
            pi[s, b] -= given
            pi[s, best] += given
        change2[s] = pi[s] - before - change[s]
        change[s] = pi[s] - before
    return pi, average


@pytest.mark.parametrize("start", ["uniform", "random"])
@pytest.mark.parametrize("kind", ["wolf", "phc", "pd"])
def test_what_is_illegal_is_nobody_s_gain(kind, start):
    """Three states with other actions each, visited 200 times at random, against loops."""
    info = GameInfo(0, 3, (4, 4), (0, 1), None)
    rule = (
        pd.rule(info, start=start)
        if kind == "pd"
        else wolf.rule(info, start=start, wolf=kind == "wolf")
    )
    hp = wolf.HPARAMS.replace(learning_rate=0.3, rate_period=100.0, win_step=0.02, step_period=50.0)
    keys = jax.random.split(jax.random.key(3), 3)
    table = jax.vmap(rule.init, (0, None))(keys, hp)
    first = np.asarray(table.pi)
    uniform = jax.vmap(rule.strategy, (0, 0, None))(table, jnp.asarray(MASKS), 0.0)
    if start == "uniform":
        np.testing.assert_allclose(uniform, MASKS / MASKS.sum(1, keepdims=True), rtol=1e-6)
    draw = np.random.default_rng(0)
    told, state = [], 0
    for _ in range(200):
        after = int(draw.integers(3))
        told.append((state, int(draw.choice(np.flatnonzero(MASKS[state]))), draw.normal(), after))
        state = after

    def visit(table, inputs):
        t, (s, a, reward, s_after) = inputs
        at = lambda s: jax.tree.map(lambda x: x[s], table)
        mask = jnp.asarray(MASKS)
        one = Transition(
            s, a, reward, jnp.float32(1), s_after, None, mask[s], mask[s_after], t, keys[0]
        )
        new, _ = rule.learn(at(s), at(s_after), one, hp)
        return jax.tree.map(lambda x, y: x.at[s].set(y), table, new), None

    columns = [jnp.asarray(column) for column in zip(*told)]
    inputs = jnp.arange(200.0), columns
    found, _ = jax.jit(lambda table: jax.lax.scan(visit, table, inputs))(table)
    pi, average = climbed(kind, first, told, hp)
    np.testing.assert_allclose(found.pi, pi, atol=1e-5)
    assert (np.asarray(found.pi)[~MASKS] == 0).all()
    if kind != "pd":
        np.testing.assert_allclose(found.average, average, atol=1e-5)


@pytest.mark.parametrize(("q", "ratio"), [((1.0, 0.0), 1.0), ((0.0, 1.0), 4.0)])
def test_wolf_steps_far_only_when_losing(q, ratio):
    """pi (.7, .3) against its average (.5, .5): ahead if the first action is worth more."""
    hp = wolf_phc(matrix_game()).hparams.replace(
        learning_rate=0.0, win_step=0.01, lose_ratio=4.0, step_period=1e9
    )
    entry = wolf.Entry(values(*q), jnp.array([0.7, 0.3]), jnp.array([0.5, 0.5]), jnp.float32(1e6))
    for is_wolf in (True, False):
        learn = wolf.rule(INFO, wolf=is_wolf).learn
        learned, _ = learn(entry, entry, transition(0, 0.0, 0.0), hp)
        step = 0.01 * (ratio if is_wolf else 4.0)
        expected = 0.7 + step * (1 if q[0] > q[1] else -1)
        np.testing.assert_allclose(learned.pi[0], expected, rtol=1e-5)


def settled(build, env, num_updates, num_seeds, config=None, **hparams):
    """The greedy joint action of each seed, as a sorted list of (count, joint action)."""
    algorithm = build(env, config or Config(50))
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hparams = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    states, _ = jax.jit(jax.vmap(train, (0, None)))(keys, hparams)
    timestep = env.reset(jax.random.key(0))[1]
    act = lambda params: algorithm.policy.greedy(params, jax.random.key(1), timestep, ())[0]
    return np.asarray(jax.vmap(act)(states.params)["agents"])


@pytest.mark.slow
def test_optimism_climbs_where_q_learning_falls():
    """Claus and Boutilier's climbing game: (0, 0) pays 11, and -30 to whoever goes alone."""
    env = matrix_game("climbing")
    hp = {"anneal_steps": 3000.0}
    at_the_top = {
        name: (settled(build, env, 100, 40, **hp, **more) == 0).all(axis=1).mean()
        for name, build, more in (
            ("q", q_learning, {}),
            ("distributed", distributed_q, {"first_value": -31.0}),
            ("hysteretic", hysteretic_q, {"pessimism": 0.01}),
            ("lenient", lenient_q, {"learning_rate": 0.1, "cooling": 0.999}),
        )
    }
    assert at_the_top["distributed"] == 1.0
    assert at_the_top["hysteretic"] >= 0.9
    assert at_the_top["lenient"] >= 0.9
    assert at_the_top["q"] <= 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "options", "least"),
    [
        ("climbing", {}, 0.9),
        ("penalty", {"penalty": -100.0}, 0.9),
        ("partially_stochastic_climbing", {}, 0.6),  # the middle pays 14 or 0, 7 on average
    ],
)
def test_lenience_by_its_defaults_finds_what_mistakes_punish(game, options, least):
    """20,000 steps, a half of which play; 40 runs (by loops: 100, 100 and 73 %)."""
    env = matrix_game(game, **options)
    joint = settled(lenient_q, env, 200, 40, Config(100))
    team = np.asarray(env.payoffs[0])
    assert (team[joint[:, 0], joint[:, 1]] == team.max()).mean() >= least


@pytest.mark.slow
def test_wolf_finds_the_mixed_equilibrium_that_phc_circles():
    """Matching pennies, the paper's rates, a million plays, 16 runs from anywhere: WoLF-PHC within
    0.1 of (1/2, 1/2) in every run, PHC further away by far (measured with 32: 0.008 and 0.082)."""
    env = matrix_game("matching_pennies", num_rounds=None)

    def distance(build):
        algorithm = build(env, wolf.Config(1000, start="random"))
        train, _ = make_train(algorithm, env, Schedule(1000))
        keys = jax.random.split(jax.random.key(0), 16)
        states, _ = jax.jit(jax.vmap(train, (0, None)))(keys, algorithm.hparams)
        pi = jnp.stack([table.pi[:, 0, 0, 0] for table in states.params.tables.values()])
        return np.abs(np.asarray(pi) - 0.5).max(axis=0)

    near, far = distance(wolf_phc), distance(phc)
    assert near.max() < 0.1
    assert far.mean() > 4 * near.mean()
