"""What MAgent's games add to the engine's rules: ends, winners, mean actions, critics' states."""

import jax
import numpy as np
import pytest

from jaxmarl_core.envs import adversarial_pursuit, combined_arms, gather, tiger_deer
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.wrappers import Episode, counted_figures

observe = jax.jit(lambda env, state: env.observe(state))
play = jax.jit(lambda env, *rest: env.step(jax.random.key(0), *rest))


def test_combined_arms_ends_with_any_group_and_more_survivors_win():
    env = combined_arms(map_size=16, max_steps=7)
    state = env.initial(jax.random.key(0))
    assert not observe(env, state).last
    assert observe(env, state).extras["winner"] == -1

    dead = np.repeat([False, True, False, False], 3)  # red's ranged units
    timestep = observe(env, state.replace(alive=~dead, hp=state.hp * ~dead))
    assert timestep.last
    assert timestep.extras["winner"] == 1
    assert not any(np.asarray(part).any() for part in timestep.discount.values())

    timestep = observe(env, state.replace(time=np.int32(7)))
    assert timestep.last
    assert timestep.extras["winner"] == -1
    assert all(np.asarray(part).all() for part in timestep.discount.values())


def counted(env, timestep):
    """What evaluations and metrics say that is no reward."""
    figures = timestep.extras["team_figures"]
    return counted_figures(env, Episode((), (), (), figures))


def test_gather_ends_when_the_food_is_gone():
    env = gather(map_size=20, num_omnivores=3, num_food=2)
    state = env.initial(jax.random.key(0))
    assert not observe(env, state).last
    timestep = observe(env, state.replace(alive=np.array([True, True, False, False, False])))
    assert timestep.last
    assert not timestep.discount["omnivore"].any()
    assert (timestep.extras["food"], timestep.extras["killed"]) == (0, 1)
    assert counted(env, timestep) == {"eaten": 2, "losses": 1}


def test_tags_are_the_predators():
    env = adversarial_pursuit(map_size=14)
    state = env.initial(jax.random.key(0)).replace(tags=np.int32(5))
    assert counted(env, observe(env, state)) == {"tags_predator": 5, "tags_prey": 0}


def test_tigers_are_paid_for_striking_together():
    """Two strike the strong deer, two the weak one, one strikes where nobody is; by hand."""
    env = tiger_deer(map_size=12, num_deer=3, num_tigers=5, num_walls=0)
    state = env.initial(jax.random.key(0)).replace(
        position=np.array(
            [(3, 3), (8, 3), (8, 8), (3, 2), (2, 3), (8, 2), (7, 3), (5, 9)], np.int32
        ),
        hp=np.array([5, 1.5, 5, 10, 10, 1, 1, 0.05], np.float32),
    )
    actions = {"deer": np.array([2, 2, 3]), "tiger": np.array([8, 7, 8, 7, 8])}
    state, timestep = play(env, state, actions, np.arange(8, dtype=np.int32))
    np.testing.assert_allclose(timestep.reward["deer"], [-0.2, -1.1, 0], atol=1e-6)
    np.testing.assert_array_equal(timestep.reward["tiger"], [1, 1, 0, 0, 0])  # a kill is no hit
    # The strong deer: 5 - 2 + 0.2. The second tiger at the weak one kills and eats; one starves.
    np.testing.assert_allclose(state.hp, [3.2, 0, 5, 9.9, 9.9, 0.9, 8.9, 0], atol=1e-6)
    assert (timestep.extras["killed"], timestep.extras["starved"]) == (1, 1)
    by_team = {"kills_deer": 0, "kills_tiger": 1, "losses_deer": 1, "losses_tiger": 1}
    assert counted(env, timestep) == by_team
    assert not timestep.last
    timestep = observe(env, state.replace(alive=np.arange(8) < 3))
    assert timestep.last
    assert not timestep.discount["deer"].any()


@pytest.mark.slow
def test_mean_actions_are_of_those_of_the_own_group_that_acted():
    for env in (combined_arms(map_size=16), adversarial_pursuit(map_size=14)):
        state, timestep = env.reset(jax.random.key(0))
        assert not any(np.asarray(mean).any() for mean in timestep.mean_action.values())
        actions, _ = random_policy(env).act((), jax.random.key(1), timestep, ())
        _, timestep = play(env, state, actions)
        for name, group in env.groups.items():
            mean = np.eye(group.action.num_values)[np.asarray(actions[name])].mean(0)
            expected = np.tile(mean, (group.size, 1))
            np.testing.assert_allclose(timestep.mean_action[name], expected, atol=1e-6)


def test_the_critic_sees_where_everybody_is():
    """Shares add up to 1; with hp halved, so do the weighted ones to a half."""
    env = combined_arms(map_size=20)
    state = jax.jit(env.initial)(jax.random.key(0))
    halved = state.replace(hp=state.hp / 2)
    layers = jax.jit(lambda state: observe(env, state).state)(halved).reshape(13, 13, 8)
    np.testing.assert_allclose(layers.sum((0, 1)), [1] * 4 + [0.5] * 4, rtol=1e-5)
    x, y = env.starts[3][0]  # a ranged unit of blue
    assert layers[y // 2, x // 2, 3] > 0

    env = adversarial_pursuit(map_size=14)
    layers = jax.jit(env.reset)(jax.random.key(0))[1].state.reshape(9, 9, 3)
    np.testing.assert_allclose(layers.sum((0, 1)), [1, 1, 1], rtol=1e-5)


@pytest.mark.slow
def test_pursuit_starts_anew_and_nobody_overlaps():
    env = adversarial_pursuit(map_size=14)
    keys = jax.random.split(jax.random.key(0), 200)
    states = jax.jit(jax.vmap(env.initial))(keys)
    walls, position = np.asarray(states.walls), np.asarray(states.position)
    assert len(np.unique(walls.reshape(200, -1), axis=0)) > 190
    n = env.num_predators
    body = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    for wall, place in zip(walls, position):
        bodies = (place[:n, None] + body).reshape(-1, 2)
        cells = np.concatenate([wall, bodies, place[n:]])
        assert len({tuple(cell) for cell in cells}) == len(cells)
        assert ((cells > 0) & (cells < 13)).all()
