"""Optimal adaptive learning: its play by hand, its model against planning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.tabular.oal import Config, biased_adaptive_play, oal
from jaxmarl_core.envs import field_coverage, matrix_game, rendezvous, two_step_game
from jaxmarl_core.solvers.markov_games import backup, markov_game
from jaxmarl_core.train import Schedule, make_train

EVERY = jnp.ones(3, bool)
DIAGONAL = jnp.eye(3, dtype=bool)  # joint actions 0, 4 and 8 pay


def learned(env, num_steps, num_seeds, config, **hparams):
    """Returns the first player's table, leaves [num_seeds, S, ...], and metrics."""
    algorithm = oal(env, config)
    train, _ = make_train(algorithm, env, Schedule(num_steps // config.rollout_length))
    hp = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    state, metrics = jax.jit(jax.vmap(train, (0, None)))(keys, hp)
    return jax.tree.map(lambda x: x[:, 0], next(iter(state.params.tables.values()))), metrics


@pytest.mark.parametrize(
    ("sample", "player", "expected"),
    [
        ([-1, 4], 0, [1 / 3, 1 / 3, 1 / 3]),  # too little has been played
        ([4, 1], 0, [0, 1, 0]),  # the mate did 1 twice, once it was good: do 1
        ([4, 1], 1, [0.5, 0.5, 0]),  # seen from the mate: the first did 1, then 0
        ([8, 0], 0, [0.5, 0, 0.5]),  # both good, but the mate changed: either is as frequent
        ([1, 7], 0, [0, 1, 0]),  # the mate did 1 twice, never well: answer it
        ([1, 1], 1, [1, 0, 0]),
    ],
)
def test_biased_adaptive_play_by_hand(sample, player, expected):
    found = biased_adaptive_play(DIAGONAL, jnp.array(sample), EVERY, player)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_biased_adaptive_play_follows_the_most_recent_of_several_optima():
    """With the mate on column 1 both rows 0 and 1 pay: what settled last is kept, not a draw."""
    good = jnp.array([[0, 1], [0, 1], [1, 0]], bool)
    for sample, entry in (([1, 3], 1), ([3, 1], 0)):  # (0, 1) then (1, 1); and the reverse
        found = biased_adaptive_play(good, jnp.array(sample), EVERY, 0)
        np.testing.assert_allclose(found, np.arange(3) == entry)
    legal = jnp.array([False, True, True])  # an answer is legal
    found = biased_adaptive_play(good, jnp.array([5, 3 - 1]), legal, 0)
    assert found[0] == 0 and abs(float(found.sum()) - 1) < 1e-6


def test_three_mates_are_told_apart():
    """Player 1 of three: its mates' parts of joint actions 0 b 1 are the same whatever b."""
    good = jnp.zeros((2, 2, 2), bool).at[0, 1, 1].set(True)
    sample = jnp.array([0b011, 0b001])
    found = biased_adaptive_play(good, sample, jnp.ones(2, bool), 1)
    np.testing.assert_allclose(found, [0, 1])


@pytest.mark.fast("penalty")
@pytest.mark.parametrize("name", ["climbing", "penalty"])
def test_a_team_settles_on_one_optimum(name):
    """Every run ends on an optimal joint action; of the two in the penalty game, on either."""
    env = matrix_game(name, num_rounds=None, penalty=-100.0)
    options = {"gamma": 0.0, "anneal_steps": 500.0, "final_epsilon": 0.0}
    table, _ = learned(env, 1000, 30, Config(10), **options)
    team = np.asarray(env.payoffs[0]).reshape(-1)
    assert (team[np.asarray(table.past)[:, 0, -5:]] == team.max()).all()
    ends = set(np.asarray(table.past)[:, 0, -1].tolist())
    assert ends == ({0} if name == "climbing" else {0, 8})


@pytest.mark.fast("two_step_game")
@pytest.mark.parametrize("build", [two_step_game, lambda: rendezvous(rows=2, columns=2)])
def test_its_plan_is_the_exact_one(build):
    """Deterministic worlds: a joint action once tried is known, and worth what planning says."""
    env = build()
    game = markov_game(env)
    value = np.zeros(game.num_states)
    legal = np.asarray(game.legal[0])[:, :, None] & np.asarray(game.legal[1])[:, None]
    for _ in range(150):
        both = jnp.asarray(np.stack([value] * 2), jnp.float32)
        exact = np.asarray(backup(game, both, 0.9))[0]
        best = np.where(legal, exact, -np.inf).reshape(len(value), -1).max(axis=1)
        value = np.where(game.terminal, 0, best)
    table, _ = learned(env, 5000, 2, Config(50, sweeps=8), final_epsilon=1.0, gamma=0.9)
    tried = np.asarray(table.tries) > 0
    assert tried.mean() > 0.4
    error = np.abs(np.asarray(table.q) - exact[None])
    np.testing.assert_allclose(error[tried], 0, atol=1e-3 * np.abs(exact).max())


def test_what_it_cannot_do_is_said_at_once():
    with pytest.raises(ValueError, match="oal: needs one team, the environment has 2"):
        oal(matrix_game("prisoners_dilemma"))
    with pytest.raises(ValueError, match="oal: expected a model of at most 134217728 entries"):
        oal(field_coverage())
    with pytest.raises(ValueError, match=r"memory: expected at least sample \(3\)"):
        Config(sample=3, memory=2)
    with pytest.raises(ValueError, match=r"memory: expected at least .* = 10, got 8"):
        oal(matrix_game("coordination", num_agents=3))
