"""Hyper-Q: its grid, its estimates and its updates by hand, and a best reply it must find."""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated import engine, hyper_q
from jaxmarl_core.algos.repeated.cross_play import by_player, stationary
from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.repeated.hyper_q import (
    Config,
    Entry,
    Hparams,
    nearest,
    posterior,
    simplex_grid,
)
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train


def game(name):
    return matrix_game(name, num_rounds=None)


@pytest.mark.parametrize(("actions", "values"), [(2, 25), (3, 25), (3, 2), (4, 5)])
def test_the_grid_has_every_strategy_once(actions, values):
    grid = simplex_grid(actions, values)
    assert len(grid) == comb(values + actions - 2, actions - 1)  # 325 for 25 and 3
    np.testing.assert_allclose(grid.sum(1), 1, atol=1e-6)
    units = np.round(grid * (values - 1))
    np.testing.assert_allclose(units / (values - 1), grid, atol=1e-6)
    assert len({tuple(entry) for entry in units}) == len(grid)
    assert (grid >= 0).all()


def test_the_nearest_point_is_numpys():
    grid = simplex_grid(3, 9)
    for y in np.random.default_rng(0).dirichlet(np.ones(3), 50):
        assert nearest(jnp.asarray(y), grid) == np.argmin(np.linalg.norm(grid - y, axis=1))


def test_bayes_by_hand():
    """Points (1, 0), (1/2, 1/2), (0, 1); seen: 2 of action 0 and 1 of action 1."""
    grid = simplex_grid(2, 3)[::-1]
    np.testing.assert_allclose(grid, [[1, 0], [0.5, 0.5], [0, 1]])
    np.testing.assert_allclose(posterior(jnp.array([2.0, 1.0]), grid), [0, 1, 0], atol=1e-6)
    # only action 0, twice: 1, 1/4 and 0, of 5/4
    np.testing.assert_allclose(posterior(jnp.array([2.0, 0.0]), grid), [0.8, 0.2, 0], rtol=1e-5)
    np.testing.assert_allclose(posterior(jnp.zeros(2), grid), 1 / 3, rtol=1e-6)


def lesson(rule, entry, joint, reward, hp, strategies=None):
    told = Transition(*[None] * 10)._replace(
        reward=jnp.float32(reward),
        discount=jnp.float32(1),
        key=jax.random.key(5),
        joint_action=jnp.array(joint),
        strategies=strategies,
    )
    return rule.learn(entry, entry, told, hp)[0]


def pennies(**config):
    return hyper_q.rule(GameInfo(0, 1, (2, 2), (0, 1), None), **config)


def test_a_point_learns_by_hand():
    """Grid (0, 1), (1/2, 1/2), (1, 0); it plays number 2 while the other is thought to play 1.

    Now told that the other plays (1, 0), number 2: r + gamma max Q(2, .) = 1 + .5 * 3 = 2.5, and
    Q(1, 2) = 1 moves a tenth of the way to it. In 2 the best is number 0.
    """
    rule = pennies(grid=3, estimator="omniscient")
    hp = Hparams(learning_rate=0.1, gamma=0.5)
    q = jnp.array([[9.0, 9.0, 9.0], [0.0, 0.0, 1.0], [3.0, 2.0, 0.0]])
    entry = Entry(q, jnp.int32(2), jnp.int32(1), jnp.array([0.5, 0.5]), jnp.int32(0))
    after = lesson(rule, entry, [0, 0], 1, hp, strategies=(None, jnp.array([1.0, 0.0])))
    np.testing.assert_allclose(after.q, q.at[1, 2].add(0.15), rtol=1e-6)
    assert after.y == 2 and after.x == 0


def test_the_next_strategy_is_the_best_after_the_lesson():
    """In the same y as before, a bad reward makes the other strategy the better one."""
    rule = pennies(grid=2, estimator="omniscient")
    hp = Hparams(learning_rate=0.5, gamma=0.0)
    entry = Entry(
        jnp.array([[0.0, 0.0], [0.5, 1.0]]), jnp.int32(1), jnp.int32(1), jnp.zeros(2), jnp.int32(0)
    )
    after = lesson(rule, entry, [0, 0], -1, hp, strategies=(None, jnp.array([1.0, 0.0])))
    np.testing.assert_allclose(after.q[1], [0.5, 0.0])  # grid (0, 1), (1, 0)
    assert after.x == 0


