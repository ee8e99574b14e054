"""Random attack orders and whole games, against frequencies and means recorded from the engine."""

import json
import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import battle
from jaxmarl_core.envs.mean_field.magent.battle import SOLDIER

REPOSITORY = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("BATTLE_RECORDINGS", REPOSITORY / "tests/reference/battle"))
OUTCOMES = json.loads((FOLDER / "stochastic_outcomes.json").read_text())
STATS = json.loads((FOLDER / "stats.json").read_text())
DRAWS = 4000
ATTACKS, MOVES = SOLDIER.attacks, SOLDIER.moves
STAY = 6


@jax.jit
def draw(env, keys, state, actions):
    """Returns alive and reward [DRAWS, N] after one step under each of the keys."""
    after = jax.vmap(env.advance, (0, None, None))(keys, state, actions)
    return after.alive, after.reward


def outcomes(red, blue, max_hp=10.0, seed=0):
    """Draws one step of agents given as (cell, what they strike or None)."""
    env = battle(
        map_size=14,
        start_red=tuple(cell for cell, _ in red),
        start_blue=tuple(cell for cell, _ in blue),
        max_hp=max_hp,
    )

    def action(agent):
        cell, target = agent
        if target is None:
            return STAY
        offset = [target[0] - cell[0], target[1] - cell[1]]
        return 13 + ATTACKS.tolist().index(offset)

    actions = {"red": jnp.array([*map(action, red)]), "blue": jnp.array([*map(action, blue)])}
    keys = jax.random.split(jax.random.key(seed), DRAWS)
    state = env.initial(keys[0])
    return jax.device_get(draw(env, keys, state, actions))


def agrees(count, expected, recorded):
    """Asserts that a count of DRAWS fits its probability, and that a recorded one is no other."""
    sd = (DRAWS * expected * (1 - expected)) ** 0.5
    assert abs(count - DRAWS * expected) < 3.5 * sd
    assert abs(count - recorded) < 3.5 * 2**0.5 * sd


VICTIM = (6, 6)
AROUND = [(VICTIM[0] + x, VICTIM[1] + y) for x, y in ATTACKS.tolist()]


@pytest.mark.parametrize(
    ("name", "attackers"),
    [("six_hits: which attacker kills", 6), ("eight_attackers: which attacker kills", 8)],
)
def test_every_attacker_kills_equally_often(name, attackers):
    red = [(cell, VICTIM) for cell in AROUND[:attackers]]
    alive, reward = outcomes(red, [(VICTIM, None), ((12, 12), None)])
    assert not alive[:, attackers].any()
    killer = np.argmax(reward[:, :attackers], 1)
    recorded = OUTCOMES[name]["counts"]
    for i, count in enumerate(np.bincount(killer, minlength=attackers)):
        agrees(count, 1 / attackers, recorded[f"killer={i}"])


def test_victim_of_six_strikes_back_unless_it_is_last():
    red = [(cell, VICTIM) for cell in AROUND[:6]]
    alive, reward = outcomes(red, [(VICTIM, AROUND[0]), ((12, 12), None)])
    assert not alive[:, 6].any()
    silent = np.isclose(reward[:, 6], -0.1)
    assert np.all(silent | np.isclose(reward[:, 6], 0.1))
    recorded = OUTCOMES["hit_then_killed: victim's reward"]["counts"]["victim_reward=-0.1"]
    agrees(silent.sum(), 1 / 7, recorded)


def test_mutual_kill_is_a_coin():
    alive, _ = outcomes([((5, 6), VICTIM)], [(VICTIM, (5, 6)), ((12, 12), None)], max_hp=1.0)
    assert np.all(alive[:, 0] != alive[:, 1])
    recorded = OUTCOMES["weak_mutual_kill: survivor team"]["counts"]
    agrees(alive[:, 0].sum(), 1 / 2, recorded["alive=[1, 0] reward=[4.895, -0.1]"])


def test_killer_is_killed_before_or_after_its_blow():
    """Red strikes a blue and is struck by another: its kill counts only if it comes first."""
    red = [(VICTIM, (7, 6)), ((12, 12), None)]
    alive, reward = outcomes(red, [((7, 6), None), ((5, 6), VICTIM)], max_hp=1.0, seed=1)
    assert not alive[:, 0].any()
    first = ~alive[:, 2]
    expected = np.where(first[:, None], [-0.1, -0.005, -0.1, 4.895], [-0.1, -0.005, -0.005, 4.895])
    np.testing.assert_allclose(reward, expected, atol=1e-5)
    recorded = OUTCOMES["weak_killer_killed"]["counts"]
    agrees(first.sum(), 1 / 2, recorded["alive=[0, 1, 0, 1] reward=[-0.1, -0.005, -0.1, 4.895]"])


