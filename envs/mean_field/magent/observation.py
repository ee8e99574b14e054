"""What an agent sees: a window of the map around it, minimaps, and facts about itself.

The channels of a window are 0 wall, then for each group of agents: present, hp as a fraction[,
minimap]. Groups come in a circle that begins with the observer's own. A minimap bins the whole
map into as many bins a side as the window has cells, into the share of a group's members that are
there; it is not centred on the observer, whose own bin is raised by 1 in all minimaps instead.

The window is cut from one image of the map per observing group, which holds all channels of a
cell side by side, so that a row of the window is one contiguous read and a view is written once.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.magent.grid import Grid, disc


def num_channels(num_groups: int, minimap: bool) -> int:
    """Returns the number of channels of a view."""
    return 1 + num_groups * (3 if minimap else 2)


def channels_of(group: np.ndarray, observer: int, num_groups: int, minimap: bool) -> np.ndarray:
    """Returns the first channel of each agent's group [N] as the group `observer` sees it."""
    return 1 + (group - observer) % num_groups * (3 if minimap else 2)


def round_mask(radius: int, even: bool = False) -> np.ndarray:
    """Returns which cells of a window of width 2 radius + 1 are seen, 2 radius if even."""
    size = 2 * radius + (not even)
    mask = np.zeros((size, size), bool)
    x, y = disc(radius, even=even).T + radius
    mask[y, x] = True
    return mask


def map_image(
    grid: Grid,
    wall: np.ndarray | jax.Array,
    cell: jax.Array,
    present: jax.Array,
    hp: jax.Array,
    channel: np.ndarray,
    channels: int,
) -> jax.Array:
    """Returns the map as one group sees it, minimaps left empty: [stride, stride * C] f32.

    Args:
      grid: static.
      wall: [stride, stride] bool.
      cell: [M] int32, cell indices; a body of several cells has a row for each.
      present: [M] bool.
      hp: [M] f32, as a fraction of the maximum.
      channel: [M] int32, static, from `channels_of`.
      channels: C, static.
    """
    blank = jnp.asarray(wall, jnp.float32).reshape(-1, 1)
    blank = jnp.pad(blank, ((0, 0), (0, channels - 1))).reshape(-1)
    place = jnp.where(present, cell * channels + channel, blank.size)
    place = jnp.concatenate([place, place + 1])
    value = jnp.concatenate([jnp.ones_like(hp), hp])
    return blank.at[place].set(value, mode="drop").reshape(grid.stride, -1)


class Minimap(NamedTuple):
    """The minimaps of an observing group, and where its members are on them."""

    image: jax.Array  # [V, V * C] f32, zero but in the minimap channels
    own_bin: jax.Array  # [n] int32