def test_all_points_learn_at_once_under_bayes():
    """One action 0 seen: (0, 1) has probability 0, (1/2, 1/2) a third, (1, 0) two.

    Values of x: (2 Q(2, .) + Q(1, .)) / 3 = (2, 5/3, 1/3); target 1 + .5 * 2 = 2.
    """
    rule = pennies(grid=3, estimator="bayes", memory=4)
    hp = Hparams(learning_rate=0.3, gamma=0.5, forgetting=0.25)
    q = jnp.array([[9.0, 9.0, 9.0], [0.0, 1.0, 1.0], [3.0, 2.0, 0.0]])
    entry = rule.init(jax.random.key(0), hp).replace(q=q, x=jnp.int32(2))
    np.testing.assert_allclose(entry.y, 1 / 3, rtol=1e-6)
    after = lesson(rule, entry, [1, 0], 1, hp)
    np.testing.assert_allclose(after.y, [0, 1 / 3, 2 / 3], atol=1e-6)
    change = [0, 0.3 / 3 * (2 - 1), 0.3 * 2 / 3 * (2 - 0)]
    np.testing.assert_allclose(after.q, q.at[:, 2].add(jnp.array(change)), rtol=1e-5)
    assert after.x == 0
    # the older an action the less it counts: weights 3/4 for it and 1 for the next
    again = lesson(rule, after, [1, 1], 0, hp)
    likelihood = np.array([0, 0.5**1.75, 0])
    np.testing.assert_allclose(again.y, likelihood / likelihood.sum(), atol=1e-6)


def test_the_average_moves_and_strategies_begin_anew():
    rule = pennies(grid=5, estimator="average")
    hp = Hparams(forgetting=0.2, restart=10.0)
    entry = rule.init(jax.random.key(0), hp)
    after = lesson(rule, entry, [0, 1], 0, hp)
    np.testing.assert_allclose(after.memory, [0.4, 0.6], rtol=1e-6)
    q = jnp.zeros((5, 5)).at[:, 4].set(1.0)
    xs = []
    for _ in range(20):
        entry = lesson(rule, entry.replace(q=q), [0, 1], 0, hp)
        xs.append(int(entry.x))
    anywhere = int(jax.random.randint(jax.random.key(5), (), 0, 5))
    assert anywhere != 4
    assert xs == ([4] * 9 + [anywhere]) * 2


@pytest.mark.fast("bayes")
@pytest.mark.parametrize("estimator", hyper_q.ESTIMATORS)
def test_it_finds_the_best_reply_to_one_who_does_not_learn(estimator):
    """Rock, paper, scissors against (.6, .2, .2): paper, worth .4."""
    env = game("rock_paper_scissors")
    rule = lambda info: hyper_q.rule(info, grid=5, estimator=estimator, memory=50)
    rules = by_player(rule, stationary([0.6, 0.2, 0.2]))
    hp = Hparams(learning_rate=0.02, forgetting=0.02, restart=20.0, gamma=0.5)
    algorithm = repeated(env, engine.Config(1000), rules, hp)
    train, _ = make_train(algorithm, env, Schedule(10))
    keys = jax.random.split(jax.random.key(0), 4)
    _, metrics = jax.jit(jax.vmap(train, (0, None)))(keys, algorithm.hparams)
    assert (metrics["reward_player_0"][:, -2:].mean(1) > 0.2).all()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"grid: expected at most 4194304 entries of Q, got 25502"):
        hyper_q.hyper_q(game("rock_paper_scissors"), Config(grid=100))
    with pytest.raises(ValueError, match="hyper_q: expected two players, got 3"):
        hyper_q.hyper_q(matrix_game("coordination", num_agents=3))
