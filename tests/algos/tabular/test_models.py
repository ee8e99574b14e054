"""Learners that model the others and answer them, against exact best responses and equilibria."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.tabular import exorl as extended
from jaxmarl_core.algos.tabular import models, nscp, opponent_modelling_q
from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.algos.tabular.rates import Values
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import guarding_territory, matrix_game
from jaxmarl_core.solvers.markov_games import backup, markov_game
from jaxmarl_core.train import Schedule, make_train

INFO = GameInfo(0, 2, (2, 2), (0, 1), None)


def learned(build, env, num_steps, num_seeds, rate="visits", **hparams):
    """Returns the players' tables, leaves [num_seeds, 1, S, ...], and metrics [seeds, updates]."""
    algorithm = build(env, Config(500, rate=rate))
    train, _ = make_train(algorithm, env, Schedule(num_steps // 500))
    hp = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    state, metrics = jax.jit(jax.vmap(train, (0, None)))(keys, hp)
    return state.params.tables, metrics


def transition(joint, rewards, masks=((True, True), (True, True)), discount=1.0):
    masks = tuple(jnp.array(mask) for mask in masks)
    return Transition(
        *(jnp.int32(0), jnp.int32(joint[0]), jnp.float32(rewards[0]), jnp.float32(discount)),
        *(jnp.int32(1), None, masks[0], masks[0], jnp.int32(0), jax.random.key(0)),
        *(jnp.array(joint), jnp.array(rewards), None, masks, masks),
    )


def entry(q, *beliefs, visits=0.0):
    beliefs = tuple(jnp.array(belief) for belief in beliefs)
    return models.Entry(Values(jnp.array(q), jnp.zeros((2, 2))), beliefs, jnp.float32(visits))


def test_what_an_action_is_worth_is_a_mean_over_beliefs():
    """Counts (1, 3): 0.25 * 4 + 0.75 * 8 = 7 and 0.25 * 2 + 0 = 0.5; legal only: 4 and 2."""
    known = entry([[4.0, 8.0], [2.0, 0.0]], [9.0, 9.0], [1.0, 3.0])
    np.testing.assert_allclose(models.expected_values(known, 0), [7.0, 0.5])
    first = (jnp.ones(2, bool), jnp.array([True, False]))
    np.testing.assert_allclose(models.expected_values(known, 0, first), [4.0, 2.0])


def test_one_step_of_opponent_modelling_by_hand():
    """Ahead max(7, 0.5) = 7: Q(0, 1) = 2 + 0.5 * 7 on the first visit; and the other's 1 counts."""
    hp = opponent_modelling_q.HPARAMS.replace(gamma=0.5)
    ahead = entry([[4.0, 8.0], [2.0, 0.0]], [1.0, 1.0], [1.0, 3.0])
    rule = opponent_modelling_q.rule(INFO)
    after, _ = rule.learn(rule.init(None, hp), ahead, transition((0, 1), (2.0, 0.0)), hp)
    np.testing.assert_allclose(after.values.q, [[0.0, 5.5], [0.0, 0.0]])
    np.testing.assert_allclose(after.beliefs[1], [1.0, 2.0])
    illegal = transition((0, 1), (2.0, 0.0), ((True, True), (False, True)))
    after, _ = rule.learn(after, ahead, illegal, hp)
    np.testing.assert_allclose(after.beliefs[1], [0.0, 3.0])


def test_recent_beliefs_are_frequencies_or_forget_sooner():
    """0, 1, 1 by counting: (1/3, 2/3). With w = 1/2: (1, 0), then 2^-1/2 and 3^-1/2 of the way."""
    found = {}
    for forgetting in (1.0, 0.5):
        belief = jnp.array([0.5, 0.5])
        for visits, action in ((1.0, 0), (2.0, 1), (3.0, 1)):
            done = jax.nn.one_hot(action, 2)
            belief = models.recency_weighted(belief, done, jnp.float32(visits), forgetting)
        found[forgetting] = belief
    np.testing.assert_allclose(found[1.0], [1 / 3, 2 / 3], rtol=1e-6)
    kept = (1 - 2**-0.5) * (1 - 3**-0.5)
    np.testing.assert_allclose(found[0.5], [kept, 1 - kept], rtol=1e-6)


@pytest.mark.slow
def test_nscp_answers_where_the_other_is_going_before_counting_does():
    """The other goes from 0 to 1 for good after 100 of 150 rounds; 1 must be answered by 1."""
    weights = {}
    for name, rule, hp in (
        ("nscp", nscp.rule(INFO), nscp.HPARAMS.replace(gamma=0.0)),
        (
            "counts",
            opponent_modelling_q.rule(INFO),
            opponent_modelling_q.HPARAMS.replace(gamma=0.0),
        ),
    ):
        known = rule.init(None, hp)
        known = known.replace(values=known.values.replace(q=jnp.eye(2)))
        for i in range(150):
            known, _ = rule.learn(
                known, known, transition((0, int(i >= 100)), (float(i < 100), 0.0)), hp
            )
        weights[name] = rule.greedy(known, jnp.ones(2, bool))
    np.testing.assert_allclose(weights["nscp"], [0.0, 1.0])
    np.testing.assert_allclose(weights["counts"], [1.0, 0.0])


def best_response_to_uniform(env, gamma, player):
    """Joint values [S, A_1, A_2] of a player who answers uniform play, in NumPy."""
    game = markov_game(env)
    value = np.zeros((2, game.num_states))
    others = np.asarray(game.legal[1 - player], np.float64)
    others = others / np.maximum(others.sum(1, keepdims=True), 1)
    for _ in range(100):
        q = np.asarray(backup(game, jnp.asarray(value, jnp.float32), gamma))[player]
        q_own = q if player == 0 else q.swapaxes(1, 2)
        worth = (q_own * others[:, None]).sum(axis=2)
        worth = np.where(np.asarray(game.legal[player]), worth, -np.inf).max(axis=1)
        value[player] = np.where(game.terminal, 0, worth)
    return q


@pytest.mark.slow
@pytest.mark.parametrize("build", [opponent_modelling_q.opponent_modelling_q, nscp.nscp])
def test_both_learn_the_best_response_to_uniform_play(build):
    """All explore for ever, and so play uniformly; joint actions are worth what planning says.

    Returns lie in [-10, 10]. Beliefs are frequencies of a thousand visits, three standard errors
    of which are 0.05; measured: 0.1 at most.
    """
    env = guarding_territory(max_steps=20)
    options = {"forgetting": 1.0} if build is nscp.nscp else {}
    options |= {"final_epsilon": 1.0, "gamma": 0.9, "learning_rate": 0.1}
    tables, _ = learned(build, env, 20_000, 4, "constant", **options)
    for player, table in enumerate(tables.values()):
        exact = best_response_to_uniform(env, 0.9, player)
        often = np.asarray(table.visits)[:, 0] > 800
        assert often.sum() > 10
        error = np.abs(np.asarray(table.values.q)[:, 0] - exact[None])
        assert error[often].max() < 0.3


def test_an_extended_response_by_hand():
    """Matching pennies: with u = 2x - 1 and v = 2y - 1 it maximises (1 - s) u v - s |u|.

    So x = 1/2 while |v| < s / (1 - s), else the best response. s = 0.2: the border is v = 0.25.
    """
    own = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    every = jnp.ones(2, bool)
    for v, expected in ((0.2, 0.5), (-0.2, 0.5), (0.3, 1.0), (-0.3, 0.0)):
        belief = jnp.array([(1 + v) / 2, (1 - v) / 2])
        x, solved = extended.response(own, -own, belief, 0.2, every, every)
        assert solved
        np.testing.assert_allclose(x[0], expected, atol=1e-5)


def test_an_extended_response_looks_at_legal_actions_only():
    """The other's second action would shake its belief; where it is illegal, there is no regret."""
    own, other = jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([[0.0, 9.0], [0.0, 0.0]])
    belief, every = jnp.array([1.0, 0.0]), jnp.ones(2, bool)
    shaken, _ = extended.response(own, other, belief, 1.0, every, every)
    np.testing.assert_allclose(shaken, [0.0, 1.0], atol=1e-6)  # 1 - 9 x against 0
    calm, _ = extended.response(own, other, belief, 1.0, every, jnp.array([True, False]))
    np.testing.assert_allclose(calm, [1.0, 0.0], atol=1e-6)
    held, _ = extended.response(own, other, belief, 0.0, jnp.array([False, True]), every)
    np.testing.assert_allclose(held, [0.0, 1.0], atol=1e-6)


def test_extended_responses_agree_with_a_linear_program_of_scipys():
    """Objective values of random games: max t with t <= every linear function of x."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    sigma = 0.3
    own, other = rng.normal(size=(2, 20, 3, 4)).astype(np.float32)
    beliefs = rng.dirichlet(np.ones(4), 20).astype(np.float32)
    every = jnp.ones(3, bool), jnp.ones(4, bool)
    solve = jax.jit(jax.vmap(lambda *game: extended.response(*game, sigma, *every)[0]))
    for a, b, y, x in zip(own, other, beliefs, np.asarray(solve(own, other, beliefs))):
        payoffs = a @ y + sigma * (b @ y - b.T)  # [B, A]
        program = optimize.linprog(
            [0, 0, 0, -1],
            A_ub=np.c_[-payoffs, np.ones(4)],
            b_ub=np.zeros(4),
            A_eq=[[1, 1, 1, 0]],
            b_eq=[1],
            bounds=[(0, None)] * 3 + [(None, None)],
        )
        np.testing.assert_allclose((payoffs @ x).min(), -program.fun, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("matching_pennies", 2, marks=pytest.mark.slow),
        ("tricky", 2),
        pytest.param("rock_paper_scissors", 3, marks=pytest.mark.slow),
    ],
)
def test_exorl_finds_the_mixed_equilibrium_in_self_play(name, size):
    env = matrix_game(name, num_rounds=None)
    options = {"gamma": 0.0, "final_epsilon": 0.1, "anneal_steps": 1000.0}
    tables, metrics = learned(extended.exorl, env, 4000, 4, **options)
    for table in tables.values():
        np.testing.assert_allclose(table.stage.strategy[:, 0, 0], 1 / size, atol=1e-3)
    for player in env.groups:
        np.testing.assert_array_equal(metrics[f"solver_failure_{player}"], 0)


def test_exorl_wants_two_players():
    with pytest.raises(ValueError, match="exorl: expected two players, got 3"):
        extended.exorl(matrix_game("coordination", num_agents=3))
