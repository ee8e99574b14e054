"""The skirmish: who won, who fell, what it costs; all else is JaxMARL's."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import smax
from jaxmarl_core.envs.interop.from_jaxmarl import AdaptedState
from jaxmarl_core.envs.interop.smax import units
from jaxmarl_core.play.wrappers import EpisodeStatistics

pytest.importorskip("jaxmarl")


@pytest.fixture(scope="module")
def skirmish():
    """The skirmish with its compiled step and first state."""
    env = smax("3m", max_steps=5)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    return env, jax.jit(EpisodeStatistics(env).step), state


def with_health(state, health):
    health = jnp.array(health, jnp.float32)
    inner = state.inner.state.replace(unit_health=health, unit_alive=health > 0)
    return AdaptedState(state.inner.replace(state=inner), state.alive)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("health", "winner", "discount"),
    [
        ([45, 0, 0, 0, 0, 0], 0, [0, 0, 0]),
        ([0, 0, 0, 45, 45, 0], 1, [0, 0, 0]),
        ([0, 0, 0, 0, 0, 0], -1, [0, 0, 0]),
        ([45, 45, 0, 45, 45, 45], -1, [1, 1, 0]),  # goes on without the third
    ],
)
def test_the_side_that_stands_wins(skirmish, health, winner, discount):
    env, step, state = skirmish
    start, _ = EpisodeStatistics(env).reset(jax.random.key(0))
    stop = {"ally": jnp.full(3, 4, jnp.int32)}
    start = start.replace(inner=with_health(state, health))
    _, timestep = step(jax.random.key(1), start, stop)
    assert timestep.extras["episode"].winner == winner
    assert bool(timestep.last) == (discount == [0, 0, 0])
    np.testing.assert_array_equal(timestep.discount["ally"], discount)
    np.testing.assert_array_equal(timestep.alive["ally"], np.array(health[:3]) > 0)


@pytest.mark.slow
def test_time_runs_out(skirmish):
    env, step, state = skirmish
    start, _ = EpisodeStatistics(env).reset(jax.random.key(0))
    late = units(state).replace(step=jnp.int32(4))
    start = start.replace(inner=AdaptedState(state.inner.replace(state=late), state.alive))
    _, timestep = step(jax.random.key(1), start, {"ally": jnp.full(3, 4, jnp.int32)})
    assert timestep.last
    assert timestep.extras["episode"].winner == -1
    np.testing.assert_array_equal(timestep.discount["ally"], [1, 1, 1])


@pytest.mark.slow
@pytest.mark.parametrize("max_steps", [1, 4])
def test_a_battle_has_as_many_steps_as_it_was_told(max_steps):
    """JaxMARL's own plays one more than its max_steps."""
    env = smax("3m", max_steps=max_steps)
    step = jax.jit(env.step)
    state, timestep = jax.jit(env.reset)(jax.random.key(0))
    played = 0
    while not timestep.last:
        state, timestep = step(jax.random.key(played), state, {"ally": jnp.full(3, 4, jnp.int32)})
        played += 1
    assert played == max_steps


@pytest.mark.slow
def test_it_pickles_as_it_was_made():
    env = smax("3m", max_steps=7, zero_sum=True)
    again = pickle.loads(pickle.dumps(env))
    key = jax.random.key(0)
    for made in (again, copy.deepcopy(env)):
        assert made.adapter.world.max_steps == env.adapter.world.max_steps == 6
        (state, _), (other, _) = (jax.jit(e.reset)(key) for e in (env, made))
        stop = {"ally": jnp.full(3, 4, jnp.int32)}
        told = (jax.jit(e.step)(key, s, stop)[1] for e, s in ((env, state), (made, other)))
        jax.tree.map(np.testing.assert_array_equal, *told)


def test_an_enemy_may_be_played():
    groups = smax("5m_vs_6m", enemy="player").groups
    assert {name: (g.size, g.action.num_values, g.team) for name, g in groups.items()} == {
        "ally": (5, 5 + 6, 0),
        "enemy": (6, 5 + 5, 1),
    }


def test_sizes_are_as_told():
    env = smax("3s_vs_5z")
    assert env.groups["ally"].observation.shape == (13 * 7 + 10,)
    _, timestep = jax.eval_shape(env.reset, jax.random.key(0))
    assert timestep.state.shape == (12 * 8,)
    assert timestep.action_mask["ally"].shape == (3, 10)


def test_the_state_is_smaxs_within_bounds():
    """Places are shares of the map; a cooldown stops at 0, where SMAX's falls for ever."""
    env = smax("3m")
    step = jax.jit(env.step)
    inner, timestep = jax.jit(env.reset)(jax.random.key(0))
    for _ in range(4):
        inner, timestep = step(jax.random.key(1), inner, {"ally": jnp.full(3, 4, jnp.int32)})
    whole = np.asarray(env.adapter.world.get_world_state(inner.inner))
    by_unit, rest = np.split(np.asarray(timestep.state), [60])
    by_unit, told = by_unit.reshape(6, 10), whole[:60].reshape(6, 10)
    np.testing.assert_allclose(by_unit[:, 1:3], units(inner).unit_positions / 32, rtol=1e-6)
    np.testing.assert_array_equal(by_unit[:, 3], np.maximum(told[:, 3], 0))
    assert told[:, 3].min() < -1
    others = np.delete(np.arange(10), [1, 2, 3])
    np.testing.assert_array_equal(by_unit[:, others], told[:, others])
    np.testing.assert_array_equal(rest, whole[60:])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scenario": "3n"}, "scenario: .*did you mean '3m'"),
        ({"enemy": "heuristics"}, "enemy: .*did you mean 'heuristic'"),
        ({"observation": "cone"}, "observation: .*conic"),
        ({"action": "continuous"}, "action: expected discrete with JaxMARL 0.2"),
        ({"max_steps": 0}, "max_steps: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        smax(**options)
