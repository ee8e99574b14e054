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
from jaxmarl_core.envs.mean_field.battle.grid import VIEW_RADIUS, cell_of, stride_of

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


def bin_counts(position: jax.Array, weight: jax.Array, map_size: int) -> jax.Array:
    """Returns the sum of `weight` [n] f32 in every minimap bin: [169] f32."""
    return jnp.zeros(VIEW * VIEW).at[bin_of(position, map_size)].add(weight, mode="drop")


def team_image(
    own: tuple[jax.Array, jax.Array, jax.Array],
    enemy: tuple[jax.Array, jax.Array, jax.Array],
    wall: np.ndarray,
    map_size: int,
    minimap: bool,
) -> jax.Array:
    """Returns the map as one team sees it: [stride, stride * C] f32, minimap channels empty.

    Args:
      own: position [n, 2] int32, alive [n] bool and hp fraction [n] f32 of the team.
      enemy: the same of the other team.
      wall: [stride, stride] bool, static.
      map_size: static.
      minimap: static.
    """
    channels = num_channels(minimap)
    blank = np.zeros((wall.size, channels), np.float32)
    blank[:, 0] = wall.reshape(-1)
    places, values = [], []
    for channel, (position, alive, hp) in ((1, own), (1 + channels // 2, enemy)):
        place = cell_of(position, map_size) * channels + channel
        place = jnp.where(alive, place, blank.size)
        places += [place, place + 1]
        values += [jnp.ones_like(hp), hp]
    image = jnp.asarray(blank.reshape(-1))
    image = image.at[jnp.concatenate(places)].set(jnp.concatenate(values), mode="drop")
    return image.reshape(stride_of(map_size), -1)


def views(
    image: jax.Array,
    position: jax.Array,
    visible: jax.Array,
    shares: tuple[jax.Array, jax.Array] | None,
    map_size: int,
) -> jax.Array:
    """Returns the views of a team: [n, 13, 13, C] f32, zero for those not `visible`.

    Args:
      image: [stride, stride * C] f32, from `team_image`.
      position: [n, 2] int32 (x, y).
      visible: [n] bool, who gets a view.
      shares: own and enemy minimap, [169] f32 each; None without minimap.
      map_size: static.
    """
    channels = num_channels(shares is not None)
    size = (VIEW, VIEW * channels)

    def window(x, y):
        return lax.dynamic_slice(image, (y, x * channels), size)

    seen = jax.vmap(window)(position[:, 0], position[:, 1])  # [n, 13, 13 * C]
    disc = np.repeat(DISC, channels, 1)
    view = jnp.where(disc & visible[:, None, None], seen, 0.0)
    if shares is not None:
        nothing = jnp.zeros_like(shares[0])
        layers = [nothing] * channels
        layers[3], layers[6] = shares
        everywhere = lax.optimization_barrier(jnp.stack(layers, -1).reshape(size))
        bins = np.full((VIEW * VIEW, channels), -1, np.int32)
        bins[:, [3, 6]] = np.arange(VIEW * VIEW)[:, None]
        here = bins.reshape(size) == bin_of(position, map_size)[:, None, None]
        overview = everywhere + here.astype(jnp.float32)
        view = view + jnp.where(visible[:, None, None], overview, 0.0)
    return view.reshape(-1, VIEW, VIEW, channels)


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