def bin_of(position: jax.Array, map_size: int, bins: int) -> jax.Array:
    """Returns the bin [...] int32 in 0..bins^2 - 1 of positions [..., 2] int32 (x, y)."""
    width = -(-map_size // bins)
    return position[..., 1] // width * bins + position[..., 0] // width


def minimap_image(
    place: jax.Array,
    listed: jax.Array,
    group: np.ndarray,
    channel: np.ndarray,
    bins: int,
    channels: int,
) -> jax.Array:
    """Returns the minimap channels of a view, the same for all observers: [V, V * C] f32.

    Args:
      place: [N] int32, everyone's bin, from `bin_of`.
      listed: [N] bool, who is counted.
      group: [N] int32, static.
      channel: [N] int32, static, from `channels_of`.
      bins: V, static.
      channels: C, static.
    """
    num_groups, weight = int(group.max()) + 1, listed.astype(jnp.float32)
    members = jnp.zeros(num_groups).at[group].add(weight)
    entry = jnp.where(listed, place * channels + channel + 2, bins * bins * channels)
    # A sum first and the share after, as they do: 1/3 + 1/3 + 1/3 would round differently.
    count = jnp.zeros(bins * bins * channels).at[entry].add(weight, mode="drop")
    of_group = np.ones(channels, np.int32)
    of_group[channel + 2] = group
    size = jnp.maximum(members, 1)[of_group]
    return (count.reshape(-1, channels) / size).reshape(bins, bins * channels)


def views(
    image: jax.Array,
    corner: jax.Array,
    mask: np.ndarray,
    visible: jax.Array,
    minimap: Minimap | None = None,
) -> jax.Array:
    """Returns what agents of a group see: [n, V, V, C] f32, zero for those not `visible`.

    Args:
      image: [stride, stride * C] f32, from `map_image`.
      corner: [n, 2] int32 (x, y), the window's upper left cell, counted with the margin.
      mask: [V, V] bool, static, which cells of the window are seen.
      visible: [n] bool, who gets a view.
      minimap: what is added to it, if anything.
    """
    size, channels = len(mask), image.shape[1] // image.shape[0]
    cut = jnp.asarray(np.repeat(mask, channels, 1).astype(np.float32))

    def window(corner):
        return lax.dynamic_slice(image, (corner[1], corner[0] * channels), cut.shape)

    def rows():
        view = jax.vmap(window)(corner) * cut
        if minimap is not None:
            here = minimap.own_bin[:, None, None] == _bin_of_entry(size, channels)
            view = view + minimap.image + here
        return jnp.where(visible[:, None, None], view, 0.0)

    return apart(rows).reshape(-1, size, size, channels)


def _bin_of_entry(size: int, channels: int) -> np.ndarray:
    # The bin that an entry of a row of views shows, -1 outside the minimap channels.
    bins = np.full((size * size, channels), -1, np.int32)
    bins[:, 3::3] = np.arange(size * size)[:, None]
    return bins.reshape(size, size * channels)


def apart(compute: Callable[[], jax.Array]) -> jax.Array:
    """Returns `compute()`, kept from being fused with what follows on a CPU.

    XLA's CPU backend would fuse a reshape of views into the loop that writes them, and its index
    arithmetic makes that loop three times slower. It does not fuse across a branch; the barrier
    keeps it from seeing that this one is always taken.
    """

    def branch():
        blank = jax.eval_shape(compute)
        always = lax.optimization_barrier(True)
        return lax.cond(always, compute, lambda: jnp.zeros(blank.shape, blank.dtype))

    return lax.platform_dependent(cpu=branch, default=compute)


def features(
    identity: jax.Array,
    last_action: jax.Array,
    last_reward: jax.Array,
    visible: jax.Array,
    id_bits: int,
    num_actions: int,
    place: jax.Array | None = None,
) -> jax.Array:
    """Returns what agents know of themselves: [n, F] f32, zero for those not `visible`.

    In this order: the low `id_bits` bits of the identity, least significant first; the last action
    as one-hot, all zero before the first; the last reward; the place if given.

    Args:
      identity: [n] int32 >= 0.
      last_action: [n] int32, -1 before the first.
      last_reward: [n] f32.
      visible: [n] bool.
      id_bits: static.
      num_actions: static; F = id_bits + num_actions + 1, and 2 more with a place.
      place: [n, 2] f32, x and y over the map's size; None to leave it out.
    """
    parts = [
        identity[:, None] >> jnp.arange(id_bits) & 1,
        last_action[:, None] == jnp.arange(num_actions),
        last_reward[:, None],
    ]
    if place is not None:
        parts.append(place)
    row = jnp.concatenate([part.astype(jnp.float32) for part in parts], 1)
    return jnp.where(visible[:, None], row, 0.0)


def overview(
    place: jax.Array, alive: jax.Array, hp: jax.Array, group: np.ndarray, bins: int
) -> jax.Array:
    """Returns the whole map for a central critic, an image [V, V, 2 G] as [V * V * 2 * G] f32.

    Of each bin the living of each group over the group's size, then the same weighted by hp.

    Args:
      place: [N] int32, everyone's bin, from `bin_of`.
      alive: [N] bool.
      hp: [N] f32, as a fraction of the maximum; 0 for the dead.
      group: [N] int32, static.
      bins: V, static.
    """
    sizes = np.bincount(group)
    share = 1 / sizes[group].astype(np.float32)
    layer = place * (2 * len(sizes)) + group
    layers = jnp.concatenate([layer, layer + len(sizes)])
    weights = jnp.concatenate([alive * share, hp * share])
    return jnp.zeros(bins * bins * 2 * len(sizes)).at[layers].add(weights)
