"""What a policy's head means: the distribution over actions that its numbers stand for.

    space           head [..., K]             distribution
    Discrete(n)     logits, K = n             categorical; illegal actions have probability 0
    bounded Box     means, K = prod(shape)    a squashed or a clipped normal, scaled
    other Box       means, K = prod(shape)    normal
    Composite       its parts' side by side   independent parts; several Discrete: "multi-discrete"

`distribution(space, head, ...)` returns an object with `sample(seed=key)`, `log_prob(action)`
(summed over the dimensions of an action), `entropy()`, `mode()` and `kl_divergence(other)`.

This is the one file that imports distrax: it leans on a nightly package that warns when imported.
"""

import math
import warnings
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional.shapes import (
    as_float,
    legal_mask,
    require_broadcastable,
    require_shape,
)
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, is_bounded

with warnings.catch_warnings():
    # The nightly tensorflow-probability below distrax touches a deprecated name of jax.core.
    warnings.filterwarnings("ignore", r"jax\.\S+ is deprecated", DeprecationWarning)
    import distrax

ILLEGAL = -1e9  # a logit; finite, so that entropy and its gradient are


def _edge(dtype: Any) -> float:
    """Returns what |tanh| stays within, so that its inverse is finite in a precision."""
    return 1.0 - max(1e-6, float(jnp.finfo(dtype).epsneg))


def head_size(space: Space) -> int:
    """Returns K, how many numbers a policy's head puts out for an action of `space`.

    Raises ValueError for what is no space.
    """
    if isinstance(space, Discrete):
        return space.num_values
    if isinstance(space, Box):
        return math.prod(space.shape)
    if isinstance(space, Composite):
        return sum(head_size(part) for _, part in space.items)
    raise ValueError(f"action: expected Discrete, Box or Composite, got {space}")


def num_scales(space: Space) -> int:
    """Returns how many of an action's numbers are drawn from normals, and so have a deviation."""
    if isinstance(space, Composite):
        return sum(num_scales(part) for _, part in space.items)
    return math.prod(space.shape) if isinstance(space, Box) else 0


