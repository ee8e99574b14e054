"""The sampler against exact solutions: all states of small tori, Kaufman, Onsager and Yang."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ising_exact import (
    CRITICAL,
    all_spins,
    boltzmann,
    kaufman_energy,
    onsager_energy,
    total_energy,
    yang_magnetisation,
)
from scipy import stats

from jaxmarl_core.envs.mean_field.ising import CRITICAL_TEMPERATURE
from jaxmarl_core.envs.mean_field.ising_sampler import RULES, colouring, energy, sample, sweep

REFERENCE = Path(__file__).parents[2] / "reference" / "ising"
BOTH_RULES = pytest.mark.parametrize("rule", sorted(RULES))


def chains(temperatures, num_chains, **options):
    """Independent chains at each temperature, `Samples` with leaves [temperatures, chains, ...]."""
    temperatures = jnp.asarray(temperatures, jnp.float32)
    keys = jax.random.split(jax.random.key(7), (len(temperatures), num_chains))
    one = lambda key, temperature: sample(key, temperature, **options)
    return jax.vmap(jax.vmap(one, (0, None)))(keys, temperatures)


def mean_and_error(x):
    """Mean over chains and its standard error, from x [temperatures, chains, sweeps]."""
    means = np.asarray(x, np.float64).mean(-1)
    return means.mean(-1), means.std(-1, ddof=1) / np.sqrt(means.shape[-1])


def assert_within(x, expected, errors, most):
    """|x - expected| within some standard errors, and those small enough to mean something."""
    assert np.all(errors < most)
    assert np.all(np.abs(x - expected) < 4.5 * errors), np.stack([x, expected, errors])


# ---- every state of a small torus


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 20])
def test_no_two_neighbours_share_a_colour(size):
    colour = colouring(size)
    assert colour.max() == 1 + size % 2
    for axis in (0, 1):
        assert (colour != np.roll(colour, 1, axis)).all()


def test_energy_of_every_state():
    spins = all_spins(4)
    seen = jax.jit(jax.vmap(energy))(jnp.asarray(spins, jnp.float32))
    np.testing.assert_allclose(seen, total_energy(spins) / 16, atol=1e-6)


def flip_probability(spins, rule, temperature):
    """The library's probability that a site flips, for all states and sites [S, L, L]."""
    around = sum(np.roll(spins, by, axis) for by in (1, -1) for axis in (1, 2))
    return np.asarray(RULES[rule](jnp.asarray(spins * around, jnp.float32), temperature), float)


@BOTH_RULES
@pytest.mark.parametrize("temperature", [0.6, 1.2, 3.0])
def test_detailed_balance_in_every_state_of_4x4(rule, temperature):
    """p(s) P(s -> s') = p(s') P(s' -> s) for all 65536 states and 16 flips; T = 2 tau."""
    spins = all_spins(4)
    p = boltzmann(total_energy(spins), 2 * temperature)
    probability = flip_probability(spins, rule, temperature).reshape(-1, 16)
    assert probability.min() > 0
    assert probability.max() <= 1
    for site in range(16):
        other = np.arange(65536) ^ (1 << site)
        flow = p * probability[:, site]
        np.testing.assert_allclose(flow, flow[other], rtol=1e-5, atol=1e-30)


@pytest.mark.fast("4-1.4-metropolis")
@BOTH_RULES
@pytest.mark.parametrize(("size", "temperature"), [(3, 1.4), (4, 1.4), (4, 3.0)])
def test_sweeps_lead_from_one_state_to_the_boltzmann_distribution(rule, size, temperature):
    """The distribution itself, swept site by site in the order of colours, not samples of it.

    Sites of one colour do not see each other, so that one by one is the same as all at once. That
    it converges from all spins up shows that no state is out of reach and none a trap.
    """
    spins = all_spins(size)
    p = boltzmann(total_energy(spins), 2 * temperature)
    probability = flip_probability(spins, rule, temperature).reshape(len(spins), -1)
    order = np.argsort(colouring(size).reshape(-1), kind="stable")

    def swept(distribution):
        for site in order:
            other = np.arange(len(spins)) ^ (1 << site)
            flow = distribution * probability[:, site]
            distribution = distribution - flow + flow[other]
        return distribution

    np.testing.assert_allclose(swept(p), p, rtol=1e-5)  # stationary
    distribution = np.zeros(len(spins))
    distribution[-1] = 1
    for _ in range(150):
        distribution = swept(distribution)
    assert np.abs(distribution - p).sum() / 2 < 1e-5


