"""The table `[random]` of a spec: numbers drawn from distributions, a row at a time.

    [random]
    num = 64
    seed = 0
    sampler = "halton"                                          # or "uniform", the default
    gamma = [0.9, 0.999]                                        # uniform, or log where declared so
    learning_rate = { kind = "log-uniform", low = 1e-4, high = 1e-2 }
    entropy_coefficient = { kind = "normal", mean = 0.01, deviation = 0.005 }
    clip = { kind = "choice", values = [0.1, 0.2, 0.3] }

A distribution is its quantile function, which a point in [0, 1) is put through. Points are
pseudo-random, or of a randomised Halton sequence, which leaves no corner of the box empty.

Bergstra & Bengio, 2012, JMLR 13 (random search covers the axes that matter better than a grid;
quasi-random sequences do a little better still, section 5); Owen, 2017, arXiv:1706.02808.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import lookup, require, unknown

SAMPLERS = ("uniform", "halton")
OPTIONS = ("num", "seed", "sampler", "environment_numbers")
_ONE = 1 - 2**-24  # the largest float32 below 1


@dataclass(frozen=True)
class Uniform:
    """Each number of [low, high] as likely as another."""

    low: float
    high: float

    def quantile(self, point: Any) -> Any:
        """Returns what points [...] in [0, 1) become."""
        return self.low + (self.high - self.low) * point

    def perturbed(self, value: Any, factor: Any, is_up: Any) -> Any:
        """Returns values [...] times factors, within the range."""
        return jnp.clip(value * factor, self.low, self.high)


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Each order of magnitude of [low, high] as likely as another; low is positive."""

    def quantile(self, point: Any) -> Any:
        """Returns what points [...] in [0, 1) become."""
        return self.low * (self.high / self.low) ** point


