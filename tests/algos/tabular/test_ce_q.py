"""CE-Q against the published values of the grid games, and the minimax values of zero-sum ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import oracle
from stage_runs import ALWAYS_EXPLORE, learned, play_greedily, start_of

from jaxmarl_core.algos.tabular import ce_q as module
from jaxmarl_core.algos.tabular.ce_q import OBJECTIVES, Config, ce_q
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.envs import grid_game, guarding_territory, soccer_4x2
from jaxmarl_core.envs.matrix_games import from_payoffs

CHICKEN = jnp.array([[[6.0, 2.0], [7.0, 0.0]], [[6.0, 7.0], [2.0, 0.0]]])
EVERY = (jnp.ones(2, bool),) * 2


@pytest.mark.fast("0")
@pytest.mark.parametrize("player", [0, 1])
def test_objectives_in_chicken(player):
    """Aumann's game: the best equilibrium draws (6,6), (2,7), (7,2) with 1/2, 1/4, 1/4: 5.25 each.

    The other extreme: a player's own best is the pure equilibrium in which it dares, 7 against 2.
    """
    info = GameInfo(player, 1, (2, 2), (0, 1), None)
    solve = lambda: {name: module.solve(info, CHICKEN, EVERY, name) for name in OBJECTIVES}
    found = jax.jit(solve)()
    for name in ("utilitarian", "egalitarian"):
        np.testing.assert_allclose(found[name].value, [5.25, 5.25], rtol=1e-5)
        np.testing.assert_allclose(found[name].joint, [[0.5, 0.25], [0.25, 0]], atol=1e-5)
        np.testing.assert_allclose(found[name].strategy, [0.75, 0.25], atol=1e-5)
    np.testing.assert_allclose(found["libertarian"].value[player], 7, rtol=1e-5)
    np.testing.assert_allclose(found["libertarian"].value[1 - player], 2, rtol=1e-5)
    np.testing.assert_allclose(found["plutocratic"].value, [7, 2], rtol=1e-5)  # the first of two


def test_illegal_actions_are_neither_played_nor_deviated_to():
    """Without daring to swerve, player 0 dares: the other's best reply is to swerve."""
    info = GameInfo(0, 1, (2, 2), (0, 1), None)
    found = module.solve(info, CHICKEN, (jnp.array([False, True]), EVERY[1]), "utilitarian")
    np.testing.assert_allclose(found.joint, [[0, 0], [1, 0]], atol=1e-6)
    assert found.solved


def test_what_cannot_be_solved_shows():
    info = GameInfo(0, 1, (2, 2), (0, 1), None)
    assert not module.solve(info, CHICKEN.at[0, 0, 0].set(jnp.nan), EVERY, "utilitarian").solved


@pytest.mark.slow
def test_a_referee_draws_for_both_and_marginals_do_not():
    """Chicken at gamma 0: nobody crashes where a referee draws; alone, one in sixteen do."""
    env = from_payoffs(np.asarray(CHICKEN), num_rounds=None)
    for play, expected in (("referee", 0.0), ("marginals", 1 / 16)):
        algorithm = ce_q(env, Config(100, rate="constant", play=play))
        _, joint = play_greedily(algorithm, 2000)
        crashed = (joint == 1).all(axis=0).mean()
        assert abs(crashed - expected) <= 4 * (expected / 2000) ** 0.5
        np.testing.assert_allclose((joint == 1).mean(axis=1), 0.25, atol=0.04)


@pytest.mark.slow
def test_in_a_zero_sum_game_it_is_minimax():
    """Guarding a territory: -4 to the defender, though each takes the equilibrium it likes best."""
    env = guarding_territory()
    algorithm = ce_q(env, Config(200, objective="libertarian", rate="constant"))
    tables, _ = learned(algorithm, env, 1000, 2)
    for table in tables.values():
        value = table.stage.value[:, 0, start_of(env)]
        np.testing.assert_allclose(value, [[-4, 4]] * 2, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("game", [1, 3])
def test_deterministic_grid_games_reach_the_recorded_equilibrium(game):
    """Value iteration with the utilitarian CE by another program: 72.9; 98.2777 to each."""
    env = grid_game(game, start="random", max_steps=50)
    algorithm = ce_q(env, Config(1000, rate="constant"))
    tables, _ = learned(algorithm, env, 40_000, 4, **ALWAYS_EXPLORE)
    recorded = oracle("grid_games.json")[f"GG{game}|uCE|0.9"]["V"]
    for table in tables.values():
        value = table.stage.value[:, 0, start_of(grid_game(game))]
        np.testing.assert_allclose(value, [recorded] * 4, rtol=1e-3)


@pytest.mark.slow
def test_soccer_has_its_minimax_values():
    env = soccer_4x2()
    playing = ~np.asarray(jax.vmap(lambda s: env.terminal(env.decode(s)))(jnp.arange(112)))
    exact = oracle("markov.npz")["soccer24_V"][:112][playing]
    algorithm = ce_q(env, Config(1000, rate="hyperbolic"))
    # Equal rows and a constant sum: of these programs single precision loses three in a hundred.
    numbers = {"rate_period": 5e3, **ALWAYS_EXPLORE}
    tables, _ = learned(algorithm, env, 50_000, 2, unsolved=0.06, **numbers)
    value = np.asarray(tables["A"].stage.value)[:, 0, playing, 0]
    assert np.abs(value - exact).mean() < 6  # of a range of 200; the rate ends at 1/11
