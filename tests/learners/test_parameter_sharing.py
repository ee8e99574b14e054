"""Who shares parameters with whom: stacks of agents, and taking them apart again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import MixedGroups

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.learners.parameter_sharing import (
    agent_stacks,
    legal_actions,
    observe,
    split_groups,
    stack_groups,
    state_space,
)


class Stateless(MixedGroups):
    def observe(self, state):
        return MixedGroups.observe(self, state).replace(state=jnp.zeros(0))


def test_units_number_agents_through_all_groups():
    env = MixedGroups()
    first, second = agent_stacks(env, "group", False)
    assert (first.name, first.size, first.first, first.teams) == ("choosers", 2, 0, (0, 0))
    assert (second.name, second.size, second.first, second.teams) == ("aimer", 1, 2, (1,))
    assert not first.separate and all(stack.separate for stack in agent_stacks(env, "none", False))
    with pytest.raises(ValueError, match='share: expected spaces of "aimer" as of "choosers"'):
        agent_stacks(env, "all", False)
    with pytest.raises(ValueError, match="share"):
        agent_stacks(env, "some", False)


def test_one_unit_of_several_groups_is_taken_apart_again():
    env = matrix_game("rock_paper_scissors")
    (stack,) = agent_stacks(env, "all", True)
    assert (stack.size, stack.teams, stack.sizes) == (2, (0, 1), {"player_0": 1, "player_1": 1})
    by_group = {"player_0": jnp.array([[1.0]]), "player_1": jnp.array([[2.0]])}
    np.testing.assert_array_equal(stack_groups(stack, by_group, 1), [[1.0, 2.0]])
    back = split_groups(stack, stack_groups(stack, by_group, 1), 1)
    jax.tree.map(np.testing.assert_array_equal, back, by_group)
    timestep = env.reset(jax.random.key(0))[1]
    np.testing.assert_array_equal(observe(stack, timestep, 0)["agent"], [0, 1])
    assert legal_actions(stack, timestep, 0) is None
    masked = timestep.replace(action_mask={"player_1": jnp.array([[True, False, True]])})
    np.testing.assert_array_equal(
        legal_actions(stack, masked, 0), [[True] * 3, [True, False, True]]
    )


def test_the_state_is_a_box_of_its_shape_and_must_be_there():
    env = matrix_game("qtran")
    assert state_space(env).shape == env.reset(jax.random.key(0))[1].state.shape
    with pytest.raises(ValueError, match="env: expected a state"):
        state_space(Stateless())
