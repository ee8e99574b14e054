"""Transitions out of the replay, against a loop over its rows."""

from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.off_policy.action_vectors import (
    action_of,
    leaves,
    require_bounded,
    standard_noise,
    vector_of,
)
from jaxmarl_core.algos.off_policy.batches import Stored, in_units, positions, transitions
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.learners.observation_normalisation import Statistics
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Group, TimeStep

CAPACITY, NUM_ENVS, GAMMA = 12, 2, 0.9
PARTS = Composite({"move": Discrete(3), "aim": Box((2,), 0.0, 4.0)})


class Pair:
    """Only groups: two walkers with an aim and a move, and one who chooses."""

    groups = MappingProxyType(
        {"walkers": Group(2, Box((2,)), PARTS), "chooser": Group(1, Box((1,)), Discrete(2))}
    )


def filled(rng):
    """A buffer in which episodes end, truly and by a limit, and agents die on the way."""
    shape = CAPACITY, NUM_ENVS
    last = rng.random(shape) < 0.25
    sizes = {"walkers": 2, "chooser": 1}
    alive = {name: rng.random((*shape, n)) < 0.7 for name, n in sizes.items()}
    timestep = TimeStep(
        observation={
            "walkers": rng.normal(size=(*shape, 2, 2)).astype(np.float32),
            "chooser": rng.normal(size=(*shape, 1, 1)).astype(np.float32),
        },
        action_mask={},
        alive=alive,
        state=(),
        reward={name: rng.normal(size=(*shape, n)).astype(np.float32) for name, n in sizes.items()},
        discount={
            name: (rng.random((*shape, n)) < 0.8).astype(np.float32) for name, n in sizes.items()
        },
        last=last,
    )
    actions = {
        "walkers": {
            "move": rng.integers(0, 3, (*shape, 2)),
            "aim": rng.uniform(0, 4, (*shape, 2, 2)).astype(np.float32),
        },
        "chooser": rng.integers(0, 2, (*shape, 1)),
    }
    nobody = dict.fromkeys(sizes, ())  # has several policies
    return Stored(timestep, actions, nobody)


@pytest.mark.parametrize("n_step", [1, 3])
def test_transitions_are_what_a_loop_over_the_rows_finds(n_step):
    buffer = filled(np.random.default_rng(n_step))
    stacks = agent_stacks(Pair(), "none", False)
    start, env = np.indices((CAPACITY, NUM_ENVS), np.int32).reshape(2, -1)
    found = jax.jit(
        lambda buffer: transitions(
            stacks, buffer, start, env, n_step, GAMMA, dict.fromkeys(Pair.groups), None
        )
    )(buffer)
    by_agent = lambda field: np.concatenate(
        [np.asarray(getattr(buffer.timestep, field)[name]) for name in Pair.groups], -1
    )
    reward, going, alive = by_agent("reward"), by_agent("discount"), by_agent("alive")
    last = buffer.timestep.last
    for row, (t, b) in enumerate(zip(start, env)):
        total, discount, at = np.zeros(3), np.ones(3), t
        for _ in range(n_step):
            if last[at % CAPACITY, b]:
                break
            paid = going[at % CAPACITY, b]
            at += 1
            arrived = at % CAPACITY, b
            # nothing is paid to whom the step before said that no more can come
            total += discount * np.where(paid > 0, reward[arrived], 0.0)
            discount *= GAMMA * going[arrived]
        assert found.counts[row] == (at > t)
        np.testing.assert_allclose(found.reward[row], total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.discount[row], discount, rtol=1e-5)
        for name, group in Pair.groups.items():
            rows = buffer.timestep.observation[name]
            for observed, when in ((found.observed, t), (found.next_observed, at % CAPACITY)):
                living = buffer.timestep.alive[name][when, b]
                wanted = np.where(living[:, None], rows[when, b], 0)
                np.testing.assert_array_equal(observed.observation[name][row], wanted)
                np.testing.assert_array_equal(observed.alive[name][row], living)
            assert found.vectors[name].shape == (
                len(start),
                group.size,
                5 if group.size == 2 else 2,
            )
        living = alive[t, b]
        move = np.eye(3)[buffer.actions["walkers"]["move"][t, b]]
        aim = buffer.actions["walkers"]["aim"][t, b] / 2 - 1
        wanted = np.where(living[:2, None], np.concatenate([move, aim], -1), 0)
        np.testing.assert_allclose(found.vectors["walkers"][row], wanted, rtol=1e-5, atol=1e-6)


