"""Strategies that are counted in play, against those that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.matrix_games.repeated_game import matrix_game
from jaxmarl_core.envs.particles.spread import simple_spread
from jaxmarl_core.play.policies import Player, random_policy
from jaxmarl_core.report.strategies import has_strategies, strategies
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Policy


def test_random_players_are_uniform():
    env = matrix_game("rock_paper_scissors")
    first, second = strategies(jax.random.key(0), env, Player(random_policy(env), ()))
    assert (first.agent, second.agent) == ("player_0", "player_1")
    assert first.actions == ("rock", "paper", "scissors")
    assert first.observations.tolist() == [0] and first.visits.tolist() == [1.0]
    np.testing.assert_allclose(first.shares, [[1 / 3] * 3], atol=0.02)  # 10,240 draws


def test_a_player_who_remembers_has_a_row_for_what_it_remembers():
    """Two who play tit for tat: both cooperate first, as they do ever after."""
    env = matrix_game("prisoners_dilemma", num_rounds=4, memory=True)
    other = {"player_0": jnp.array([0, 1, 0, 1, 0]), "player_1": jnp.array([0, 0, 1, 1, 0])}

    def act(params, key, timestep, memory):
        answer = {name: other[name][timestep.observation[name]] for name in env.groups}
        return answer, memory

    found = strategies(jax.random.key(0), env, Player(Policy(lambda: (), act, act), ()))
    for one in found:
        assert one.observations.tolist() == [0, 4]  # both cooperated; the start
        np.testing.assert_allclose(one.visits, [3 / 4, 1 / 4])
        np.testing.assert_array_equal(one.shares, [[1, 0], [1, 0]])


def test_worlds_of_numbers_alone_have_strategies():
    assert has_strategies(matrix_game("climbing"))
    assert not has_strategies(simple_spread())


def test_names_belong_to_values():
    assert Discrete(2, ("stag", "hare")) == Discrete(2)
    with pytest.raises(ValueError, match="names: expected 3 or none"):
        Discrete(3, ("stag", "hare"))
