"""Attacks and moves judged at once must equal the game played one agent after another."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmarl_core.envs import battle
from jaxmarl_core.envs.mean_field.magent.kinds import random_orders

_spec = importlib.util.spec_from_file_location(
    "battle_oracle", Path(__file__).with_name("battle_oracle.py")
)
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

BATCH = 250  # states to a call
ARENAS = {  # 30 on 34 free cells; sparser; few against many
    "crowded": {"map_size": 8, "num_red": 15, "num_blue": 15, "walls": ((3, 3), (4, 6))},
    "sparse": {"map_size": 12, "num_red": 20, "num_blue": 24, "walls": ()},
    "uneven": {"map_size": 8, "num_red": 3, "num_blue": 16, "walls": ((1, 5),)},
}


@jax.jit
@jax.vmap
def advance(env, state, action, attack_order, move_order):
    actions = {"red": action[: env.num_red], "blue": action[env.num_red :]}
    return env.advance(jax.random.key(0), state, actions, attack_order, move_order)


def random_states(env, rng, attack_share):
    """Returns BATCH states with agents anywhere, some dead, many weak, and their orders."""
    n, cells = env.num_agents, range(1, env.map_size - 1)
    free = np.array([(x, y) for x in cells for y in cells if (x, y) not in env.walls])
    position = np.stack([rng.permutation(free)[:n] for _ in range(BATCH)]).astype(np.int32)
    # Multiples of 2 and of 0.1 below 10: exact zeros, one-blow and many-blow victims.
    hp = rng.choice([0.0, 0.1, 1.0, 2.0, 2.1, 4.0, 6.0, 8.1, 10.0], (BATCH, n)).astype(np.float32)
    alive = rng.random((BATCH, n)) < rng.choice([0.6, 0.9, 1.0])
    attacks = rng.random((BATCH, n)) < attack_share
    action = np.where(attacks, rng.integers(13, 21, (BATCH, n)), rng.integers(0, 13, (BATCH, n)))
    orders = [np.argsort(rng.random((BATCH, n)), 1).astype(np.int32) for _ in range(2)]
    if rng.random() < 0.5:
        orders[1] = np.tile(np.arange(n, dtype=np.int32), (BATCH, 1))  # the engine's queue
    hp = np.where(alive, hp, np.float32(0))
    return position, hp, alive, action.astype(np.int32), *orders


@pytest.mark.fast("crowded")
@pytest.mark.parametrize("arena", ARENAS)
def test_parallel_equals_sequential(arena):
    """2,000 random states in each arena, and not one disagreement."""
    env = battle(**ARENAS[arena])
    envs = jax.tree.map(lambda leaf: jnp.full(BATCH, leaf), env)
    start, _ = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), BATCH))
    counts = {"killed": 0, "moved": 0, "blocked": 0}

    @settings(max_examples=8, deadline=None, derandomize=True, database=None)
    @given(seed=st.integers(0, 2**32 - 1), attack_share=st.sampled_from([0.2, 0.5, 0.9]))
    def check(seed, attack_share):
        rng = np.random.default_rng(seed)
        position, hp, alive, action, *orders = random_states(env, rng, attack_share)
        before = start.replace(position=position, hp=hp, alive=alive)
        after = jax.device_get(advance(envs, before, action, *orders))
        for i in range(BATCH):
            agents = position[i], hp[i], alive[i], action[i], orders[0][i], orders[1][i]
            expected = oracle.play(*agents, env.num_red, env.map_size, env.walls)
            got = after.position[i], after.hp[i], after.alive[i], after.reward[i]
            for name, want, have in zip(("position", "hp", "alive", "reward"), expected, got):
                np.testing.assert_array_equal(have, want, err_msg=f"{name} of state {i}")
        moved = np.any(after.position != position, -1)
        counts["killed"] += int(np.sum(alive & ~after.alive))
        counts["moved"] += int(np.sum(moved))
        counts["blocked"] += int(np.sum(after.alive & ~moved & (action < 13) & (action != 6)))

    check()
    assert min(counts.values()) > 200, counts  # the states were worth looking at


def test_random_orders_are_uniform_permutations():
    orders = jax.vmap(random_orders, (0, None, None))(
        jax.random.split(jax.random.key(3), 4000), 2, 3
    )
    assert orders.shape == (4000, 2, 3)
    assert bool(jnp.all(orders >= 0))
    ranks = np.argsort(np.asarray(orders), -1)
    for which in range(2):
        _, count = np.unique(ranks[:, which], axis=0, return_counts=True)
        assert len(count) == 6
        # 4000 / 6 = 667, standard deviation sqrt(4000 * 1/6 * 5/6) = 23.6
        assert np.all(np.abs(count - 4000 / 6) < 4 * 23.6)


@pytest.mark.slow
def test_random_move_priority_is_fair():
    """One cell, one red and one blue who want it: the queue gives it to red, chance to either."""
    won = {}
    for priority in ("queue", "random"):
        env = battle(map_size=7, start_red=((2, 3),), start_blue=((4, 3),), move_priority=priority)
        keys = jax.random.split(jax.random.key(1), 2000)
        state, _ = env.reset(keys[0])
        actions = {"red": jnp.array([7]), "blue": jnp.array([5])}  # both to (3, 3)
        after = jax.jit(jax.vmap(env.advance, (0, None, None)))(keys, state, actions)
        moved = np.asarray(after.position[:, :, 0] == 3)
        assert np.all(moved.sum(1) == 1)
        won[priority] = moved[:, 0].mean()
    assert won["queue"] == 1.0
    assert abs(won["random"] - 0.5) < 4 * 0.5 / 2000**0.5
