"""Learners that solve a stage game in every state, against exact values of the games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.algos.tabular.stage import HPARAMS, Solution, legal_joint, stage_rule
from jaxmarl_core.algos.tabular.team_q import team_q
from jaxmarl_core.envs import matrix_game, rendezvous, two_step_game
from jaxmarl_core.solvers.markov_games import backup, markov_game
from jaxmarl_core.train import Schedule, make_train


def learned(build, env, num_steps, num_seeds, **hparams):
    """Returns the players' tables, leaves [num_seeds, 1, S, ...], by name."""
    algorithm = build(env, Config(1000, rate="constant"))  # deterministic games: rate 1 is exact
    train, _ = make_train(algorithm, env, Schedule(num_steps // 1000))
    hp = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    return jax.jit(jax.vmap(train, (0, None)))(keys, hp)[0].params.tables


def test_one_step_by_hand():
    """Q(0, 1) = 2; reward 1, V(s') = 6, gamma 0.5, rate 0.25: 2 + 0.25 (1 + 3 - 2) = 2.5."""
    info = GameInfo(1, 2, (2, 2), (0, 0), None)
    given_q = []

    def solve(q, masks):
        given_q.append(q)
        return Solution(jnp.array([0.25, 0.75]), q[:, 0, 1], jnp.bool_(True))

    rule = stage_rule(info, solve, "constant")
    hp = HPARAMS.replace(learning_rate=0.25, gamma=0.5)
    entry = rule.init(jax.random.key(0), hp)
    entry = entry.replace(values=entry.values.replace(q=jnp.array([[[1.0, 2.0], [3.0, 4.0]]])))
    ahead = entry.replace(stage=entry.stage._replace(value=jnp.array([6.0])))
    every = (jnp.ones(2, bool),) * 2
    told = Transition(
        *(jnp.int32(0), jnp.int32(1), jnp.float32(1), jnp.float32(1), jnp.int32(1), None),
        *(every[1], every[1], jnp.int32(0), jax.random.key(0)),
        *(jnp.array([0, 1]), jnp.array([9.0, 1.0]), None, every, every),
    )
    after, metrics = rule.learn(entry, ahead, told, hp)
    np.testing.assert_allclose(after.values.q[0], [[1.0, 2.5], [3.0, 4.0]])
    np.testing.assert_allclose(after.stage.strategy, [0.25, 0.75])
    np.testing.assert_allclose(after.stage.value, [2.5])
    assert not metrics["solver_failure"]
    ended, _ = rule.learn(entry, ahead, told._replace(discount=jnp.float32(0)), hp)
    np.testing.assert_allclose(ended.values.q[0, 0, 1], 1.75)


def test_a_failed_solve_shows_and_changes_no_strategy():
    info = GameInfo(0, 1, (2, 2), (0, 0), None)
    solve = lambda q, masks: Solution(jnp.array([1.0, 0.0]), q[:, 0, 0], jnp.bool_(False))
    rule = stage_rule(info, solve, "constant")
    hp = HPARAMS
    entry = rule.init(jax.random.key(0), hp)
    every = (jnp.ones(2, bool),) * 2
    told = Transition(
        *(jnp.int32(0), jnp.int32(0), jnp.float32(1), jnp.float32(1), jnp.int32(0), None),
        *(every[0], every[0], jnp.int32(0), jax.random.key(0)),
        *(jnp.array([0, 0]), jnp.array([1.0, 1.0]), None, every, every),
    )
    after, metrics = rule.learn(entry, entry, told, hp)
    assert metrics["solver_failure"]
    np.testing.assert_allclose(after.stage.strategy, [0.5, 0.5])


def test_legal_joint_actions():
    masks = (jnp.array([True, False]), jnp.array([True, True, False]))
    np.testing.assert_array_equal(legal_joint(masks), [[1, 1, 0], [0, 0, 0]])


def team_values(env, gamma):
    """The best values of a team game by value iteration, [N, S, A...] and [S], in NumPy."""
    game = markov_game(env)
    value = np.zeros(game.num_states)
    for _ in range(200):
        q = np.asarray(backup(game, jnp.asarray(np.stack([value] * 2), jnp.float32), gamma))[0]
        masks = legal_joint_of(game)
        value = np.where(masks, q, -np.inf).reshape(len(value), -1).max(axis=1)
        value = np.where(game.terminal, 0, value)
    return q, value


def legal_joint_of(game):
    first, second = (np.asarray(mask) for mask in game.legal)
    return first[:, :, None] & second[:, None, :]


@pytest.mark.slow
def test_team_q_knows_what_both_tables_of_the_two_step_game_are_worth():
    env = two_step_game()
    exact, _ = team_values(env, 0.99)
    for table in learned(team_q, env, 4000, 4, gamma=0.99, final_epsilon=1.0).values():
        found = np.asarray(table.values.q)[:, 0, :, 0]
        for seed in found:
            np.testing.assert_allclose(seed[:3], exact[:3], atol=0.02)


@pytest.mark.slow
def test_team_q_meets_by_the_shortest_way():
    """Rendezvous from its own start: the greedy value equals the best one found by planning."""
    env = rendezvous()
    _, best = team_values(env, 0.98)
    tables = learned(team_q, env, 400_000, 4, gamma=0.98, final_epsilon=0.5, anneal_steps=200_000)
    start = int(env.encode(env.initial(jax.random.key(0))))
    for table in tables.values():
        np.testing.assert_allclose(table.stage.value[:, 0, start, 0], best[start], rtol=1e-5)


def test_team_q_wants_a_team():
    with pytest.raises(ValueError, match="team_q: needs one team, the environment has 2"):
        team_q(matrix_game("prisoners_dilemma"))
