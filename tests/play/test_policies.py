"""Policies that need no learning: uniform over what is legal, and put together by group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import DyingAgents, MixedGroups
from scipy import stats

from jaxmarl_core.envs import matrix_game
from jaxmarl_core.play.policies import Player, joint, opponent, random_actions, random_policy
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Policy

NUM_DRAWS = 3000


def draws(env, timestep, policy):
    act = lambda key: policy.act((), key, timestep, policy.memory())[0]
    return jax.jit(jax.vmap(act))(jax.random.split(jax.random.key(0), NUM_DRAWS))


@pytest.fixture(scope="module")
def mixed():
    env = MixedGroups()
    return draws(env, env.reset(jax.random.key(1))[1], random_policy(env))


def test_random_play_is_uniform_over_what_is_legal(mixed):
    for agent in range(2):
        counts = np.bincount(mixed["choosers"][:, agent], minlength=3)
        assert counts[2] == 0, "never legal"
        assert stats.chisquare(counts[:2]).pvalue > 1e-3


def test_random_play_is_uniform_over_a_box(mixed):
    aimed = np.asarray(mixed["aimer"][:, 0, 0])
    assert mixed["aimer"].shape == (NUM_DRAWS, 1, 1)
    assert stats.kstest(aimed, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_random_play_without_masks_is_uniform_over_all():
    env = matrix_game("climbing")
    drawn = draws(env, env.reset(jax.random.key(1))[1], random_policy(env))["agents"]
    assert drawn.dtype == jnp.int32
    for agent in range(2):
        assert stats.chisquare(np.bincount(drawn[:, agent], minlength=3)).pvalue > 1e-3


def test_agents_draw_independently(mixed):
    table = np.zeros((2, 2))
    np.add.at(table, tuple(np.asarray(mixed["choosers"]).T), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_the_dead_who_have_no_legal_action_get_one_of_the_space():
    env = DyingAgents()
    state, timestep = env.reset(jax.random.key(0))
    _, timestep = env.step(jax.random.key(0), state, {"agents": jnp.ones(3, jnp.int32)})
    assert not timestep.alive["agents"][0]
    drawn = draws(env, timestep, random_policy(env))["agents"]
    assert env.groups["agents"].action.contains(drawn)


def constant(env, number):
    """A player with memory who says `number`, and how often it was asked in its memory."""

    def act(params, key, timestep, memory):
        said = {
            name: jnp.full((g.size, *g.action.shape), params, g.action.dtype)
            for name, g in env.groups.items()
        }
        return said, memory + 1

    return Player(Policy(lambda: jnp.int32(0), act, act), number)


@pytest.mark.parametrize("mode", ["act", "greedy"])
def test_joint_plays_each_group_by_its_player(mode):
    env = MixedGroups()
    player = joint(env, {"choosers": constant(env, 1), "aimer": constant(env, 0.25)})
    memory = player.policy.memory()
    _, timestep = env.reset(jax.random.key(0))
    for _ in range(2):
        actions, memory = getattr(player.policy, mode)(
            player.params, jax.random.key(0), timestep, memory
        )
    np.testing.assert_array_equal(actions["choosers"], [1, 1])
    np.testing.assert_array_equal(actions["aimer"], [[0.25]])
    assert {name: int(count) for name, count in memory.items()} == {"choosers": 2, "aimer": 2}


def test_joint_wants_a_player_for_each_group():
    env = MixedGroups()
    with pytest.raises(ValueError, match=r"players: expected .* got none for \['aimer'\]"):
        joint(env, {"choosers": constant(env, 1)})


def test_opponents_go_by_name():
    env = MixedGroups()
    player = opponent("random", env)
    actions, _ = player.policy.act(
        player.params, jax.random.key(0), env.reset(jax.random.key(0))[1], ()
    )
    assert env.groups["choosers"].action.contains(actions["choosers"])
    with pytest.raises(ValueError, match="opponent: expected one of random; got 'randon'; did you"):
        opponent("randon", env)


def test_random_play_of_a_composite_action_is_legal_in_each_part():
    space = Composite({"move": Discrete(3), "word": Discrete(2), "push": Box((2,), 0.0, 1.0)})
    mask = {"move": jnp.array([[True, False, True], [False, True, False]])}
    draw = jax.vmap(lambda key: random_actions(key, space, 2, mask))
    found = draw(jax.random.split(jax.random.key(0), 500))
    assert set(np.unique(found["move"][:, 0])) == {0, 2}
    assert set(np.unique(found["move"][:, 1])) == {1}
    assert set(np.unique(found["word"])) == {0, 1}
    assert found["push"].shape == (500, 2, 2)