@BOTH_RULES
@pytest.mark.parametrize("size", [3, 4])
def test_a_sweep_flips_where_the_draws_say(rule, size):
    """Against a loop that visits one site after another."""
    rng = np.random.default_rng(size)
    spins = rng.choice([-1.0, 1.0], (size, size)).astype(np.float32)
    uniform = rng.random((size, size)).astype(np.float32)
    expected = spins.copy()
    for site in np.argsort(colouring(size).reshape(-1), kind="stable"):
        row, column = divmod(site, size)
        around = sum(
            expected[(row + dr) % size, (column + dc) % size]
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        gain = -2 * expected[row, column] * around  # of a flip, in energy with the sign reversed
        odds = np.exp(gain / (2 * 1.1))
        chance = 15 / 16 * min(1, odds) if rule == "metropolis" else odds / (1 + odds)
        if uniform[row, column] < chance:
            expected[row, column] *= -1
    seen = jax.jit(sweep, static_argnums=3)(jnp.asarray(uniform), jnp.asarray(spins), 1.1, rule)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.fast("heat_bath")
@BOTH_RULES
def test_energies_of_4x4_come_as_often_as_they_should(rule):
    """Chi-square over energy levels; one sample a chain, so that samples are independent."""
    temperature, num_chains = 1.5, 4000
    seen = chains([temperature], num_chains, size=4, num_sweeps=1, num_burn_in=60, rule=rule)
    energies = total_energy(all_spins(4))
    p = boltzmann(energies, 2 * temperature)
    levels = np.unique(energies)
    expected = num_chains * np.array([p[energies == level].sum() for level in levels])
    observed = np.round(16 * np.asarray(seen.energy).reshape(-1))
    counts = np.array([(observed == level).sum() for level in levels])
    assert counts.sum() == num_chains
    often = expected >= 5
    pool = lambda x: np.append(x[often], x[~often].sum())
    assert stats.chisquare(pool(counts), pool(expected)).pvalue > 1e-3
    order = np.abs(np.asarray(seen.magnetisation)).mean()
    exact = p @ np.abs(all_spins(4).mean((1, 2)))
    error = np.abs(seen.magnetisation).std() / np.sqrt(num_chains)
    np.testing.assert_allclose(order, exact, atol=4.5 * error)


# ---- large tori


def test_critical_temperature_in_units_of_reward():
    assert pytest.approx(CRITICAL / 2) == CRITICAL_TEMPERATURE


def test_energy_of_8x8_against_kaufman():
    """A quick look; the slow tests below look closely."""
    seen = chains([1.6], 16, size=8, num_sweeps=400, num_burn_in=100)
    mean, error = mean_and_error(seen.energy)
    assert_within(mean, kaufman_energy(8, 3.2), error, 0.01)


@pytest.mark.slow
@BOTH_RULES
def test_energy_of_20x20_against_kaufman(rule):
    """Exact for this very lattice, below, at and above the critical temperature."""
    temperature = np.array([0.9, 1.1, CRITICAL_TEMPERATURE, 1.2, 1.6])
    seen = chains(temperature, 16, size=20, num_sweeps=2000, num_burn_in=500, rule=rule)
    mean, error = mean_and_error(seen.energy)
    exact = [kaufman_energy(20, 2 * t) for t in temperature]
    assert_within(mean, exact, error, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("size", [21, 40])
def test_energy_against_onsager(size):
    """Where correlations are short, a torus of this size is as good as infinite."""
    temperature = np.array([0.8, 0.95, 1.5])
    limit = np.array([onsager_energy(2 * t) for t in temperature])
    exact = np.array([kaufman_energy(size, 2 * t) for t in temperature])
    np.testing.assert_allclose(exact, limit, atol=1e-3)
    seen = chains(temperature, 8, size=size, num_sweeps=800, num_burn_in=200)
    mean, error = mean_and_error(seen.energy)
    assert_within(mean, limit, error + np.abs(exact - limit), 4e-3)


@pytest.mark.slow
def test_spontaneous_magnetisation_of_40x40_against_yang():
    """From an ordered start below the critical temperature, where the sign does not turn over."""
    temperature = np.array([0.8, 0.95, 1.05])
    seen = chains(temperature, 8, size=40, num_sweeps=1500, num_burn_in=500)
    mean, error = mean_and_error(seen.magnetisation)
    assert_within(mean, [yang_magnetisation(2 * t) for t in temperature], error, 5e-3)


@pytest.mark.slow
def test_order_of_20x20_against_recorded_chains():
    """The recorded order parameters are over the same temperatures, in units of reward."""
    data = json.loads((REFERENCE / "ising_reference.json").read_text())
    recorded = np.array(data["mcmc"])
    seen = chains(data["tau"], 6, size=data["L"], num_sweeps=2000, num_burn_in=500)
    mean, error = mean_and_error(np.abs(seen.magnetisation))
    spread = recorded.std(-1, ddof=1) / np.sqrt(recorded.shape[-1])
    # Four short chains: their own spread is uncertain, hence the floor.
    close = 5 * np.hypot(error, np.maximum(spread, 0.002))
    assert np.all(np.abs(mean - recorded.mean(-1)) < close), np.stack([mean, recorded.mean(-1)])


@pytest.mark.slow
def test_order_of_10x10_against_recorded_chains():
    rows = json.loads((REFERENCE / "ising_sweep_10x10.json").read_text())
    seen = chains([row["tau"] for row in rows], 16, size=10, num_sweeps=3000, num_burn_in=500)
    mean, _ = mean_and_error(np.abs(seen.magnetisation))
    np.testing.assert_allclose(mean, [row["mcmc"] for row in rows], atol=0.03)


# ---- how it is called


def test_temperatures_in_one_program():
    seen = chains([0.5, 3.0], 2, size=6, num_sweeps=50, num_burn_in=20)
    assert seen.energy.shape == seen.magnetisation.shape == (2, 2, 50)
    assert seen.spins.shape == (2, 2, 6, 6)
    order = np.abs(np.asarray(seen.magnetisation)).mean((1, 2))
    assert order[0] > 0.95
    assert order[1] < 0.5
    np.testing.assert_allclose(jax.vmap(jax.vmap(energy))(seen.spins), seen.energy[..., -1])


def test_a_random_start_is_random():
    hot = sample(jax.random.key(0), 1e6, size=16, num_sweeps=1, num_burn_in=0, start="random")
    cold = sample(jax.random.key(0), 1e-2, size=16, num_sweeps=1, num_burn_in=0)
    assert abs(hot.magnetisation[0]) < 0.3
    assert cold.magnetisation[0] == 1
    assert cold.energy[0] == -2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 2}, "size: expected at least 3"),
        ({"num_sweeps": 0}, "num_sweeps: expected at least 1, got 0"),
        ({"num_burn_in": -1}, "num_burn_in: expected at least 0, got -1"),
        ({"rule": "metropolos"}, "rule: expected one of.*did you mean 'metropolis'"),
        ({"start": "hot"}, "start: expected one of ordered, random"),
        ({"temperature": 0.0}, "temperature: expected above 0, got 0.0"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sample(jax.random.key(0), **{"temperature": 1.0, **options})