@dataclass(frozen=True)
class Normal:
    """A normal distribution, cut off at the ends of what the number may be."""

    mean: float
    deviation: float
    low: float = -math.inf  # filled in from the declaration
    high: float = math.inf

    def quantile(self, point: Any) -> Any:
        """Returns what points [...] in [0, 1) become."""
        first, last = (ndtr((x - self.mean) / self.deviation) for x in (self.low, self.high))
        within = jnp.clip(first + (last - first) * point, 2**-24, _ONE)
        return jnp.clip(self.mean + self.deviation * ndtri(within), self.low, self.high)

    def perturbed(self, value: Any, factor: Any, is_up: Any) -> Any:
        """Returns values [...] times factors, within what the number may be."""
        return jnp.clip(value * factor, self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of some numbers, each as likely as another."""

    values: tuple[float, ...]

    def quantile(self, point: Any) -> Any:
        """Returns what points [...] in [0, 1) become."""
        index = jnp.minimum(jnp.floor(point * len(self.values)), len(self.values) - 1)
        return jnp.asarray(self.values)[index.astype(int)]

    def perturbed(self, value: Any, factor: Any, is_up: Any) -> Any:
        """Returns the neighbours of values [...] in the order told, the next where `is_up`."""
        values = jnp.asarray(self.values)
        index = jnp.argmin(jnp.abs(values - jnp.asarray(value)[..., None]), axis=-1)
        moved = jnp.clip(index + jnp.where(is_up, 1, -1), 0, len(self.values) - 1)
        return values[moved]


Draw = Uniform | LogUniform | Normal | Choice
KINDS: dict[str, type] = {
    "uniform": Uniform,
    "log-uniform": LogUniform,
    "normal": Normal,
    "choice": Choice,
}


def draws(table: Mapping[str, Any], declared: Any) -> dict[str, Draw]:
    """Returns name -> distribution of what a table `[random]` draws.

    Args:
      table: of the file; `OPTIONS` are passed over.
      declared: the hparams whose declarations say what is in range, and what is on a log scale.

    Raises:
      ValueError, TypeError: an unknown name, kind or option, or a number out of range.
    """
    fields = {field.name: field for field in hp.fields(declared)}
    found = {}
    for name, told in table.items():
        if name in OPTIONS:
            continue
        if name not in fields:
            raise ValueError(unknown("hparams", name, fields))
        found[name] = _draw(name, told, fields[name])
    return found


def _draw(name: str, told: Any, field: dataclasses.Field) -> Draw:
    least, most = field.metadata.get("low", -np.inf), field.metadata.get("high", np.inf)
    if not isinstance(told, Mapping):
        pair = isinstance(told, list | tuple) and len(told) == 2
        require(pair, f"random.{name}", "a range [low, high], or a table with a kind", told)
        kind = "log-uniform" if field.metadata.get("scale") == "log" else "uniform"
        told = {"kind": kind, "low": told[0], "high": told[1]}
    options = dict(told)
    require("kind" in options, f"random.{name}.kind", f"one of {', '.join(KINDS)}", "nothing")
    kind = lookup(KINDS, str(options.pop("kind")), f"random.{name}.kind")
    known = [f.name for f in dataclasses.fields(kind)]
    wanted = [n for n in known if kind is not Normal or n not in ("low", "high")]
    for option in options:
        if option not in wanted:
            raise ValueError(unknown(f"random.{name}", option, wanted))
    for option in wanted:
        require(option in options, f"random.{name}.{option}", "a value", "nothing")
    if kind is Choice:
        values = options["values"]
        several = isinstance(values, list | tuple) and len(values) > 0
        require(several, f"random.{name}.values", "a list of numbers", values)
        own = tuple(number(f"random.{name}.values", value) for value in values)
        require(len(set(own)) == len(own), f"random.{name}.values", "distinct values", values)
        within = all(least <= value <= most for value in own)
        require(within, name, f"values within [{least:g}, {most:g}]", values)
        return Choice(own)
    ends = {option: number(f"random.{name}", value) for option, value in options.items()}
    if kind is Normal:
        require(ends["deviation"] > 0, f"random.{name}.deviation", "above 0", ends["deviation"])
        within = least <= ends["mean"] <= most
        require(within, name, f"a mean within [{least:g}, {most:g}]", ends["mean"])
        return Normal(**ends, low=least, high=most)
    low, high = ends["low"], ends["high"]
    require(low < high, name, "a range (low, high) with low < high", (low, high))
    within = least <= low and high <= most
    require(within, name, f"a range within [{least:g}, {most:g}]", (low, high))
    if kind is LogUniform:
        require(low > 0, name, "a positive low end on a log scale", low)
    return kind(low, high)


def rows(found: Mapping[str, Draw], num: int, seed: int, sampler: str) -> dict[str, np.ndarray]:
    """Returns name -> [num] f64, a column of each distribution.

    Args:
      found: as `draws` makes it.
      num: how many rows.
      seed: of the points.
      sampler: one of `SAMPLERS`.
    """
    if sampler == "halton":
        points = halton(num, len(found), seed)
    else:
        points, key = [], jax.random.key(seed)
        for _ in found:  # a key after another, so that a name more leaves the others' numbers
            key, key_draw = jax.random.split(key)
            points.append(np.asarray(jax.random.uniform(key_draw, (num,)), np.float64))
    return {
        name: np.asarray(draw.quantile(own), np.float64)
        for (name, draw), own in zip(found.items(), points)
    }


def halton(num: int, num_dimensions: int, seed: int) -> np.ndarray:
    """Returns [D, num] f64 in [0, 1), the first points of a randomised Halton sequence.

    Dimension d counts in the d-th prime b and mirrors the digits behind the point; each digit goes
    through a random permutation of its own, so that among the first b^k points each of the b^k
    equal pieces of [0, 1) has exactly one, and each point is uniform over seeds.

    Owen, 2017, arXiv:1706.02808, whose digits are permuted in the same way; Halton, 1960.
    """
    generator = np.random.default_rng(seed)
    points = np.zeros((num_dimensions, num))
    for dimension, base in enumerate(primes(num_dimensions)):
        left, scale = np.arange(num), 1.0
        while scale > 2**-32:  # of float32, which the numbers become, no digit is left out
            scale /= base
            points[dimension] += scale * generator.permutation(base)[left % base]
            left = left // base
    return np.minimum(points, _ONE)


def primes(num: int) -> Sequence[int]:
    """Returns the first primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < num:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def number(name: str, value: Any) -> float:
    """Returns the value as a float; raises TypeError if it is none, ValueError for no float32."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    largest = float(np.finfo(np.float32).max)
    fits = (isinstance(value, float) and math.isnan(value)) or abs(value) <= largest
    require(fits, name, "a finite number, as float32 holds it", value)  # NaN is in no range
    return float(value)
