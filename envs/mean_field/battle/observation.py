"""What a soldier sees: a window of the map around it, a minimap, and facts about itself.

The view of an agent is a window of 13 x 13 cells centred on it, filled within distance 6. Its
channels, with "own" and "enemy" relative to the observer:

    0 wall, 1 own present, 2 own hp, [3 own minimap,] enemy present, enemy hp, [enemy minimap]

Hp is a fraction of the maximum. The minimap bins the whole map, ceil(map_size / 13) cells to a
bin, into the share of a team's members that are there; it is not centred on the observer, whose
own bin is raised by 1 in both minimap channels instead.

The window is cut from one image of the map per team, which holds all channels of a cell side by
side, so that a row of the window is one contiguous read and a view is written once.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.battle.actions import NUM_ACTIONS
from jaxmarl_core.envs.mean_field.battle.grid import VIEW_RADIUS
from jaxmarl_core.envs.mean_field.magent.observation import apart

VIEW = 2 * VIEW_RADIUS + 1  # cells along a side of the view, and bins along one of the minimap
_SPAN = np.arange(VIEW) - VIEW_RADIUS
DISC = _SPAN[:, None] ** 2 + _SPAN**2 <= VIEW_RADIUS**2  # [13, 13] bool


def num_channels(minimap: bool) -> int:
    """Returns the number of channels of a view."""
    return 7 if minimap else 5


def bin_of(position: jax.Array, map_size: int) -> jax.Array:
    """Returns the minimap bin [...] int32 in 0..168 of positions [..., 2] int32 (x, y)."""
    width = -(-map_size // VIEW)
    return position[..., 1] // width * VIEW + position[..., 0] // width


def bin_sums(bins: jax.Array, weight: jax.Array, num_bins: int) -> jax.Array:
    """Returns the sum of `weight` [N] f32 in each of `num_bins` bins: [num_bins] f32."""
    return jnp.zeros(num_bins).at[bins].add(weight)


def team_images(
    cell: jax.Array,
    alive: jax.Array,
    hp: jax.Array,
    num_red: int,
    wall: np.ndarray,
    minimap: bool,
) -> jax.Array:
    """Returns the map as red sees it, and below as blue does: [2 stride, stride * C] f32.

    Minimap channels are left empty.

    Args:
      cell: [N] int32, cell indices, red first.
      alive: [N] bool.
      hp: [N] f32, as a fraction of the maximum.
      num_red: static.
      wall: [stride, stride] bool, static.
      minimap: static.
    """
    channels = num_channels(minimap)
    blank = np.zeros((2, wall.size, channels), np.float32)
    blank[:, :, 0] = wall.reshape(-1)
    is_red = np.arange(cell.shape[0]) < num_red
    own, enemy = 1, 1 + channels // 2
    seen_by_red = cell * channels + np.where(is_red, own, enemy)
    seen_by_blue = (cell + wall.size) * channels + np.where(is_red, enemy, own)
    place = jnp.concatenate([seen_by_red, seen_by_red + 1, seen_by_blue, seen_by_blue + 1])
    place = jnp.where(jnp.tile(alive, 4), place, blank.size)
    value = jnp.concatenate([jnp.ones_like(hp), hp] * 2)
    images = jnp.asarray(blank.reshape(-1)).at[place].set(value, mode="drop")
    return images.reshape(2 * wall.shape[0], -1)


def minimap_image(bins: jax.Array, is_own: np.ndarray, share: jax.Array) -> jax.Array:
    """Returns the minimap channels of a view, the same for all observers: [13, 13 * 7] f32.

    Args:
      bins: [N] int32, everyone's bin.
      is_own: [N] bool, static: whose share goes to the own channel, the rest to the enemy's.
      share: [N] f32, the share of its team's members in everyone's bin.
    """
    # Members of one bin write the same number: a share is divided once per agent, not per cell.
    blank = jnp.zeros(VIEW * VIEW * 7)
    return blank.at[bins * 7 + np.where(is_own, 3, 6)].set(share).reshape(VIEW, VIEW * 7)


def views(
    images: jax.Array,
    team: int,
    position: jax.Array,
    visible: jax.Array,
    minimap: jax.Array | None,
    map_size: int,
) -> jax.Array:
    """Returns the views of a team: [n, 13, 13, C] f32, zero for those not `visible`.

    Args:
      images: [2 stride, stride * C] f32, from `team_images`.
      team: 0 for red, 1 for blue, static.
      position: [n, 2] int32 (x, y).
      visible: [n] bool, who gets a view.
      minimap: [13, 13 * 7] f32, from `minimap_image`, or None.
      map_size: static.
    """
    channels = num_channels(minimap is not None)
    top = team * images.shape[0] // 2
    disc = jnp.asarray(np.repeat(DISC, channels, 1).astype(np.float32))

    def window(x, y):
        return lax.dynamic_slice(images, (top + y, x * channels), disc.shape)

    def rows():
        view = jax.vmap(window)(position[:, 0], position[:, 1]) * disc  # [n, 13, 13 * C]
        if minimap is not None:
            here = bin_of(position, map_size)[:, None, None] == _BIN_OF_ENTRY
            view = view + minimap + here
        return jnp.where(visible[:, None, None], view, 0.0)

    return apart(rows).reshape(-1, VIEW, VIEW, channels)


# The bin that an entry of a row of views shows, -1 outside the minimap channels.
_BIN_OF_ENTRY = np.full((VIEW * VIEW, 7), -1, np.int32)
_BIN_OF_ENTRY[:, [3, 6]] = np.arange(VIEW * VIEW)[:, None]
_BIN_OF_ENTRY = _BIN_OF_ENTRY.reshape(VIEW, VIEW * 7)


def features(
    identity: jax.Array,
    last_action: jax.Array,
    last_reward: jax.Array,
    position: jax.Array,
    visible: jax.Array,
    id_bits: int,
    minimap: bool,
    map_size: int,
) -> jax.Array:
    """Returns what agents know of themselves: [n, F] f32, zero for those not `visible`.

    In this order: the low `id_bits` bits of the identity, least significant first; the last action
    as one-hot, all zero before the first; the last reward; with a minimap x and y over map_size.

    Args:
      identity: [n] int32 >= 0.
      last_action: [n] int32, -1 before the first.
      last_reward: [n] f32.
      position: [n, 2] int32 (x, y).
      visible: [n] bool.
      id_bits: static; F = id_bits + 22, and 2 more with a minimap.
      minimap: static.
      map_size: static.
    """
    parts = [
        identity[:, None] >> jnp.arange(id_bits) & 1,
        last_action[:, None] == jnp.arange(NUM_ACTIONS),
        last_reward[:, None],
    ]
    if minimap:
        parts.append(position / map_size)
    row = jnp.concatenate([part.astype(jnp.float32) for part in parts], 1)
    return jnp.where(visible[:, None], row, 0.0)
