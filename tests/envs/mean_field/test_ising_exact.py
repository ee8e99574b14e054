"""The formulas that the sampler is held against, held against one another."""

import numpy as np
import pytest
from ising_exact import (
    CRITICAL,
    all_spins,
    boltzmann,
    kaufman_energy,
    kaufman_log_partition,
    onsager_energy,
    total_energy,
    yang_magnetisation,
)
from scipy.special import logsumexp


@pytest.fixture(scope="module", params=[3, 4])
def enumerated(request):
    return request.param, total_energy(all_spins(request.param))


@pytest.mark.parametrize("temperature", [0.9, 2.0, CRITICAL + 1e-3, 3.0, 6.0])
def test_kaufman_is_the_sum_over_all_states(enumerated, temperature):
    size, energies = enumerated
    expected = logsumexp(-energies / temperature)
    np.testing.assert_allclose(kaufman_log_partition(size, 1 / temperature), expected, rtol=1e-12)
    mean = boltzmann(energies, temperature) @ energies / size**2
    np.testing.assert_allclose(kaufman_energy(size, temperature), mean, rtol=1e-8)


@pytest.mark.parametrize("temperature", [1.5, 2.0, 2.6, 4.0])
def test_large_tori_approach_onsager(temperature):
    limit = onsager_energy(temperature)
    np.testing.assert_allclose(kaufman_energy(400, temperature), limit, rtol=1e-6)


def test_at_the_critical_temperature():
    for side in (1 - 1e-5, 1 + 1e-5):
        assert onsager_energy(CRITICAL * side) == pytest.approx(-np.sqrt(2), abs=2e-4)
    assert yang_magnetisation(CRITICAL * (1 - 1e-12)) < 0.05
    assert yang_magnetisation(0.5) == pytest.approx(1, abs=1e-6)
