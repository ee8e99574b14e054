"""Recorded games of MAgent's tiger and deer, played again: every number must come out the same."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmarl_core.envs import tiger_deer

FOLDER = Path(__file__).parents[3] / "tests/reference/magent"
RECORDINGS = sorted(FOLDER.glob("tiger_deer_*.npz"))
assert RECORDINGS, f"no recordings in {FOLDER}"

advance = jax.jit(lambda env, *rest: env.advance(jax.random.key(0), *rest))
observe = jax.jit(lambda env, state: env.observe(state))


def check_observation(observation, recording, when, time):
    for name, first in (("deer", 0), ("tiger", len(observation["deer"]["view"]))):
        rows = recording[f"{when}_{time}_{name}_ids"] - first
        for part in ("view", "features"):
            ours = np.asarray(observation[name][part])
            theirs = recording[f"{when}_{time}_{name}_{part}"]
            np.testing.assert_allclose(ours[rows], theirs, atol=1e-6, rtol=0)
            assert not np.delete(ours, rows, 0).any()  # the dead


@pytest.mark.fast("1_strike", "walls_and_collisions", "chase_minimap", "starving", "4_strike")
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem.removeprefix("tiger_deer_"))
def test_replays(path):
    recording = np.load(path)
    meta = json.loads(str(recording["meta"]))
    n, walls = meta["num_deer"], recording["walls"].astype(np.int32)
    options = {
        "map_size": meta["map_size"],
        "num_deer": n,
        "num_tigers": meta["num_tigers"],
        "num_walls": len(walls),
        "minimap": meta["minimap"],
        "max_steps": 10_000,
        **meta["numbers"],
    }
    env, after = (tiger_deer(**options, observe_before_removal=before) for before in (True, False))
    position = recording["pos"][0].astype(np.int32)
    state = env.initial(jax.random.key(0)).replace(walls=walls, position=position)
    full_hp = np.asarray(env.full_hp)
    for time in range(len(recording["action"]) + 1):
        if time > 0:
            action = recording["action"][time - 1].astype(np.int32)
            rank = recording["rank"][time - 1].astype(np.int32)
            state = advance(env, state, {"deer": action[:n], "tiger": action[n:]}, rank)
            timestep = observe(env, state)
            np.testing.assert_array_equal(state.reward, recording["reward"][time - 1])
            assert bool(timestep.last) == recording["done"][time - 1]
            assert any(np.any(x) for x in timestep.discount.values()) != timestep.last
        np.testing.assert_array_equal(state.position, recording["pos"][time])
        np.testing.assert_array_equal(state.alive, recording["alive"][time])
        # Bit for bit: hp and rewards are summed in the engine's order.
        np.testing.assert_array_equal(np.asarray(state.hp) / full_hp, recording["hp"][time])
        for when, shown in (("before", env), ("after", after)):
            if f"{when}_{time}_deer_ids" in recording:
                check_observation(observe(shown, state).observation, recording, when, time)
