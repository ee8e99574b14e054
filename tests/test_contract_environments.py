"""What every environment promises: time steps in spec, one program, honest ends, whole episodes.

A new entry of ENVIRONMENTS needs a line in `FITTING` (fitting.py); all that follows then applies to
it, and to the probe worlds.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import CASES, FITTING, fitting

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.wrappers import AutoReset
from jaxmarl_core.spaces import Composite

MAX_STEPS = 300


class World(NamedTuple):
    """An environment, its compiled functions, and one random episode of it."""

    env: Any
    ends_truly: bool
    reset: Any
    step: Any
    rows: list  # (key, state, time step, actions) with the action taken there; the last has none


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def world(request):
    name, case = request.param
    env, ends_truly = fitting(name, case)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    act = jax.jit(random_policy(env).act)
    state, timestep = reset(jax.random.key(0))
    rows = []
    for t in range(MAX_STEPS):
        key_act, key_step = jax.random.split(jax.random.fold_in(jax.random.key(1), t))
        actions, _ = act((), key_act, timestep, ())
        rows.append((key_step, state, timestep, actions))
        state, timestep = step(key_step, state, actions)
        if timestep.last:
            break
    rows.append((None, state, timestep, None))
    return World(env, ends_truly, reset, step, rows)


def timesteps(world):
    return [timestep for _, _, timestep, _ in world.rows]


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


def assert_in_space(space, x, size):
    assert space.contains(x)
    if isinstance(space, Composite):
        for name, part in space.items:
            assert_in_space(part, x[name], size)
    else:
        assert x.shape == (size, *space.shape)
        assert x.dtype == space.dtype


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_every_environment_is_tested(name):
    assert FITTING.get(name), f"{name} is registered: add a case of it to FITTING (fitting.py)"


def test_random_episodes_stay_in_spec(world):
    for timestep in timesteps(world):
        for name, group in world.env.groups.items():
            assert_in_space(group.observation, timestep.observation[name], group.size)
            for record, kind in ((timestep.reward, "float32"), (timestep.discount, "float32"),
                                 (timestep.alive, "bool")):  # fmt: skip
                assert (record[name].shape, record[name].dtype) == ((group.size,), kind)
            assert np.isfinite(timestep.reward[name]).all()
            assert set(np.asarray(timestep.discount[name]).tolist()) <= {0.0, 1.0}
            if name in timestep.action_mask:
                mask = timestep.action_mask[name]
                assert mask.shape == (group.size, group.action.num_values)
                assert mask[np.asarray(timestep.alive[name])].any(axis=-1).all()
        assert (timestep.last.shape, timestep.last.dtype) == ((), "bool")
        assert np.isfinite(timestep.state).all()


def test_structure_never_changes(world):
    kinds = [
        jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), (state, timestep))
        for _, state, timestep, _ in (world.rows[0], world.rows[1], world.rows[-1])
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_one_compilation_serves_all_episodes(world):
    for seed in range(3):
        state, _ = world.reset(jax.random.key(seed))
        actions = world.rows[0][3]
        world.step(jax.random.key(seed), state, actions)
    assert world.reset._cache_size() == world.step._cache_size() == 1


def test_an_episode_begins_with_nothing_earned(world):
    first = timesteps(world)[0]
    for name in world.env.groups:
        np.testing.assert_array_equal(first.reward[name], 0)
        np.testing.assert_array_equal(first.discount[name], 1)
        assert first.alive[name].all()
    assert not first.last


def test_the_end_is_told_honestly(world):
    *going, final = timesteps(world)
    assert final.last, f"the random episode did not end in {MAX_STEPS} steps"
    assert not any(timestep.last for timestep in going)
    for name in world.env.groups:
        alive = np.asarray(final.alive[name])
        expected = 0.0 if world.ends_truly else 1.0
        np.testing.assert_array_equal(np.asarray(final.discount[name])[alive], expected)
        for timestep in going:  # before the end, who decides has not ended; the dead may be paid
            assert (np.asarray(timestep.discount[name]) >= timestep.alive[name]).all()


def test_the_same_key_repeats_the_episode(world):
    state, timestep = world.reset(jax.random.key(0))
    for key, _, expected, actions in world.rows:
        same = jax.tree.map(lambda a, b: bool((a == b).all()), timestep, expected)
        assert all(jax.tree.leaves(same))
        if actions is not None:
            state, timestep = world.step(key, state, actions)


def test_auto_reset_keeps_the_final_observation(world):
    """The row that is last shows the end, the next a beginning; then play goes on as before."""
    wrapped = AutoReset(world.env)
    step = jax.jit(wrapped.step)
    _, state, *_ = world.rows[0]
    state = wrapped.reset(jax.random.key(0))[0].replace(inner=state)
    for t, (_, inner, _, actions) in enumerate(world.rows[:-1]):
        key = jax.random.fold_in(jax.random.key(2), t)
        _, key_step = jax.random.split(key)
        _, expected = world.step(key_step, inner, actions)
        state, timestep = step(key, state.replace(inner=inner), actions)
        assert_close(timestep, expected)
    if not timestep.last:  # chance went another way with these keys: end it with the old ones
        state, timestep = state.replace(last=jnp.bool_(True)), timesteps(world)[-1]

    key = jax.random.key(3)
    key_reset, _ = jax.random.split(key)
    _, begun = world.reset(key_reset)
    state, first = step(key, state, actions)
    assert_close(first, begun)
    for name in world.env.groups:
        np.testing.assert_array_equal(first.reward[name], 0)
        np.testing.assert_array_equal(first.discount[name], 1)
    assert not first.last
    assert not state.last


def test_vmaps(world):
    """Two copies of a step, one beside another, are what each is alone."""
    keys = jax.random.split(jax.random.key(4), 2)
    stack = lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    (_, state, _, actions), (_, later, *_) = world.rows[:2]
    backwards = jax.tree.map(lambda x: x[::-1], actions)
    states, joint = stack(state, later), stack(actions, backwards)
    _, together = jax.jit(jax.vmap(world.env.step))(keys, states, joint)
    for i, alone in enumerate([(state, actions), (later, backwards)]):
        one = jax.tree.map(lambda x, i=i: x[i], together)
        assert_close(one, world.step(keys[i], *alone)[1])


def test_render_gives_an_image(world):
    if not hasattr(world.env, "render"):
        pytest.skip("has no picture of itself")
    states = [world.rows[i][1] for i in (0, -1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    images = np.asarray(jax.jit(jax.vmap(world.env.render))(stacked))  # a whole replay at once
    for image in images:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[-1] == 3
    assert (images[0] != images[1]).any(), "the picture tells what happened"


def test_what_a_team_is_told_as_one_number_is_one(world):
    for timestep in timesteps(world):
        for team in {group.team for group in world.env.groups.values()}:
            told = [
                np.asarray(timestep.reward[name])
                for name, group in world.env.groups.items()
                if group.team == team and group.common_reward
            ]
            if told:
                told = np.concatenate(told)
                np.testing.assert_array_equal(told, told[0])


def test_nothing_is_paid_after_a_discount_of_0(world):
    for before, after in zip(timesteps(world), timesteps(world)[1:]):
        for name in world.env.groups:
            over = np.asarray(before.discount[name]) == 0
            np.testing.assert_array_equal(np.asarray(after.reward[name])[over], 0)
            np.testing.assert_array_equal(np.asarray(after.discount[name])[over], 0)


def test_what_the_dead_do_changes_nothing(world):
    """Played again with other actions of those who do not decide: the same time step."""
    for key, state, timestep, actions in world.rows[:-1]:
        other = {}
        for name, group in world.env.groups.items():
            alive = np.asarray(timestep.alive[name])
            another = jax.vmap(group.action.sample)(jax.random.split(jax.random.key(9), group.size))
            mix = lambda a, b, alive=alive: jnp.where(
                alive.reshape(-1, *[1] * (a.ndim - 1)), a, b.astype(a.dtype)
            )
            other[name] = jax.tree.map(mix, actions[name], another)
        _, expected = world.step(key, state, actions)
        _, found = world.step(key, state, other)
        for name in world.env.groups:  # the dead's own last action may be shown to themselves
            keep = np.asarray(expected.alive[name])
            same = lambda a, b, keep=keep: np.testing.assert_array_equal(a[keep], b[keep])
            jax.tree.map(same, expected.observation[name], found.observation[name])
            np.testing.assert_array_equal(expected.reward[name], found.reward[name])
            np.testing.assert_array_equal(expected.discount[name], found.discount[name])
            np.testing.assert_array_equal(expected.alive[name], found.alive[name])
        np.testing.assert_array_equal(expected.state, found.state)
