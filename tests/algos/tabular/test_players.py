"""Groups to players and back."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.algos.tabular.players import by_group, by_player, legal_actions
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group

GROUPS = {
    "runners": Group(2, Discrete(1), Discrete(3), team=0),
    "keeper": Group(1, Discrete(1), Discrete(2), team=1),
}


def test_players_are_groups_in_order_and_then_agents():
    told = {"keeper": jnp.array([9]), "runners": jnp.array([4, 5])}
    assert [int(x) for x in by_player(GROUPS, told)] == [4, 5, 9]


def test_the_way_back():
    told = {"runners": jnp.array([[4, 0], [5, 1]]), "keeper": jnp.array([[9, 2]])}
    again = by_group(GROUPS, by_player(GROUPS, told))
    assert list(again) == ["runners", "keeper"]
    for name, rows in told.items():
        np.testing.assert_array_equal(again[name], rows)


def timestep_of(**fields):
    alive = {"runners": jnp.ones(2, bool), "keeper": jnp.ones(1, bool)}
    return matrix_game().reset(jax.random.key(0))[1].replace(**{"alive": alive, **fields})


def test_the_dead_are_left_the_first_of_their_actions():
    mask = jnp.array([[False, True, True], [False, False, False]])
    alive = {"runners": jnp.zeros(2, bool), "keeper": jnp.zeros(1, bool)}
    legal = legal_actions(GROUPS, timestep_of(action_mask={"runners": mask}, alive=alive))
    np.testing.assert_array_equal(legal["runners"], [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(legal["keeper"], [[True, False]])


def test_all_is_legal_for_a_group_without_a_mask():
    mask = jnp.array([[True, False, True], [False, True, True]])
    legal = legal_actions(GROUPS, timestep_of(action_mask={"runners": mask}))
    np.testing.assert_array_equal(legal["runners"], mask)
    np.testing.assert_array_equal(legal["keeper"], [[True, True]])
