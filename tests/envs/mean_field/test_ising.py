"""The game on the lattice; the model itself is held against exact solutions elsewhere."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.mean_field.ising import ising

REFERENCE = Path(__file__).parents[2] / "reference" / "ising"


def looped(spin):
    """Ups around every site, by hand, for spins [L, L] of 0 and 1."""
    size = len(spin)
    ups = np.zeros_like(spin)
    for row in range(size):
        for column in range(size):
            ups[row, column] = (
                spin[row - 1, column]
                + spin[(row + 1) % size, column]
                + spin[row, column - 1]
                + spin[row, (column + 1) % size]
            )
    return ups


@pytest.mark.parametrize("size", [3, 6])
def test_a_step_against_loops(size):
    env = ising(size)
    step = jax.jit(env.step)
    state, first = env.reset(jax.random.key(0))
    begun = np.asarray(state.spin).reshape(size, size)
    np.testing.assert_array_equal(first.observation["agents"], looped(begun).reshape(-1))
    np.testing.assert_array_equal(first.reward["agents"], 0)
    rng = np.random.default_rng(size)
    for _ in range(5):
        spin = rng.integers(0, 2, (size, size))
        actions = {"agents": jnp.asarray(spin.reshape(-1))}
        asked = env.mean_action(state, actions)["agents"]
        told = env.mean_action_at(first, actions)["agents"]
        state, timestep = step(jax.random.key(1), state, actions)
        ups, s = looped(spin), 2 * spin - 1
        np.testing.assert_array_equal(timestep.observation["agents"], ups.reshape(-1))
        # paid for the spins after all have moved: (ups - downs) / 2 times the own
        np.testing.assert_array_equal(timestep.reward["agents"], (s * (ups - 2)).reshape(-1))
        np.testing.assert_array_equal(timestep.state, s.reshape(-1))
        share = ups.reshape(-1) / 4
        np.testing.assert_array_equal(
            timestep.mean_action["agents"], np.stack([1 - share, share], -1)
        )
        np.testing.assert_array_equal(asked, timestep.mean_action["agents"])
        np.testing.assert_array_equal(asked, told)
        count = spin.sum()
        order = abs(count - (size**2 - count)) / size**2
        np.testing.assert_allclose(timestep.extras["order"], order, atol=1e-6)
        bonds = (s * np.roll(s, 1, 0) + s * np.roll(s, 1, 1)).sum()
        np.testing.assert_allclose(timestep.extras["energy"], -bonds / size**2, atol=1e-6)
        np.testing.assert_allclose(
            timestep.extras["energy"], -timestep.reward["agents"].mean(), atol=1e-6
        )


def test_starts():
    _, ordered = ising(5, start="ordered").reset(jax.random.key(0))
    assert ordered.extras["order"] == 1
    assert ordered.extras["energy"] == -2
    drawn = jax.vmap(lambda key: ising(5).reset(key)[1].state)(
        jax.random.split(jax.random.key(0), 400)
    )
    assert abs(float(drawn.mean())) < 0.05  # five standard errors


def test_temperature_is_swept_and_asks_the_model():
    env = ising(6)
    keys = jax.random.split(jax.random.key(0), 2)

    def order(temperature, key):
        there = env.replace(temperature=temperature)
        return there.equilibrium(key, num_sweeps=50, num_burn_in=20), there.reset(key)[1]

    samples, timestep = jax.vmap(order)(jnp.array([0.5, 4.0]), keys)
    magnetisation = np.abs(samples.magnetisation).mean(-1)
    assert magnetisation[0] > 0.95
    assert magnetisation[1] < 0.4
    np.testing.assert_array_equal(timestep.extras["temperature"], [0.5, 4.0])


def tabular_mean_field_q(env, temperature, num_steps, learning_rate=0.1):
    """Mean order over the second half of a run of the paper's program, a table for every site."""

    def one(key):
        key_reset, key_play = jax.random.split(key)
        state, timestep = env.reset(key_reset)
        table = jnp.zeros((env.num_agents, 5, 2))

        def step(carry, t):
            table, state, seen = carry
            at = jax.nn.one_hot(seen, 5)[..., None]  # [n, 5, 1]
            q = jnp.sum(table * at, 1)
            action = jax.random.categorical(jax.random.fold_in(key_play, t), q / temperature)
            state, timestep = env.step(key, state, {"agents": action})
            chosen = at * jax.nn.one_hot(action, 2)[:, None]
            error = timestep.reward["agents"][:, None, None] - table
            table = table + learning_rate * chosen * error
            return (table, state, timestep.observation["agents"]), timestep.extras["order"]

        carry = table, state, timestep.observation["agents"]
        _, order = jax.lax.scan(step, carry, jnp.arange(num_steps))
        return order[num_steps // 2 :].mean()

    return one


@pytest.mark.slow
def test_tabular_mean_field_q_orders_as_recorded():
    """The paper's learner in this world against a NumPy transcription of its program.

    Runs end ordered or in stripes, so that medians jump: compared where nearly all runs agree, and
    by the fraction of ordered runs elsewhere.
    """
    rows = {
        row["tau"]: row for row in json.loads((REFERENCE / "ising_sweep_10x10.json").read_text())
    }
    env = ising(10)
    keys = jax.random.split(jax.random.key(0), 48)
    for temperature, atol in ((1.0, 0.02), (1.5, 0.03), (2.0, 0.015)):
        run = tabular_mean_field_q(env, temperature, rows[temperature]["steps"])
        order = np.asarray(jax.jit(jax.vmap(run))(keys))
        upper = np.quantile(order, 0.9)
        np.testing.assert_allclose(upper, rows[temperature]["mfq_q90"], atol=atol)
        np.testing.assert_allclose(np.median(order), rows[temperature]["mfq_median"], atol=0.06)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 2}, "size: expected at least 3.*got 2"),
        ({"temperature": 0.0}, "temperature: expected above 0, got 0.0"),
        ({"temperature": float("inf")}, "temperature: expected above 0, got inf"),
        ({"max_steps": 0}, "max_steps: expected at least 1"),
        ({"start": "order"}, "start: expected one of.*did you mean 'ordered'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ising(**options)
