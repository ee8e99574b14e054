"""The Ising model itself, sampled: what the spins of `ising` look like in thermal equilibrium.

Markov chain Monte Carlo on a torus of spins -1 and 1 without outer field, with Metropolis or
heat-bath updates. Temperatures are in units of the game's reward: `temperature` tau samples

    p(s) ~ exp(-E(s) / (2 tau)),   E(s) = - (sum over pairs of neighbours of s_i s_j)

which is the textbook's model with coupling 1 at temperature 2 tau. Energies are E per site.

Sites that are no neighbours of one another do not depend on each other given the rest, so a whole
colour of the lattice moves at once: two colours like a chessboard's where L is even, three where
it is odd.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxmarl_core.envs.mean_field.torus import neighbour_sum, require_torus
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.types import Key

# A flip that costs nothing is sure to be accepted. Were all flips proposed, spins with as many
# neighbours up as down would turn over in every sweep, and some states be out of each other's
# reach for ever: few, yet a 4 x 4 torus would miss the exact distribution. So a site may be left
# out, by chance.
PROPOSED = 15 / 16


class Samples(NamedTuple):
    """What was measured after every sweep, and the spins after the last."""

    energy: jax.Array  # [num_sweeps] f32, per site, in [-2, 2]
    magnetisation: jax.Array  # [num_sweeps] f32, mean spin, in [-1, 1]; its size is the order
    spins: jax.Array  # [L, L] f32, -1 or 1


def energy(spins: jax.Array) -> jax.Array:
    """Returns the energy per site, [] f32 in [-2, 2], of spins [L, L] of -1 and 1."""
    return -jnp.mean(spins * neighbour_sum(spins)) / 2


def heat_bath(alignment: jax.Array, temperature: jax.Array) -> jax.Array:
    """Returns 1 / (1 + exp(alignment / tau)): a new spin is drawn whatever the old one was.

    Args:
      alignment: [...] f32, a spin times the sum of its neighbours, in -4 ... 4.
      temperature: [] f32, tau, above 0.

    Returns:
      [...] f32, the probability that the spin flips.
    """
    return jax.nn.sigmoid(-alignment / temperature)


def metropolis(alignment: jax.Array, temperature: jax.Array) -> jax.Array:
    """Returns PROPOSED min(1, exp(-alignment / tau)); arguments as in `heat_bath`."""
    return PROPOSED * jnp.exp(-jnp.maximum(alignment, 0.0) / temperature)


RULES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "heat_bath": heat_bath,
    "metropolis": metropolis,
}


def colouring(size: int) -> np.ndarray:
    """Returns a colour for every site [L, L], 0, 1 (and 2 where L is odd), no two neighbours alike.

    A ring of odd length needs a third colour; a sum of two ring colourings modulo the number of
    colours changes with every step along a row or a column, as each ring's does.
    """
    ring = np.arange(size) % 2
    if size % 2:
        ring[-1] = 2
    return (ring[:, None] + ring) % (2 + size % 2)


def sweep(
    uniform: jax.Array, spins: jax.Array, temperature: jax.Array, rule: str = "heat_bath"
) -> jax.Array:
    """Returns the spins after every site had its turn, colour by colour.

    Args:
      uniform: [L, L] f32, independent draws from [0, 1): a site flips where its is below.
      spins: [L, L] f32, -1 or 1.
      temperature: [] f32, above 0, in units of reward.
      rule: a key of `RULES`, the probability to flip.
    """
    colour = colouring(spins.shape[0])
    for turn in range(colour.max() + 1):
        probability = RULES[rule](spins * neighbour_sum(spins), temperature)
        spins = jnp.where((colour == turn) & (uniform < probability), -spins, spins)
    return spins


def sample(
    key: Key,
    temperature: float | jax.Array,
    *,
    size: int = 20,
    num_sweeps: int = 1000,
    num_burn_in: int = 1000,
    rule: str = "heat_bath",
    start: str = "ordered",
) -> Samples:
    """Returns a chain of samples; `vmap` over keys and temperatures for many at once.

    Samples that follow one another are correlated, near the critical temperature over very many
    sweeps: take error bars from blocks or from independent chains. Below it a random start may
    stay in stripes for long, and an ordered one shows one sign of magnetisation.

    Args:
      key: a PRNG key.
      temperature: [] f32, above 0, in units of reward; half the textbook's with coupling 1.
      size: L, at least 3.
      num_sweeps: samples, one after every sweep.
      num_burn_in: sweeps before the first.
      rule: "heat_bath" or "metropolis".
      start: "ordered", all up, or "random", coin by coin.

    Raises:
      ValueError: naming the argument; a temperature that is traced cannot be checked.
    """
    require_torus(size)
    require(num_sweeps >= 1, "num_sweeps", "at least 1", num_sweeps)
    require(num_burn_in >= 0, "num_burn_in", "at least 0", num_burn_in)
    lookup(RULES, rule, "rule")
    lookup(dict.fromkeys(("ordered", "random")), start, "start")
    if not isinstance(temperature, Tracer):
        require(bool(np.all(np.asarray(temperature) > 0)), "temperature", "above 0", temperature)
    return _sample(key, temperature, size, num_sweeps, num_burn_in, rule, start)


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _sample(key, temperature, size, num_sweeps, num_burn_in, rule, start) -> Samples:
    key_start, key_sweeps = jax.random.split(key)
    spins = jnp.ones((size, size))
    if start == "random":
        spins = jax.random.rademacher(key_start, (size, size), jnp.float32)

    def moved(spins, index):
        uniform = jax.random.uniform(jax.random.fold_in(key_sweeps, index), (size, size))
        return sweep(uniform, spins, temperature, rule)

    def measured(spins, index):
        spins = moved(spins, index)
        return spins, (energy(spins), jnp.mean(spins))

    spins = jax.lax.fori_loop(0, num_burn_in, lambda i, spins: moved(spins, i), spins)
    spins, measured_sweeps = jax.lax.scan(measured, spins, num_burn_in + jnp.arange(num_sweeps))
    return Samples(*measured_sweeps, spins)