def masked_logits(logits: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns `logits` [..., A], with ILLEGAL where `mask` [..., A] is false.

    A row without any legal action, as of a dead agent, becomes uniform.
    """
    logits = as_float(logits)
    if mask is None:
        return logits
    illegal = max(ILLEGAL, float(jnp.finfo(logits.dtype).min) / 2)  # float16 ends at -65504
    return jnp.where(legal_mask(mask, logits.shape), logits, illegal)


def categorical(logits: jax.Array, mask: jax.Array | None = None) -> distrax.Categorical:
    """Returns the categorical distribution over legal actions.

    Args:
      logits: [..., A] f32.
      mask: [..., A] bool, true where legal; None: all are.
    """
    return distrax.Categorical(logits=masked_logits(logits, mask), dtype=jnp.int32)


def normal(mean: jax.Array, log_std: jax.Array, event_rank: int = 1) -> distrax.Independent:
    """Returns a normal distribution with independent entries.

    Args:
      mean: [..., *event] f32.
      log_std: broadcasts against `mean`; usually [*event], a parameter and not an output.
      event_rank: how many of the last axes make one action.
    """
    mean, log_std = as_float(mean), as_float(log_std)
    require_broadcastable("log_std", log_std, mean.shape)
    std = jnp.broadcast_to(jnp.exp(log_std), mean.shape)
    return distrax.Independent(distrax.Normal(mean, std), event_rank)


def moments(base: distrax.Independent) -> tuple[jax.Array, jax.Array]:
    """Returns the mean and the deviation of what `normal` made, [..., *event] each."""
    entries = cast(distrax.Normal, base.distribution)
    return jnp.asarray(entries.loc), jnp.asarray(entries.scale)


# Nodes and weights of E[f(x)], x ~ N(0, 1): sum_k w_k f(x_k); exact for polynomials to degree 31.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / np.sqrt(2 * np.pi)


class SquashedNormal:
    """The distribution of `centre + half tanh(x)`, x normal: bounded, with all mass inside.

        log p(a) = log N(x) - sum_d log(half (1 - tanh(x_d)^2))

    Haarnoja et al., 2018, arXiv:1801.01290, appendix C. The entropy has no closed form; it is
    integrated numerically, entry by entry, which needs no sample (error below 1e-3 nats for
    standard deviations up to 1.5, 3e-3 at 2). A sample keeps a millionth of the range away from
    the bounds; an action closer than that is taken to be there.
    """

    def __init__(
        self, mean: jax.Array, log_std: jax.Array, low: float, high: float, event_rank: int = 1
    ):
        """Mean and log_std [..., *event] of x, see `normal`; all entries in [low, high]."""
        self.base = normal(mean, log_std, event_rank)
        self.event_axes = tuple(range(-event_rank, 0))
        self.centre, self.half = (high + low) / 2, (high - low) / 2

    def _squash(self, x: jax.Array) -> jax.Array:
        edge = _edge(x.dtype)
        return self.centre + self.half * jnp.clip(jnp.tanh(x), -edge, edge)

    def _unsquash(self, action: jax.Array) -> jax.Array:
        action = as_float(action)
        edge = _edge(action.dtype)
        return jnp.arctanh(jnp.clip((action - self.centre) / self.half, -edge, edge))

    def _log_slope(self, x: jax.Array) -> jax.Array:
        """Returns log(d action / d x) per entry, in a form that does not underflow."""
        return math.log(self.half) + 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))

    def sample(self, *, seed: jax.Array) -> jax.Array:
        """Returns a draw, [..., *event]; differentiable in mean and log_std."""
        return self._squash(self.base.sample(seed=seed))

    def sample_and_log_prob(self, *, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns a draw and its log-density, which needs no inverse and so is exact to the edge.

        What one differentiates along a draw, as the soft actor-critic's update does.
        """
        x = self.base.sample(seed=seed)
        log_prob = jnp.asarray(self.base.log_prob(x)) - self._log_slope(x).sum(self.event_axes)
        return self._squash(x), log_prob

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Returns the log-density of `action` [..., *event], [...]."""
        x = self._unsquash(action)
        return jnp.asarray(self.base.log_prob(x)) - self._log_slope(x).sum(self.event_axes)

    def entropy(self) -> jax.Array:
        """Returns the differential entropy in nats, [...]."""
        mean, deviation = moments(self.base)
        x = mean[..., None] + deviation[..., None] * _NODES.astype(np.float32)
        gain = self._log_slope(x) @ _WEIGHTS.astype(np.float32)
        return jnp.asarray(self.base.entropy()) + gain.sum(self.event_axes)

    def mode(self) -> jax.Array:
        """Returns the image of x's mean, [..., *event]: the median, and what one acts by."""
        return self._squash(moments(self.base)[0])

    def kl_divergence(self, other: "SquashedNormal") -> jax.Array:
        """Returns KL(self || other), [...]: that of the normals, as both are squashed alike."""
        return jnp.asarray(self.base.kl_divergence(other.base))


class ClippedNormal:
    """The distribution of `clip(centre + half x, low, high)`, x normal; the bounds have mass.

        log p(a) = log N(x)  within,   log P(x <= low)  at the lower bound,   and so at the upper

    What a program draws when it leaves the clipping to the world, with the likelihood of what was
    played instead of what was drawn: the same gradient on average, with less variance. Fujita &
    Maeda, 2018, arXiv:1802.07564, eq. 8. Densities are of a in the Box's units. Entropy and
    divergence are those of the normals behind, as such programs have them.
    """

    def __init__(
        self, mean: jax.Array, log_std: jax.Array, low: float, high: float, event_rank: int = 1
    ):
        """Mean and log_std [..., *event] of x, see `normal`; all entries in [low, high]."""
        centre, half = (high + low) / 2, (high - low) / 2
        self.base = normal(centre + half * mean, log_std + math.log(half), event_rank)
        self.event_axes = tuple(range(-event_rank, 0))
        self.low, self.high = low, high

    def sample(self, *, seed: jax.Array) -> jax.Array:
        """Returns a draw, [..., *event]; differentiable in mean and log_std within the bounds."""
        return jnp.clip(self.base.sample(seed=seed), self.low, self.high)

    def sample_and_log_prob(self, *, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns a draw and its log-density, of mass where it is a bound."""
        action = self.sample(seed=seed)
        return action, self.log_prob(action)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Returns the log-density of `action` [..., *event], of mass where it is a bound, [...]."""
        loc, scale = moments(self.base)
        # clipped before the logarithm: what is far within a bound has no gradient of its mass
        below = jax.scipy.stats.norm.logcdf((self.low - loc) / scale)
        above = jax.scipy.stats.norm.logcdf((loc - self.high) / scale)
        within = jax.scipy.stats.norm.logpdf(action, loc, scale)
        entry = jnp.where(action <= self.low, below, jnp.where(action >= self.high, above, within))
        return entry.sum(self.event_axes)

    def entropy(self) -> jax.Array:
        """Returns the entropy of the normal in nats, [...]."""
        return jnp.asarray(self.base.entropy())

    def mode(self) -> jax.Array:
        """Returns the mean, clipped, [..., *event]."""
        return jnp.clip(moments(self.base)[0], self.low, self.high)

    def kl_divergence(self, other: "ClippedNormal") -> jax.Array:
        """Returns KL between the normals, [...]; that of the clipped is no greater."""
        return jnp.asarray(self.base.kl_divergence(other.base))


class CompositeDistribution:
    """Independent distributions side by side: an action is a dict of their draws."""

    def __init__(self, parts: Mapping[str, Any]):
        self.parts = dict(parts)

    def _sum(self, method: str, *others: Mapping[str, Any]) -> jax.Array:
        terms = (
            getattr(part, method)(*(other[name] for other in others))
            for name, part in self.parts.items()
        )
        return reduce(add, terms)

    def sample(self, *, seed: jax.Array) -> dict[str, jax.Array]:
        """Returns a draw from each part."""
        keys = jax.random.split(seed, len(self.parts))
        return {name: part.sample(seed=key) for (name, part), key in zip(self.parts.items(), keys)}

    def sample_and_log_prob(self, *, seed: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Returns a draw from each part, as `sample` does, and their log-density together."""
        keys = jax.random.split(seed, len(self.parts))
        drawn = {
            name: part.sample_and_log_prob(seed=key)
            for (name, part), key in zip(self.parts.items(), keys)
        }
        action = {name: each for name, (each, _) in drawn.items()}
        return action, reduce(add, (log_prob for _, log_prob in drawn.values()))

    def log_prob(self, action: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the log-density of the parts together, [...]."""
        return self._sum("log_prob", action)

    def entropy(self) -> jax.Array:
        """Returns the entropies' sum in nats, [...]."""
        return self._sum("entropy")

    def mode(self) -> dict[str, jax.Array]:
        """Returns each part's mode."""
        return {name: part.mode() for name, part in self.parts.items()}

    def kl_divergence(self, other: "CompositeDistribution") -> jax.Array:
        """Returns KL(self || other), [...], the parts' sum."""
        return self._sum("kl_divergence", other.parts)


def _register(kind: type, data: str, *static: str) -> None:
    """Makes a distribution a pytree, so that it may enter and leave `jit` and `vmap`."""

    def flatten(whole):
        return (getattr(whole, data),), tuple(getattr(whole, name) for name in static)

    def unflatten(values, children):
        whole = object.__new__(kind)
        for name, value in zip((data, *static), (*children, *values)):
            setattr(whole, name, value)
        return whole

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


_register(SquashedNormal, "base", "event_axes", "centre", "half")
_register(ClippedNormal, "base", "event_axes", "low", "high")
_register(CompositeDistribution, "parts")

Distribution = (
    distrax.Categorical
    | distrax.Independent
    | SquashedNormal
    | ClippedNormal
    | CompositeDistribution
)


def distribution(
    space: Space,
    head: jax.Array,
    mask: Any = None,
    log_std: jax.Array | None = None,
    squash: bool = True,
) -> Distribution:
    """Returns the distribution over actions of `space` that `head` stands for.

    Args:
      space: Discrete, Box, or a Composite of spaces.
      head: [..., K] f32, K = head_size(space).
      mask: [..., A] bool, for Discrete only; of a Composite a dict that may lack parts; None: all
        actions are legal.
      log_std: [num_scales(space)] f32, perhaps with the leading axes of `head`; None where nothing
        is continuous. For a Box [*space.shape] will do.
      squash: whether a bounded Box gets a SquashedNormal; if not, a ClippedNormal.

    Raises:
      ValueError: for other spaces, a head of the wrong size, a Box without `log_std`, or a mask of
        a part that the space does not have.
    """
    head, size, scales = as_float(head), head_size(space), num_scales(space)
    fits = head.ndim > 0 and head.shape[-1] == size
    require(fits, "head", f"[..., {size}] for {space}", head.shape)
    if isinstance(space, Discrete):
        return categorical(head, mask)
    if scales:
        require(log_std is not None, "log_std", f"[{scales}] for {space}", None)
        log_std = as_float(log_std)
    if isinstance(space, Composite):
        names = [name for name, _ in space.items]
        for name in mask or {}:
            if name not in names:
                raise ValueError(unknown("mask", name, names))
        return _parts(space, head, mask or {}, log_std, squash)
    assert log_std is not None  # a Box has scales
    mean = head.reshape(*head.shape[:-1], *space.shape)
    given = log_std.shape[log_std.ndim - len(space.shape) :] if space.shape else log_std.shape
    if given != space.shape:
        fits = log_std.ndim > 0 and log_std.shape[-1] == scales
        require(fits, "log_std", f"[{scales}] for {space}", log_std.shape)
        log_std = log_std.reshape(*log_std.shape[:-1], *space.shape)
    if is_bounded(space):
        bounded = SquashedNormal if squash else ClippedNormal
        return bounded(mean, log_std, space.low, space.high, len(space.shape))
    return normal(mean, log_std, len(space.shape))


def _parts(space: Composite, head, mask, log_std, squash) -> CompositeDistribution:
    parts, at, scale_at = {}, 0, 0
    for name, part in space.items:
        size, scales = head_size(part), num_scales(part)
        own_std = log_std[..., scale_at : scale_at + scales] if scales else None
        own = head[..., at : at + size]
        parts[name] = distribution(part, own, mask.get(name), own_std, squash)
        at, scale_at = at + size, scale_at + scales
    return CompositeDistribution(parts)


def relaxed_one_hot(
    key: jax.Array,
    logits: jax.Array,
    temperature: float | jax.Array = 1.0,
    mask: jax.Array | None = None,
    straight_through: bool = True,
) -> jax.Array:
    """Returns a draw from a categorical that lets gradients through, [..., A].

        softmax((logits + g) / T),  g standard Gumbel

    Jang et al., 2017, arXiv:1611.01144; Maddison et al., 2017, arXiv:1611.00712.

    Args:
      logits: [..., A] f32.
      temperature: [] f32 > 0, T; towards 0 the draw becomes one-hot.
      mask: [..., A] bool, true where legal; None: all are.
      straight_through: whether the value is exactly one-hot, with the gradient of the relaxed one.
    """
    logits = masked_logits(logits, mask)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return perturbed_one_hot(logits, noise, temperature, None, straight_through)


def perturbed_one_hot(
    logits: jax.Array,
    noise: jax.Array,
    temperature: float | jax.Array = 1.0,
    mask: jax.Array | None = None,
    straight_through: bool = True,
) -> jax.Array:
    """Returns `relaxed_one_hot` with noise that was drawn before, [..., A].

    Args:
      logits, temperature, mask, straight_through: as there.
      noise: [..., A] f32, g; standard Gumbel makes it a draw, and 0 the most likely action.
    """
    logits, temperature = masked_logits(logits, mask), as_float(temperature)
    require_shape("temperature", temperature, ())
    require_shape("noise", noise, logits.shape)
    soft = jax.nn.softmax((logits + noise) / temperature, axis=-1)
    if not straight_through:
        return soft
    hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
    return jax.lax.stop_gradient(hard - soft) + soft
