"""What an agent observes: a window of the map around it, minimaps, and facts about itself.

The channels of a window are 0 wall, then for each group: present, hp as a fraction[, minimap].
Groups come in a circle that begins with the observer's own. A minimap bins the whole map into as
many bins a side as the window has cells, into the share of a group's members that are there; it is
not centred on the observer, whose own bin is raised by 1 in all minimaps instead.

The window is cut from one image that holds the map as each observing group sees it, one below the
other, and all channels of a cell side by side, so that a row of the window is one contiguous read
and a view is written once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.magent.chains import entries
from jaxmarl_core.envs.mean_field.magent.grid import Grid
from jaxmarl_core.functional.packing import packs


def num_channels(num_groups: int, minimap: bool) -> int:
    """Returns the number of channels of a view."""
    return 1 + num_groups * (3 if minimap else 2)


def channels_of(group: np.ndarray, observer: int, num_groups: int, minimap: bool) -> np.ndarray:
    """Returns the first channel of each agent's group [N] as the group `observer` sees it."""
    return 1 + (group - observer) % num_groups * (3 if minimap else 2)


def map_images(
    grid: Grid,
    wall: np.ndarray | jax.Array,
    cell: jax.Array,
    present: jax.Array,
    hp: jax.Array,
    channel: np.ndarray,
    channels: int,
) -> jax.Array:
    """Returns the map as each of G groups sees it, minimaps left empty: [G stride, stride * C] f32.

    Args:
      grid: static.
      wall: [stride, stride] bool.
      cell: [M] int32, cell indices; a body of several cells has a row for each.
      present: [M] bool.
      hp: [M] f32, as a fraction of the maximum.
      channel: [G, M] int32, static, from `channels_of` for each observing group.
      channels: C, static.
    """
    if packs():
        return _looked_up_images(grid, wall, cell, present, hp, channel, channels)
    observers, size = len(channel), grid.stride**2
    numpy = np if isinstance(wall, np.ndarray) else jnp  # a constant where walls never change
    blank = numpy.pad(wall.reshape(-1, 1).astype(np.float32), ((0, 0), (0, channels - 1)))
    blank = numpy.tile(blank.reshape(-1), observers)
    place = (cell + size * np.arange(observers)[:, None]) * channels + channel
    place = jnp.where(present, place, blank.size).reshape(-1)
    place = jnp.concatenate([place, place + 1])
    value = jnp.concatenate([jnp.ones(hp.size * observers, hp.dtype), jnp.tile(hp, observers)])
    image = jnp.asarray(blank).at[place].set(value.astype(jnp.float32), mode="drop")
    return image.reshape(observers * grid.stride, -1)


def _looked_up_images(
    grid: Grid,
    wall: np.ndarray | jax.Array,
    cell: jax.Array,
    present: jax.Array,
    hp: jax.Array,
    channel: np.ndarray,
    channels: int,
) -> jax.Array:
    """Returns what `map_images` does: each entry asks who stands there.

    On an accelerator that is no kernel of its own but a part of the one that cuts the views, and
    the map that is asked is the one that attacks and moves ask.
    """
    occupant = grid.occupancy(cell, present, jnp.arange(len(cell), dtype=jnp.int32))
    who = jnp.maximum(occupant, 0)
    strength = entries(hp.astype(jnp.float32), who)[:, None]
    own = np.arange(channels)
    images = []
    for of_observer in channel:
        first = jnp.where(occupant >= 0, entries(jnp.asarray(of_observer), who), -2)[:, None]
        image = jnp.where(own == first, 1.0, jnp.where(own == first + 1, strength, 0.0))
        images.append(jnp.where(own == 0, jnp.asarray(wall).reshape(-1, 1) * 1.0, image))
    return jnp.stack(images).astype(jnp.float32).reshape(len(channel) * grid.stride, -1)


class Minimap(NamedTuple):
    """The minimaps of an observing group, and where its members are on them."""

    image: jax.Array  # [V, V * C] f32, zero but in the minimap channels
    own_bin: jax.Array  # [n] int32


