"""Population-based training: the worst copy the best and go on with other hyper-parameters.

The configurations of a spec are the members of a population, one population for each seed. Every so
many updates the members at the bottom copy the state and the hyper-parameters of members at the top
(*exploit*), and the numbers that `[random]` draws are perturbed or drawn anew (*explore*). So a
population finds a schedule, where a sweep finds a constant.

    [search]
    kind = "population"
    every = 20                # updates
    fraction = 0.2            # that copies, and that is copied
    factors = [0.8, 1.25]     # by which a number is perturbed, either as likely
    resample = 0.25           # how likely a number is drawn anew instead

    [random]
    num = 16                  # members
    learning_rate = [1e-4, 1e-2]

Jaderberg et al., 2017, arXiv:1711.09846: truncation selection of section 4.1.1, perturbing by 0.8
and 1.2 (here 1.25, its inverse, so that the numbers do not drift), and resampling, which they use
in its stead, mixed with it. A choice is perturbed to one of its neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.sweeps.draws import Draw


@dataclass(frozen=True)
class Population:
    """How members copy each other; fields as in the file, see the module."""

    every: int
    fraction: float = 0.2
    factors: tuple = (0.8, 1.25)
    resample: float = 0.25

    def __post_init__(self):
        require(self.every >= 1, "search.every", "at least 1", self.every)
        require(0 < self.fraction <= 0.5, "search.fraction", "in (0, 0.5]", self.fraction)
        require(0 <= self.resample <= 1, "search.resample", "in [0, 1]", self.resample)
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in self.factors)
        positive = len(self.factors) > 0 and numbers and all(x > 0 for x in self.factors)
        require(positive, "search.factors", "some positive numbers", list(self.factors))

    def check(self, num_updates: int, num_members: int) -> None:
        """Raises ValueError where so many members with so many updates never copy each other."""
        divides = num_updates % self.every == 0 and self.every < num_updates
        divisor = f"a divisor of updates ({num_updates}), less than they are"
        require(divides, "search.every", divisor, self.every)
        require(num_members >= 2, "search", "at least 2 members, rows of [random]", num_members)

    def num_copied(self, num_members: int) -> int:
        """Returns how many members copy, and how many may be copied: at least one."""
        return max(1, int(self.fraction * num_members))


def evolve(
    key: jax.Array,
    figures: jax.Array,
    hparams: Any,
    draws: Mapping[str, Draw],
    options: Population,
) -> tuple[jax.Array, Any]:
    """Returns whom each member of a population goes on as, and with which hyper-parameters.

    Args:
      key: of this time.
      figures: [N] f32, higher is better; NaN for a member that is lost.
      hparams: a struct with leaves [N].
      draws: name -> distribution of the numbers that are explored, N at least 2.
      options: how.

    Returns:
      parents [N] int32, a member's own number where it goes on as it is; hparams, leaves [N].
    """
    key_parent, key_explore = jax.random.split(key)
    parents = exploit(key_parent, figures, options)
    copied = jax.tree.map(lambda leaf: leaf[parents], hparams)
    explored = explore(key_explore, copied, draws, options)
    has_copied = parents != jnp.arange(len(parents))
    return parents, jax.tree.map(lambda new, old: jnp.where(has_copied, new, old), explored, copied)


def exploit(key: jax.Array, figures: jax.Array, options: Population) -> jax.Array:
    """Returns [N] int32: a member of the top, drawn for each at the bottom; oneself for others.

    Members without a figure are at the bottom, and nobody copies them.
    """
    num = len(figures)
    num_copied = options.num_copied(num)
    # stable: of equal figures the first member is the better
    order = jnp.argsort(jnp.where(jnp.isnan(figures), jnp.inf, -figures), stable=True)
    own = jnp.arange(num)
    rank = jnp.zeros(num, int).at[order].set(own)
    drawn = order[jax.random.randint(key, (num,), 0, num_copied)]
    copies = (rank >= num - num_copied) & ~jnp.isnan(figures[drawn])
    return jnp.where(copies, drawn, own).astype(jnp.int32)


def explore(key: jax.Array, hparams: Any, draws: Mapping[str, Draw], options: Population) -> Any:
    """Returns hparams, leaves [N], with the numbers in `draws` perturbed or drawn anew."""
    changed = {}
    for draw_key, (name, draw) in zip(jax.random.split(key, max(len(draws), 1)), draws.items()):
        value = getattr(hparams, name)
        key_anew, key_point, key_factor, key_up = jax.random.split(draw_key, 4)
        factor = jax.random.choice(key_factor, jnp.asarray(options.factors), value.shape)
        is_up = jax.random.bernoulli(key_up, 0.5, value.shape)
        perturbed = draw.perturbed(value, factor, is_up)
        anew = draw.quantile(jax.random.uniform(key_point, value.shape))
        is_anew = jax.random.bernoulli(key_anew, options.resample, value.shape)
        changed[name] = jnp.where(is_anew, anew, perturbed).astype(value.dtype)
    return hparams.replace(**changed)
