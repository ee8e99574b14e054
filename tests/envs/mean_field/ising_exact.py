"""The two-dimensional Ising model solved exactly: coupling 1, textbook temperatures T = 2 tau.

Independent of the library: NumPy and SciPy in float64.
"""

import numpy as np
from scipy.special import ellipk, logsumexp

CRITICAL = 2 / np.log(1 + np.sqrt(2))  # 2.2692


def onsager_energy(temperature):
    """Energy per site of the infinite lattice. Onsager, 1944, Phys. Rev. 65."""
    k = 1 / temperature
    modulus = 2 * np.sinh(2 * k) / np.cosh(2 * k) ** 2
    twist = 2 * np.tanh(2 * k) ** 2 - 1
    return -(1 + 2 / np.pi * twist * ellipk(modulus**2)) / np.tanh(2 * k)


def yang_magnetisation(temperature):
    """Spontaneous magnetisation below the critical temperature. Yang, 1952, Phys. Rev. 85."""
    return (1 - np.sinh(2 / temperature) ** -4.0) ** 0.125


def kaufman_log_partition(size, k):
    """log Z of an L x L torus at K = 1 / T. Kaufman, 1949, Phys. Rev. 76.

    Z is half of (2 sinh 2K)^(L^2 / 2) times a sum of four products over modes, of 2 cosh or 2 sinh
    of L gamma / 2; the odd modes make the first two products and the even modes the others. Modes
    follow cosh gamma_l = cosh 2K coth 2K - cos(pi l / L), gamma_0 = 2K + log tanh K with its sign.
    """
    mode = np.arange(2 * size)
    cosh_gamma = np.cosh(2 * k) / np.tanh(2 * k) - np.cos(np.pi * mode / size)
    gamma = np.arccosh(cosh_gamma)
    gamma[0] = 2 * k + np.log(np.tanh(k))
    half = size * gamma / 2
    log_cosh = np.logaddexp(half, -half)  # log(2 cosh)
    log_sinh = np.abs(half) + np.log(-np.expm1(-2 * np.abs(half)))  # log |2 sinh|
    terms = np.array([each[first::2].sum() for first in (1, 0) for each in (log_cosh, log_sinh)])
    weights = np.exp(terms - terms.max()) * [1, 1, 1, np.sign(gamma[0])]
    sum_of_products = terms.max() + np.log(weights.sum())
    return -np.log(2) + size**2 / 2 * np.log(2 * np.sinh(2 * k)) + sum_of_products


def kaufman_energy(size, temperature, step=1e-4):
    """Energy per site of an L x L torus, -d log Z / dK / L^2, by a fourth-order difference."""
    at = lambda shift: kaufman_log_partition(size, 1 / temperature + shift * step)
    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    return -slope / size**2


def all_spins(size):
    """Every configuration [2^(L^2), L, L] of spins -1 and 1."""
    bits = (np.arange(2 ** (size**2))[:, None] >> np.arange(size**2)) & 1
    return (2 * bits - 1).reshape(-1, size, size)


def total_energy(spins):
    """Energies [...] of configurations [..., L, L], each pair of neighbours once."""
    right, below = np.roll(spins, -1, -1), np.roll(spins, -1, -2)
    return -(spins * (right + below)).sum((-1, -2))


def boltzmann(energies, temperature):
    """Probabilities [S] of all states, from their energies [S]."""
    log_weight = -energies / temperature
    return np.exp(log_weight - logsumexp(log_weight))
