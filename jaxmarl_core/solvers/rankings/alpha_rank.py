"""alpha-rank: how long a population in which the better are imitated stays with each strategy.

Populations of m individuals play one strategy each; now and then a mutant comes up, and is either
lost or takes over, with a probability that grows with what it earns. This is a Markov chain over
strategies (over profiles, where there is a population for each player), and the masses of its
stationary distribution rank them. Cycles keep their mass, and every game has just one ranking.

Omidshafiei et al., 2019, Sci. Rep. 9, arXiv:1903.01373.

At the ranking intensities alpha that the paper advises, transitions have probabilities such as
exp(-5000). So they are kept as logarithms, and the chain is solved by the elimination of Grassmann,
Taksar & Heyman, 1985, Oper. Res. 33, which subtracts nothing, in double precision: masses are right
at any alpha, and no search for the largest one that still works is needed.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from jaxmarl_core.errors import require

ALMOST_NEVER = 1e-6  # probability of a step for the worse, where alpha is infinite


def alpha_rank(
    payoff: Any,
    alpha: Any = 100.0,
    population: int = 50,
    selection: str = "local",
) -> jax.Array:
    """Returns the masses [A] f32 of the strategies of a symmetric game of one population.

    Masses sum to 1, the largest first in the ranking.

    Args:
      payoff: [A, A], what the row's strategy earns against the column's.
      alpha: [] above 0, how much the better is preferred, in units of 1 / payoff; None: in the
        limit, a better mutant takes over for certain, an equal one with probability 1 /
        population, and a worse one almost never, 1e-6 whatever it loses (Rowland et al., 2019,
        arXiv:1909.09849, with population=2). What masses are small is then the order of that.
      population: m, at least 2, static.
      selection: "local", an individual compares itself to the one it plays with, as the paper
        does; "global", with what it would earn among all others (Traulsen et al., 2006; Han et al.,
        2013). Both are the same for antisymmetric payoffs, up to alpha's unit, m / (m - 1) / 2.

    Raises:
      ValueError: payoffs that are no square, or an unknown selection.
    """
    payoff = jnp.asarray(payoff)
    fits = payoff.ndim == 2 and payoff.shape[0] == payoff.shape[1]
    require(fits, "payoff", "a square matrix [A, A]", f"shape {payoff.shape}")
    known = selection in ("local", "global")
    require(known, "selection", '"local" or "global"', repr(selection))
    _require_population(population)
    with jax.enable_x64(True):
        alpha = None if alpha is None else jnp.asarray(alpha).astype(jnp.float64)
        return _masses(payoff.astype(jnp.float64), alpha, population, selection)


@partial(jax.jit, static_argnames=("population", "selection"))
def _masses(payoff, alpha, population: int, selection: str) -> jax.Array:
    gain = payoff.T - payoff  # [s, r], of r over s as they meet
    if alpha is None:
        log_rate = _log_limit(gain, population)
    elif selection == "local":
        log_rate = _log_fixation(alpha * gain, population)
    else:
        log_rate = _log_fixation_among_all(payoff, alpha, population)
    log_rate = jnp.where(jnp.eye(len(payoff), dtype=bool), -jnp.inf, log_rate)
    return _stationary(log_rate).astype(jnp.float32)


def alpha_rank_profiles(payoffs: Any, alpha: Any = 100.0, population: int = 50) -> jax.Array:
    """Returns the masses [A_1, ..., A_N] f32 of profiles, a population for each of N players.

    In a step one population changes its strategy, by what that does to its own payoff while the
    others stay. Sum over the other axes for the masses of a player's strategies.

    Args:
      payoffs: [N, A_1, ..., A_N], to each player.
      alpha, population: as in `alpha_rank`.

    Raises:
      ValueError: payoffs without an axis of actions for each player.
    """
    payoffs = jnp.asarray(payoffs)
    fits = payoffs.ndim >= 2 and payoffs.ndim == 1 + payoffs.shape[0]
    require(fits, "payoffs", "shape [N, A_1, ..., A_N]", f"shape {payoffs.shape}")
    _require_population(population)
    with jax.enable_x64(True):
        alpha = None if alpha is None else jnp.asarray(alpha).astype(jnp.float64)
        return _profile_masses(payoffs.astype(jnp.float64), alpha, population)


@partial(jax.jit, static_argnames="population")
def _profile_masses(payoffs, alpha, population: int) -> jax.Array:
    shape, size = payoffs.shape[1:], payoffs[0].size
    number = jnp.arange(size, dtype=jnp.int32).reshape(shape)
    log_rate = jnp.full((size, size), -jnp.inf, payoffs.dtype)
    for player, payoff in enumerate(payoffs):
        mine, numbers = (
            jnp.moveaxis(x, player, -1).reshape(-1, shape[player]) for x in (payoff, number)
        )
        gain = mine[:, None, :] - mine[:, :, None]  # [others' actions, from, to]
        limit = alpha is None
        rate = _log_limit(gain, population) if limit else _log_fixation(alpha * gain, population)
        log_rate = log_rate.at[numbers[:, :, None], numbers[:, None, :]].set(rate)
    log_rate = jnp.where(jnp.eye(size, dtype=bool), -jnp.inf, log_rate)
    return _stationary(log_rate).astype(jnp.float32).reshape(shape)


def fixation_probability(u: Any, population: int) -> jax.Array:
    """Returns the probability that one mutant takes over a population, [...].

        (1 - exp(-u)) / (1 - exp(-m u)),   1 / m at u = 0

    Omidshafiei et al., 2019, eq. 12. Neither overflows nor loses digits at any u.

    Args:
      u: [...], alpha times what the mutant earns more.
      population: m, at least 2, static.
    """
    _require_population(population)
    u = jnp.asarray(u)
    u = u.astype(jnp.promote_types(u.dtype, jnp.float32))
    return jnp.exp(_log_fixation(u, population))


def _require_population(population: int) -> None:
    require(population >= 2, "population", "at least 2", population)


def _log_fixation(u: jax.Array, m: int) -> jax.Array:
    """Returns the logarithm of `fixation_probability`.

    With v = |u| the one of -v is exp(-(m - 1) v) times that of v.
    """
    v = jnp.abs(u)
    small = v < 1e-9
    v = jnp.where(small, 1, v)
    ratio = jnp.where(small, 1 / m, jnp.expm1(-v) / jnp.expm1(-m * v))
    return jnp.log(ratio) + (m - 1) * jnp.minimum(u, 0)


def _log_fixation_among_all(payoff: jax.Array, alpha: jax.Array, m: int) -> jax.Array:
    """Returns the log of the probability that r takes over s, [s, r], each earning among all.

        1 / (1 + sum_l prod_{p <= l} exp(-alpha (f_r(p) - f_s(p)))),   l = 1 ... m - 1

    with p individuals that play r: f_r(p) = ((p - 1) M_rr + (m - p) M_rs) / (m - 1).
    """
    p = jnp.arange(1, m, dtype=payoff.dtype)[:, None, None]
    own = jnp.diag(payoff)
    f_r = ((p - 1) * own[None, None] + (m - p) * payoff.T[None]) / (m - 1)  # [p, s, r]
    f_s = ((m - p - 1) * own[None, :, None] + p * payoff[None]) / (m - 1)
    terms = jnp.cumsum(-alpha * (f_r - f_s), axis=0)
    return -logsumexp(jnp.concatenate([jnp.zeros_like(terms[:1]), terms]), axis=0)


def _log_limit(gain: jax.Array, m: int) -> jax.Array:
    """Returns the log of the probability that a mutant takes over, where alpha is infinite."""
    small = jnp.abs(gain) <= 1e-7 * jnp.abs(gain).max()  # an average of games is rounded
    sign = jnp.where(small, 0, jnp.sign(gain))
    better, worse = jnp.log1p(-ALMOST_NEVER), jnp.log(ALMOST_NEVER)
    return jnp.where(sign > 0, better, jnp.where(sign < 0, worse, -jnp.log(float(m))))


def _stationary(log_rate: jax.Array) -> jax.Array:
    """Returns the stationary distribution [S] of a chain with rates exp(log_rate) [S, S].

    The diagonal is -inf: how long a state is stayed in follows from what leaves it. State after
    state is cut out, from the last one, and its inflow handed on to where it would have gone.
    """
    size = len(log_rate)
    index = jnp.arange(size, dtype=jnp.int32)

    def cut(i, rates):
        n = jnp.int32(size - 1) - i
        left = index < n
        out = jnp.where(left, rates[n], -jnp.inf)  # [S]
        inflow = jnp.where(left, rates[:, n] - logsumexp(out), -jnp.inf)
        handed = jnp.logaddexp(rates, inflow[:, None] + out[None])
        rates = jnp.where(left[:, None] & left[None] & (index[:, None] != index), handed, rates)
        return rates.at[:, n].set(jnp.where(left, inflow, rates[:, n]))

    def restore(n, log_mass):
        mass = logsumexp(jnp.where(index < n, log_mass + rates[:, n], -jnp.inf))
        return log_mass.at[n].set(mass)

    rates = jax.lax.fori_loop(jnp.int32(0), jnp.int32(size - 1), cut, log_rate)
    first = jnp.where(index == 0, 0.0, -jnp.inf).astype(log_rate.dtype)
    log_mass = jax.lax.fori_loop(jnp.int32(1), jnp.int32(size), restore, first)
    return jnp.exp(log_mass - logsumexp(log_mass))
