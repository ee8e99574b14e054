"""Who shares parameters with whom: units of agents, and taking them apart again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import MixedGroups

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.learners.parameter_sharing import apart, legal, seen, state_space, together, units


class Stateless(MixedGroups):
    def observe(self, state):
        return MixedGroups.observe(self, state).replace(state=jnp.zeros(0))


def test_units_number_agents_through_all_groups():
    env = MixedGroups()
    first, second = units(env, "group", False)
    assert (first.name, first.size, first.first, first.teams) == ("choosers", 2, 0, (0, 0))
    assert (second.name, second.size, second.first, second.teams) == ("aimer", 1, 2, (1,))
    assert not first.own and all(unit.own for unit in units(env, "none", False))
    with pytest.raises(ValueError, match='share: expected spaces of "aimer" as of "choosers"'):
        units(env, "all", False)
    with pytest.raises(ValueError, match="share"):
        units(env, "some", False)


def test_one_unit_of_several_groups_is_taken_apart_again():
    env = matrix_game("rock_paper_scissors")
    (unit,) = units(env, "all", True)
    assert (unit.size, unit.teams, unit.sizes) == (2, (0, 1), {"player_0": 1, "player_1": 1})
    by_group = {"player_0": jnp.array([[1.0]]), "player_1": jnp.array([[2.0]])}
    np.testing.assert_array_equal(together(unit, by_group, 1), [[1.0, 2.0]])
    back = apart(unit, together(unit, by_group, 1), 1)
    jax.tree.map(np.testing.assert_array_equal, back, by_group)
    timestep = env.reset(jax.random.key(0))[1]
    np.testing.assert_array_equal(seen(unit, timestep, 0)["agent"], [0, 1])
    assert legal(unit, timestep, 0) is None
    masked = timestep.replace(action_mask={"player_1": jnp.array([[True, False, True]])})
    np.testing.assert_array_equal(legal(unit, masked, 0), [[True] * 3, [True, False, True]])


def test_the_state_is_a_box_of_its_shape_and_must_be_there():
    env = matrix_game("qtran")
    assert state_space(env).shape == env.reset(jax.random.key(0))[1].state.shape
    with pytest.raises(ValueError, match="env: expected a state"):
        state_space(Stateless())
