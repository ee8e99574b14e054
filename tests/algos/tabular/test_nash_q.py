"""Nash-Q against the published values of grid games 1 and 2, and games worked by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stage_runs import ALWAYS_EXPLORE, learned, play_greedily, start_of

from jaxmarl_core.algos.tabular import nash_q as module
from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.nash_q import FINDERS, SELECTIONS, Config, nash_q
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.algos.tabular.stage import HPARAMS
from jaxmarl_core.envs import grid_game
from jaxmarl_core.envs.matrix_games import from_payoffs

EVERY = (jnp.ones(2, bool),) * 2
STAG_HUNT = jnp.array([[[4.0, 0.0], [3.0, 2.0]], [[4.0, 3.0], [0.0, 2.0]]])
SEXES = jnp.array([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]])

SOLVE = jax.jit(module.solve, static_argnums=(0, 3, 4))


def solved(game, player, select, find="vertices", masks=EVERY):
    info = GameInfo(player, 1, game.shape[1:], (0, 1), None)
    return SOLVE(info, game, masks, select, find)


@pytest.mark.fast("lemke_howson")
@pytest.mark.parametrize("find", sorted(set(FINDERS) - {"one_path"}))  # which finds one only
def test_selections_in_the_stag_hunt(find):
    """(stag, stag) pays 4; (hare, hare) pays 2 and is safer: losses 2 x 2 against 1 x 1."""
    for select, value in (("payoff_dominant", 4), ("welfare", 4), ("risk_dominant", 2)):
        found = solved(STAG_HUNT, 0, select, find)
        np.testing.assert_allclose(found.value, [value] * 2, rtol=1e-5)
        assert found.solved


@pytest.mark.parametrize("player", [0, 1])
def test_the_best_is_the_players_own(player):
    found = solved(SEXES, player, "best")
    np.testing.assert_allclose(found.value[player], 2, rtol=1e-5)
    np.testing.assert_allclose(found.strategy[player], 1, atol=1e-5)


def test_first_and_second_differ_where_there_are_two():
    values = [
        np.asarray(solved(SEXES, 0, name, "lemke_howson").value) for name in ("first", "second")
    ]
    assert sorted(v.round(4).tolist() for v in values) == [[1, 2], [2, 1]]


@pytest.mark.slow
def test_only_legal_actions_are_played():
    """The column player cannot hunt the stag: then neither does the row player."""
    masks = (EVERY[0], jnp.array([False, True]))
    for select in SELECTIONS:
        for player in (0, 1):
            found = solved(STAG_HUNT, player, select, masks=masks)
            np.testing.assert_allclose(found.strategy, [0, 1], atol=1e-6)
            np.testing.assert_allclose(found.value, [2, 2], rtol=1e-5)


@pytest.mark.slow
def test_three_players_defect():
    """A dilemma of three: to defect, action 1, pays 1 more, and costs the others 2 each."""
    own = np.indices((2, 2, 2))
    game = jnp.asarray(own - 2.0 * (own.sum(axis=0) - own), jnp.float32)
    info = GameInfo(2, 1, (2, 2, 2), (0, 1, 2), None)
    solve = jax.jit(lambda q: module.solve(info, q, (jnp.ones(2, bool),) * 3, "first", "vertices"))
    found = solve(game)
    assert found.solved
    np.testing.assert_allclose(found.strategy, [0, 1], atol=1e-4)
    np.testing.assert_allclose(found.value, [-3, -3, -3], atol=1e-3)


def test_what_cannot_be_solved_shows():
    assert not solved(jnp.full((2, 2, 2), jnp.nan), 0, "first").solved


@pytest.mark.slow
def test_players_who_select_differently_meet():
    """Battle of the sexes at gamma 0: each best for itself, so that both insist."""
    env = from_payoffs(np.asarray(SEXES), num_rounds=None)
    build = partial(module.rule, select="best", find="vertices", rate="constant")
    _, joint = play_greedily(tabular(env, Config(100), build, HPARAMS), 50)
    assert (joint == [[0], [1]]).all()
    first, second = (partial(build, select=name) for name in ("first", "second"))
    _, joint = play_greedily(
        tabular(env, Config(100), dict(zip(env.groups, (first, second))), HPARAMS), 9
    )
    assert (joint[0] != joint[1]).all()


@pytest.mark.slow
def test_grid_game_1_is_worth_what_was_published():
    """Hu & Wellman, 2003, section 5: 97.0 to both from the start at gamma 0.99, exactly 97.03.

    Every pure equilibrium of a stage game is a shortest way, so that values agree among them; a
    rate of 1, as the game is deterministic.
    """
    env = grid_game(1, start="random", max_steps=50)
    algorithm = nash_q(env, Config(1000, select="welfare", find="vertices", rate="constant"))
    tables, _ = learned(algorithm, env, 40_000, 4, gamma=0.99, **ALWAYS_EXPLORE)
    for table in tables.values():
        value = table.stage.value[:, 0, start_of(grid_game(1))]
        np.testing.assert_allclose(value, 100 * 0.99**3, rtol=1e-4)
