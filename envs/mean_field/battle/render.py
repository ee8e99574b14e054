"""A picture of the battle."""

import jax
import jax.numpy as jnp

from jaxmarl_core.envs.mean_field.battle.grid import MARGIN, Cells, cell_of, stride_of, wall_map

FLOOR, WALL = (245, 245, 240), (70, 70, 75)
COLOURS = ((214, 39, 40), (31, 119, 180))  # red, blue, at full hp


def render(
    state, max_hp: float, num_red: int, walls: Cells, map_size: int, pixels: int = 6
) -> jax.Array:
    """Returns an image [H, W, 3] uint8 of the map: walls dark, soldiers paler the less hp is left.

    Args:
      state: a `BattleState`.
      max_hp: [] f32, hp at full strength.
      num_red: how many of the agents are red, static.
      walls: cells (x, y) of walls besides the border, static.
      map_size: static.
      pixels: along a cell's side, 1 or more; H = W = pixels * map_size.
    """
    wall = wall_map(map_size, walls, True).reshape(-1)
    image = jnp.where(wall[:, None], jnp.array(WALL), jnp.array(FLOOR)).astype(jnp.float32)
    team = (jnp.arange(state.hp.shape[0]) >= num_red).astype(jnp.int32)
    strength = 0.3 + 0.7 * jnp.clip(state.hp / max_hp, 0, 1)[:, None]
    colour = strength * jnp.array(COLOURS)[team] + (1 - strength) * jnp.array(FLOOR)
    cell = jnp.where(state.alive, cell_of(state.position, map_size), image.shape[0])
    image = image.at[cell].set(colour, mode="drop").astype(jnp.uint8)
    image = image.reshape(stride_of(map_size), -1, 3)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return jnp.repeat(jnp.repeat(image, pixels, 0), pixels, 1)
