"""Observations in units of what was seen before: by actors, critics and policies alike."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import DyingAgents

from jaxmarl_core.algos import coma, mappo
from jaxmarl_core.algos.on_policy import engine, value_critics
from jaxmarl_core.algos.on_policy.learning import (
    action_distribution,
    gradient_ascent,
    importance_weighted,
)
from jaxmarl_core.algos.on_policy.options import Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.learners.observation_normalisation import LIMIT
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Group

KEY = jax.random.key(0)
SIZE = {"num_envs": 2, "rollout_length": 5, "hidden": (4,), "normalise_observation": True}
RECIPE = {"num_epochs": 1, "num_minibatches": 1, "share": "group", "normalise_value": "running"}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@struct.dataclass
class FarAway(DyingAgents):
    """Living agents see (1000 + the step + their number, 5); the dead see what is no number."""

    @property
    def groups(self):
        return {"agents": Group(self.num_agents, Box((2,)), Discrete(2))}

    def observe(self, state):
        timestep = DyingAgents.observe(self, state)
        first = 1000.0 + state.step + jnp.arange(self.num_agents)
        seen = jnp.stack([first, jnp.full(self.num_agents, 5.0)], -1)
        seen = jnp.where(timestep.alive["agents"][:, None], seen, jnp.nan)
        return timestep.replace(observation={"agents": seen})


def living_rows(timestep):
    """[rows, 2], of all living agents in a rollout."""
    return np.float64(timestep.observation["agents"][timestep.alive["agents"]])


@pytest.mark.slow
def test_actors_and_critics_see_what_was_known_before_the_update():
    env, config = FarAway(3), Config(**SIZE, **RECIPE)
    step = gradient_ascent(config, importance_weighted)
    parts = engine.build(env, config, value_critics.own_critics, step, simultaneous_update)
    state = engine.init(parts, KEY, Hparams())
    update = jax.jit(partial(engine.update, parts))
    play = jax.jit(partial(engine.play_on, parts))
    rows = []
    for index in range(2):
        key = jax.random.fold_in(KEY, index)
        timestep = play(jax.random.split(key, 4)[0], state)[1].timestep  # as `update` will
        rows.append(living_rows(timestep))
        state, _ = update(key, state, Hparams(), jnp.int32(index))
        seen = np.concatenate(rows)
        for found in (state.params.observation["agents"], state.critics.observation["agents"]):
            np.testing.assert_allclose(found.mean, seen.mean(0), rtol=1e-6)
            np.testing.assert_allclose(found.variance, seen.var(0), rtol=1e-3, atol=1e-6)

    deviation = np.sqrt(np.maximum(seen.var(0), 1e-8))
    by_hand = lambda x: np.clip((x - seen.mean(0)) / deviation, -LIMIT, LIMIT)
    _, steps, memory = play(KEY, state)
    batch = engine.actor_batches(parts, state.params, steps, memory, Hparams())["agents"]
    alive = np.asarray(steps.timestep.alive["agents"])
    raw = np.asarray(steps.timestep.observation["agents"])[alive]
    np.testing.assert_allclose(batch.observation[alive], by_hand(raw), rtol=1e-3, atol=1e-3)
    network, params = parts.actors.networks["agents"], state.params.actors["agents"]
    log_prob = action_distribution(network, params, batch).log_prob(batch.action)
    np.testing.assert_allclose(batch.log_prob[alive], log_prob[alive], **CLOSE)

    first = env.reset(KEY)[1]
    acting = engine.policy(parts)
    chosen, _ = acting.greedy(state.params, KEY, first, acting.memory())
    seen = jnp.float32(by_hand(np.asarray(first.observation["agents"])))
    expected = network.policy(params, (), seen, None)[1].mode()
    np.testing.assert_array_equal(chosen["agents"], expected)


@pytest.mark.fast("state and agent")
@pytest.mark.parametrize(
    "build",
    [
        lambda env: mappo(env, Config(**SIZE, num_minibatches=1, critic="agent")),
        lambda env: mappo(env, Config(**SIZE, num_minibatches=1, share="none")),
        lambda env: coma(env, Config(**SIZE)),
    ],
    ids=["state and agent", "state", "joint actions"],
)
def test_critics_of_the_state_know_its_moments(build):
    """The state says who is alive: agents 0, 1, 2 for 1, 2 and 3 of four rows, one in five rows."""
    algorithm = build(FarAway(3))
    state = algorithm.init(KEY, algorithm.hparams)
    state, _ = jax.jit(algorithm.update)(KEY, state, algorithm.hparams, jnp.int32(0))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
    (found,) = state.critics.observation.values()
    rows = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]])  # those in which one lives
    np.testing.assert_allclose(found["state"].mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["state"].variance, rows.var(0), rtol=1e-4, atol=1e-6)
    assert found["state"].count == 2 * len(rows)
    assert found.get("others") is None


def test_nothing_is_kept_where_nothing_is_normalised():
    algorithm = mappo(
        FarAway(3), Config(**SIZE | {"normalise_observation": False}, num_minibatches=1)
    )
    state = jax.eval_shape(algorithm.init, KEY, algorithm.hparams)
    assert not jax.tree.leaves((state.params.observation, state.critics.observation))