def random_play(key, env, state):
    return jax.random.randint(key, (env.num_agents,), 0, 21)


def chase(key, env, state, noise):
    """Strikes the first adjacent enemy, else jumps nearest to the nearest; some act at random."""
    is_red = jnp.arange(env.num_agents) < env.num_red
    enemy = (is_red[:, None] != is_red) & state.alive
    offset = state.position - state.position[:, None]  # [N, N, 2], to the other
    distance = jnp.where(enemy, jnp.sum(offset**2, -1), 10**6)
    nearest = jnp.take_along_axis(offset, jnp.argmin(distance, 1)[:, None, None], 1)  # [N, 1, 2]
    move = jnp.argmin(jnp.sum((nearest - MOVES) ** 2, -1), 1)
    adjacent = jnp.any(enemy[:, :, None] & jnp.all(offset[:, :, None] == ATTACKS, -1), 1)
    action = jnp.where(adjacent.any(1), 13 + jnp.argmax(adjacent, 1), move)
    key_who, key_what = jax.random.split(key)
    stray = jax.random.bernoulli(key_who, noise, action.shape)
    return jnp.where(stray, random_play(key_what, env, state), action)


@partial(jax.jit, static_argnums=(2, 3, 4))
def games(env, keys, red, blue, steps):
    """Returns statistics [games, 2] (or [games] length) by name, of whole games."""

    def step(carry, key):
        state, over, totals = carry
        key_red, key_blue, key_env = jax.random.split(key, 3)
        is_red = jnp.arange(env.num_agents) < env.num_red
        action = jnp.where(is_red, red(key_red, env, state), blue(key_blue, env, state))
        actions = {"red": action[: env.num_red], "blue": action[env.num_red :]}
        after = env.advance(key_env, state, actions)
        per_team = lambda x: jnp.stack([x[: env.num_red].sum(), x[env.num_red :].sum()])
        added = {
            "total_reward": per_team(after.reward),
            "attacks": per_team((state.alive & (action >= 13)).astype(jnp.float32)),
            "length": jnp.float32(1),
        }
        totals = jax.tree.map(lambda total, x: total + jnp.where(over, 0, x), totals, added)
        state = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)
        over = over | jnp.any(per_team(after.alive) == 0)
        return (state, over, totals), None

    def game(key):
        key_start, key_play = jax.random.split(key)
        zeros = {
            "total_reward": jnp.zeros(2),
            "attacks": jnp.zeros(2),
            "length": jnp.float32(0),
        }
        start = (env.initial(key_start), jnp.bool_(False), zeros)
        (state, _, totals), _ = jax.lax.scan(step, start, jax.random.split(key_play, steps))
        return {**totals, "kills": state.kills.astype(jnp.float32)}

    return jax.vmap(game)(keys)


chaser = partial(chase, noise=0.0)
noisy_chaser = partial(chase, noise=0.2)


@pytest.mark.parametrize(
    ("name", "red", "blue", "num_games", "steps"),
    [
        ("random_vs_random", random_play, random_play, 60, 400),
        pytest.param(*("chase_vs_random", chaser, random_play, 100, 110), marks=pytest.mark.slow),
        pytest.param(
            *("chase20_vs_chase20", noisy_chaser, noisy_chaser, 100, 90), marks=pytest.mark.slow
        ),
    ],
    ids=["random_vs_random", "chase_vs_random", "chase20_vs_chase20"],
)
def test_games_come_out_as_recorded(name, red, blue, num_games, steps):
    """Means of rewards, kills, attacks and lengths within 3 standard errors."""
    keys = jax.random.split(jax.random.key(0), num_games)
    played = jax.device_get(games(battle("mfrl"), keys, red, blue, steps))
    for statistic, recorded in STATS[name].items():
        if statistic.endswith(("_team0", "_team1")):
            values = played.get(statistic[:-6])
            values = None if values is None else values[:, int(statistic[-1])]
        else:
            values = played.get(statistic)
        if values is None:
            continue
        error = np.hypot(recorded["se"], values.std() / num_games**0.5)
        assert abs(values.mean() - recorded["mean"]) <= 3 * error + 1e-6, statistic