def bin_of(position: jax.Array, map_size: int, bins: int) -> jax.Array:
    """Returns the bin [...] int32 in 0..bins^2 - 1 of positions [..., 2] int32 (x, y)."""
    width = -(-map_size // bins)
    return position[..., 1] // width * bins + position[..., 0] // width


def bin_sums(place: jax.Array, weight: jax.Array | np.ndarray, num_bins: int) -> jax.Array:
    """Returns the sum of `weight` [N] f32 in each of `num_bins` bins: [num_bins] f32."""
    if packs():  # one pass, where adding to a row of zeros would be two and wait for each other
        found = jnp.where(place[:, None] == jnp.arange(num_bins), jnp.asarray(weight)[:, None], 0)
        return jnp.sum(found, 0, dtype=jnp.float32)
    return jnp.zeros(num_bins, jnp.float32).at[place].add(weight)


def shares(place: jax.Array, listed: jax.Array, group: np.ndarray, bins: int) -> jax.Array:
    """Returns the share of its members that each group has in each bin: [G, V * V] f32.

    Args:
      place: [N] int32, everyone's bin, from `bin_of`.
      listed: [N] bool, who is counted.
      group: [N] int32, static, sorted.
      bins: V, static.
    """
    weight, sizes = listed.astype(jnp.float32), np.bincount(group)
    of_group = place + bins * bins * group
    # A sum first and the share after, as they do: 1/3 + 1/3 + 1/3 would round differently.
    count = bin_sums(of_group, weight, bins * bins * len(sizes)).reshape(len(sizes), -1)
    members = jnp.stack([jnp.sum(part) for part in jnp.split(listed, np.cumsum(sizes)[:-1])])
    return count / jnp.maximum(members, 1)[:, None]


def minimap_image(share: jax.Array, channel: Sequence[int], bins: int, channels: int) -> jax.Array:
    """Returns the minimap channels of a view, the same for all observers: [V, V * C] f32.

    Args:
      share: [G, V * V] f32, from `shares`.
      channel: of each group its first one, static, from `channels_of`.
      bins: V, static.
      channels: C, static.
    """
    group_of = {first + 2: group for group, first in enumerate(channel)}
    none = jnp.zeros(bins * bins, jnp.float32)
    layers = [share[group_of[c]] if c in group_of else none for c in range(channels)]
    return jnp.stack(layers, -1).reshape(bins, bins * channels)


def views(
    images: jax.Array,
    top: int,
    corner: jax.Array,
    window: np.ndarray,
    channels: int,
    visible: jax.Array,
    minimap: Minimap | None = None,
) -> jax.Array:
    """Returns what agents of a group see: [n, V, V, C] f32, zero for those not `visible`.

    Args:
      images: [G stride, stride * C] f32, from `map_images`.
      top: static, the row at which the group's own image begins.
      corner: [n, 2] int32 (x, y), the window's upper left cell, counted with the margin.
      window: [V, V] bool, static, which cells of the window are seen.
      channels: C, static.
      visible: [n] bool, who gets a view.
      minimap: what is added to it, if anything.
    """
    size = len(window)
    mask = jnp.asarray(np.repeat(window, channels, 1).astype(np.float32))

    def cut(x, y):
        return lax.dynamic_slice(images, (top + y, x * channels), mask.shape)

    def cut_by_cell():
        # a TPU cuts blocks out one by one, in a loop; the rows of a table it looks up at once
        stride = images.shape[1] // channels
        first = (top + corner[:, 1]) * stride + corner[:, 0]
        across = (np.arange(size)[:, None] * stride + np.arange(size)).reshape(-1)
        cells = images.reshape(-1, channels).at[first[:, None] + across]
        found = cells.get(mode="promise_in_bounds", wrap_negative_indices=False)
        return found.reshape(-1, *mask.shape)

    def rows():
        blocks = cut_by_cell() if packs() else jax.vmap(cut)(corner[:, 0], corner[:, 1])
        view = blocks * mask  # [n, V, V * C]
        if minimap is not None:
            here = minimap.own_bin[:, None, None] == _bin_of_entry(size, channels)
            view = view + minimap.image + here
        return jnp.where(visible[:, None, None], view, 0.0)

    return unfused(rows).reshape(-1, size, size, channels)


def _bin_of_entry(size: int, channels: int) -> np.ndarray:
    # The bin that an entry of a row of views shows, -1 outside the minimap channels.
    bins = np.full((size * size, channels), -1, np.int32)
    bins[:, 3::3] = np.arange(size * size)[:, None]
    return bins.reshape(size, size * channels)


def unfused(compute: Callable[[], jax.Array]) -> jax.Array:
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
    place: jax.Array,
    layer: np.ndarray,
    num_layers: int,
    weight: jax.Array | np.ndarray,
    bins: int,
) -> jax.Array:
    """Returns the whole map for a central critic, an image [V, V, L] as [V * V * L] f32.

    Args:
      place: [K] int32, bins from `bin_of`.
      layer: [K] int32 in 0..L - 1, static: the channel of the image that is added to.
      num_layers: L, static.
      weight: [K] f32, what is added.
      bins: V, static.
    """
    return bin_sums(place * num_layers + layer, weight, bins * bins * num_layers)