def test_positions_are_those_whose_successors_are_stored():
    buffer = filled(np.random.default_rng(0))
    draw = jax.jit(lambda key, index: positions(key, buffer, 4, index, 2000, n_step=3))
    # after block 0 of 4 rows only row 0 has three successors
    start, env = draw(jax.random.key(0), jnp.int32(0))
    assert set(np.asarray(start)) == {0} and set(np.asarray(env)) == {0, 1}
    # after block 3 of 3 blocks rows 0 to 3 are the newest: row 4 is the oldest, and 0 the youngest
    # with three successors
    start, _ = draw(jax.random.key(1), jnp.int32(3))
    assert set(np.asarray(start)) == {4, 5, 6, 7, 8, 9, 10, 11, 0}


def test_actions_and_vectors_are_each_others_inverse():
    action = {"move": jnp.array([2, 0]), "aim": jnp.array([[0.0, 4.0], [1.0, 3.0]])}
    vector = vector_of(PARTS, action)
    np.testing.assert_allclose(vector, [[0, 0, 1, -1, 1], [1, 0, 0, -0.5, 0.5]])
    back = action_of(PARTS, vector)
    jax.tree.map(np.testing.assert_allclose, back, action)
    assert back["move"].dtype == jnp.int32
    beyond = action_of(PARTS, jnp.array([0.1, 0.3, 0.2, -7.0, 7.0]))
    assert beyond["move"] == 1
    np.testing.assert_array_equal(beyond["aim"], [0, 4])


def test_noise_is_gumbel_where_discrete_and_normal_elsewhere():
    noise = np.asarray(standard_noise(jax.random.key(0), PARTS, (20_000,)), np.float64)
    # Gumbel: mean .5772, variance pi^2 / 6
    np.testing.assert_allclose(noise[:, :3].mean(0), 0.5772, atol=0.05)
    np.testing.assert_allclose(noise[:, :3].var(0), np.pi**2 / 6, rtol=0.1)
    np.testing.assert_allclose(noise[:, 3:].mean(0), 0, atol=0.05)
    np.testing.assert_allclose(noise[:, 3:].std(0), 1, rtol=0.05)


def test_parts_of_a_composite_keep_their_masks_and_places():
    nested = Composite({"first": Discrete(2), "both": PARTS})
    mask = {"both": {"move": np.array([True, False, True])}}
    found = leaves(nested, mask)
    assert [leaf.at for leaf in found] == [slice(0, 2), slice(2, 5), slice(5, 7)]
    assert found[0].mask is None and found[2].mask is None
    np.testing.assert_array_equal(found[1].mask, [True, False, True])


@pytest.mark.parametrize("space", [Box((2,)), Box((2,), 0, 3, jnp.int32)])
def test_actions_without_bounds_or_of_integers_are_refused(space):
    class Unbounded:
        groups = MappingProxyType({"agents": Group(1, Box((1,)), Composite({"aim": space}))})

    with pytest.raises(ValueError, match="maddpg: expected discrete actions, or a Box of floats"):
        require_bounded("maddpg", Unbounded())
    require_bounded("maddpg", matrix_game("chicken"))


class Rivals:
    """A pair of one team, and one on another."""

    groups = MappingProxyType(
        {
            "pair": Group(2, Box((1,)), Discrete(2), 0),
            "rival": Group(1, Box((1,)), Discrete(2), 1),
        }
    )


def test_rewards_are_in_units_of_their_teams_deviation():
    """Variances 12 and 4 of mates are 8 for both, so that their mean weighs both alike."""
    stacks = agent_stacks(Rivals(), "none", False)
    reward = jnp.array([[4.0, 5.0, 3.0], [-2.0, 5.0, 3.0]])
    moments = Statistics(jnp.ones(3), jnp.array([12.0, 4.0, 0.0]), jnp.float32(9))
    unit = np.sqrt(np.array([8.0, 8.0, 1.0]))  # who never varied stays; no mean is taken off
    np.testing.assert_allclose(in_units(stacks, reward, moments), reward / unit, rtol=1e-6)
    np.testing.assert_array_equal(in_units(stacks, reward, None), reward)
