"""Recorded games of the MAgent engine, played again: every number must come out the same.

BATTLE_RECORDINGS names another folder with recordings of the same format.
"""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmarl_core.envs import battle

REPOSITORY = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("BATTLE_RECORDINGS", REPOSITORY / "tests/reference/battle"))
RECORDINGS = sorted(
    # Aggregates are no games; the order of moves on maps over 9,801 cells is left out on purpose.
    path
    for path in FOLDER.glob("*.npz")
    if not path.stem.startswith(("stats", "bigmap"))
)
assert RECORDINGS, f"no recordings in {FOLDER}"


# Apart, so that what observes is compiled once for each size and not twice.
start = jax.jit(lambda env: env.initial(jax.random.key(0)))
observe = jax.jit(lambda env, state: env.observe(state))


@jax.jit
def advance(env, state, action, attack_order, move_order):
    """Returns the next state; no randomness is left."""
    actions = {"red": action[: env.num_red], "blue": action[env.num_red :]}
    return env.advance(jax.random.key(0), state, actions, attack_order, move_order)


def environment(recording, params):
    # Start cells are put in later, so that recordings of one size share a compiled program.
    return battle(
        "mfrl",
        map_size=params["map_size"],
        num_red=int(np.sum(recording["team"] == 0)),
        num_blue=int(np.sum(recording["team"] == 1)),
        minimap=params["minimap"],
        id_bits=params["emb"],
        walls=tuple(map(tuple, recording["walls"].tolist())),
        max_steps=100_000,
        step_reward=params["step_reward"],
        kill_reward=params["kill_reward"],
        death_reward=params["dead_penalty"],
        attack_penalty=params["attack_penalty"],
        hit_reward=params["hit_reward"],
        damage=params["damage"],
        recovery=params["recover"],
        max_hp=params["hp"],
    )


def joined(per_team):
    """Returns red's rows, then blue's."""
    return jax.tree.map(lambda *rows: np.concatenate(rows), per_team["red"], per_team["blue"])


FAST = (  # one or two of every rule; without them, any other folder's recordings
    *("attack_all8", "attack_mutual", "attack_then_target_leaves", "chain_follower_first"),
    *("cycle4", "episode_chase_1", "episode_random_0", "hit_then_killed_rewards"),
    *("kill_frees_cell", "move_all13", "move_conflict_cross_team", "move_inner_wall_jump"),
    *("obs_ids_create10", "obs_view_disc", "recover_cap", "terminal_last_enemy"),
)
NAMES = {path.stem for path in RECORDINGS}


@pytest.mark.fast(*(NAMES & set(FAST) or NAMES))
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_replays(path):
    recording = np.load(path)
    meta = json.loads(str(recording["meta"]))
    env = environment(recording, meta["params"])

    order = np.argsort(recording["team"], kind="stable")  # ours: red, then blue
    submits_later = recording["team"][order] != meta["submit_order"][0]
    move_order = np.argsort(np.argsort(submits_later, kind="stable")).astype(np.int32)
    action = np.maximum(recording["action"][:, order], 0).astype(np.int32)
    rank = np.maximum(recording["attack_rank"][:, order], 0).astype(np.int32)
    shown = np.argsort(order)[recording["obs_ids"]]
    rows = {int(time): row for row, time in enumerate(recording["obs_times"])}

    first = {"position": recording["pos"][0, order].astype(np.int32)}
    state = start(env).replace(**first, left_team=np.int32(meta["create_order"][0]))
    for time in range(len(action) + 1):
        step = observe(env, state)
        np.testing.assert_array_equal(state.position, recording["pos"][time, order])
        np.testing.assert_array_equal(state.alive, recording["alive"][time, order])
        # Bit for bit: hp and rewards are summed in the engine's order.
        np.testing.assert_array_equal(state.hp, recording["hp"][time, order])
        if time > 0:
            np.testing.assert_array_equal(joined(step.reward), recording["reward"][time - 1, order])
            assert bool(step.last) == bool(recording["done"][time - 1])
        if time in rows:
            seen = joined(step.observation)
            view, facts = recording["obs_view"][rows[time]], recording["obs_feat"][rows[time]]
            np.testing.assert_allclose(seen["view"][shown], view, atol=1e-6, rtol=0)
            np.testing.assert_allclose(seen["features"][shown], facts, atol=1e-6, rtol=0)
        if time < len(action):
            state = advance(env, state, action[time], rank[time], move_order)
