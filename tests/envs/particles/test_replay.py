"""Games recorded from the reference engines, played again step by step from each recorded state.

PARTICLE_RECORDINGS names another folder of recordings.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.envs.particles.collect_treasure import Treasure
from jaxmarl_core.envs.particles.world import ParticleState

HERE = Path(__file__).resolve().parents[2] / "reference" / "particles"
FOLDER = Path(os.environ.get("PARTICLE_RECORDINGS", HERE))
RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.npz"))
ENGINES = {"mpe2": "mpe2", "pz": "legacy"}
ACTIONS = {"disc": "discrete", "cont": "continuous"}


class Recording(NamedTuple):
    scenario: str
    env: object
    data: dict
    names: list  # of the agents


def load(stem: str) -> Recording:
    """Returns a recording and the environment that it was recorded in."""
    engine, scenario, actions = re.fullmatch(r"(\w+?)_(\w+)_v\d_(\w+)", stem).groups()
    env = ENVIRONMENTS[scenario](actions=ACTIONS[actions], integration=ENGINES[engine])
    with np.load(FOLDER / f"{stem}.npz") as file:
        data = {key: file[key] for key in file.files}
    return Recording(scenario, env, data, [str(name) for name in data["agent_names"]])


def recorded_memory(recording: Recording, key: dict):
    """Returns what the scenario remembers, [S, T, ...]; `key` maps a name to its rows [S, T]."""
    data, scenario = recording.data, recording.scenario
    during = lambda x: np.repeat(x[:, None], data["rewards"].shape[1], axis=1)
    goal = data["goal_index"]
    if scenario in ("simple_adversary", "simple_push"):
        return during(goal[:, 0, 0])
    if scenario == "simple_reference":
        return during(goal[:, :, 1])
    if scenario == "simple_speaker_listener":
        return during(goal[:, 0, 1])
    if scenario == "simple_crypto":
        secrets = [data["goal_color"].argmax(-1), data["key"].argmax(-1)]
        return during(np.stack(secrets, axis=-1))
    if scenario == "collect_treasure":
        num = recording.env.num_collectors
        kind, alive = key["treasure_type"], key["treasure_alive"]
        return Treasure(key["holding"][..., :num], kind, alive, np.zeros(kind.shape[:2], int))
    return ()


def recorded_states(recording: Recording, when: str) -> ParticleState:
    """Returns the states "before" or "after" every step, leaves [S T, ...]."""
    data, num_words = recording.data, max(role.num_words for role in recording.env.roles)

    def rows(name):
        after = data[name]
        first = data.get(f"init_{name}")
        return after if when == "after" else np.concatenate([first[:, None], after[:, :-1]], 1)

    names = ["agent_pos", "agent_vel", "agent_comm", "landmark_pos"]
    if recording.scenario == "collect_treasure":
        names += ["holding", "treasure_type", "treasure_alive"]
    key = {name: rows(name) for name in names}
    episodes, steps = data["rewards"].shape[:2]
    time = np.tile(np.arange(steps) + (when == "after"), (episodes, 1))
    state = ParticleState(
        position=key["agent_pos"],
        velocity=key["agent_vel"],
        message=key["agent_comm"][..., :num_words],
        landmark=key["landmark_pos"],
        memory=recorded_memory(recording, key),
        time=time,
    )
    return jax.tree.map(
        lambda x: jnp.asarray(np.reshape(x, (episodes * steps, *np.shape(x)[2:]))), state
    )


def recorded_actions(recording: Recording) -> dict:
    """Returns {group: [S T, n, ...]}."""
    names, actions = iter(recording.names), {}
    for role in recording.env.roles:
        rows = [recording.data[f"act_{next(names)}"] for _ in range(role.size)]
        joint = np.stack(rows, axis=2)
        actions[role.name] = jnp.asarray(joint.reshape(-1, *joint.shape[2:]))
    return actions


def play(recording: Recording):
    """Returns (states after one step from every recorded state, what is seen of them)."""
    env = recording.env
    before, after = recorded_states(recording, "before"), recorded_states(recording, "after")

    def step(old, target, actions):
        state = env.advance(jax.random.key(0), old, actions)
        if recording.scenario == "collect_treasure":  # where treasure reappears is drawn: copied
            reborn = ~old.memory.alive
            landmark = jnp.where(reborn[:, None], target.landmark, state.landmark)
            kind = jnp.where(reborn, target.memory.kind, state.memory.kind)
            state = state.replace(landmark=landmark, memory=state.memory.replace(kind=kind))
        return state, env.observe(state)

    return jax.jit(jax.vmap(step))(before, after, recorded_actions(recording))


# Each recording once, in turn in float32 and float64; the other way round among the slow tests.
QUICK = [(stem, stem.endswith("cont")) for stem in RECORDINGS]
CASES = QUICK + [pytest.param(stem, not precise, marks=pytest.mark.slow) for stem, precise in QUICK]


def test_finds_recordings():
    assert RECORDINGS, f"PARTICLE_RECORDINGS: no recordings in {FOLDER}"


@pytest.mark.parametrize(("stem", "precise"), CASES)
def test_replays(stem, precise):
    with jax.enable_x64(precise):
        recording = load(stem)
        env, data = recording.env, recording.data
        state, seen = play(recording)
        after = recorded_states(recording, "after")
    tolerance = 1e-12 if precise else 1e-5
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert state.position.dtype == (np.float64 if precise else np.float32)
    close(state.position, after.position)
    close(state.velocity, after.velocity)
    close(state.message, after.message)
    reward = np.concatenate([seen.reward[name] for name in env.groups], axis=-1)
    close(reward, data["rewards"].reshape(reward.shape))
    if recording.scenario == "collect_treasure":
        alive = np.asarray(after.memory.alive)
        np.testing.assert_array_equal(state.memory.alive, alive)
        np.testing.assert_array_equal(state.memory.holding, after.memory.holding)
        close(np.asarray(state.landmark)[alive], np.asarray(after.landmark)[alive])

    names = iter(recording.names)
    for role in env.roles:
        rows = [data[f"obs_{next(names)}"] for _ in range(role.size)]
        expected = np.stack(rows, axis=2).reshape(-1, role.size, role.num_seen)
        # what was seen is recorded in float32
        np.testing.assert_allclose(seen.observation[role.name], expected, rtol=1e-5, atol=1e-5)
        assert (seen.discount[role.name] == 1).all()
    np.testing.assert_array_equal(seen.last, data["done"][..., 0].reshape(-1))
