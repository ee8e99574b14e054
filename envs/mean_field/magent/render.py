"""Pictures of MAgent's games: the map, and a strip above it that says who is left."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.mean_field.magent.grid import Grid

FLOOR, WALL = (245, 245, 240), (70, 70, 75)
STRIP = 24  # pixels


class Figure(NamedTuple):
    """How the members of a group are drawn: static."""

    name: str
    colour: tuple[int, int, int]
    shape: str  # "square" or "diamond"


def _mask(shape: str, pixels: int) -> np.ndarray:
    if shape == "square":
        return np.ones((pixels, pixels), bool)
    off = np.abs(np.arange(pixels) - (pixels - 1) / 2)
    return off[:, None] + off <= pixels / 2


def render(
    grid: Grid,
    wall: np.ndarray | jax.Array,
    cell: jax.Array,
    present: jax.Array,
    strength: jax.Array,
    group: np.ndarray,
    figures: Sequence[Figure],
    counts: jax.Array,
    time: jax.Array,
) -> jax.Array:
    """Returns an image [H, W, 3] uint8: walls dark, agents paler the less strength is left.

    Args:
      grid: static.
      wall: [stride, stride] bool.
      cell: [M] int32, cell indices; a body of several cells has a row for each.
      present: [M] bool.
      strength: [M] f32 in [0, 1], hp as a fraction.
      group: [M] int32, static, an index of `figures`.
      figures: static.
      counts: [G] int32, what the strip says of each group.
      time: [] int32, steps played.
    """
    pixels = max(3, -(-320 // grid.size))
    colours = jnp.array([figure.colour for figure in figures], jnp.float32)
    strength = 0.35 + 0.65 * jnp.clip(strength, 0, 1)[:, None]
    paint = strength * colours[group] + (1 - strength) * jnp.array(FLOOR)
    where = jnp.where(present, cell, grid.stride**2)
    walls = jnp.asarray(wall).reshape(-1, 1)
    ground = jnp.where(walls, jnp.array(WALL), jnp.array(FLOOR)).astype(jnp.float32)
    top = ground.at[where].set(paint, mode="drop")
    shape = jnp.zeros(grid.stride**2, jnp.int32).at[where].set(group, mode="drop")

    ground, top, shape = (
        _enlarged(layer.reshape(grid.stride, grid.stride, -1)[grid.inner], pixels)
        for layer in (ground, top, shape)
    )
    masks = np.stack([_mask(figure.shape, pixels) for figure in figures])
    row, column = np.indices(ground.shape[:2]) % pixels
    covered = jnp.asarray(masks)[shape[..., 0], row, column]
    picture = jnp.where(covered[..., None], top, ground)
    strip = _strip(picture.shape[1], figures, counts, time)
    return drawing.finish(jnp.concatenate([strip, picture]))


def _enlarged(layer: jax.Array, pixels: int) -> jax.Array:
    return jnp.repeat(jnp.repeat(layer, pixels, 0), pixels, 1)


def _strip(width: int, figures: Sequence[Figure], counts: jax.Array, time: jax.Array) -> jax.Array:
    image = drawing.canvas(STRIP, width)
    share = (width - 36) / len(figures)  # of the strip, for each group
    for i, figure in enumerate(figures):
        side = 9
        mask = np.zeros((STRIP, width), np.float32)
        left, top = int(i * share) + 6, (STRIP - side) // 2
        mask[top : top + side, left : left + side] = _mask(figure.shape, side)
        image = drawing.paint(image, jnp.asarray(mask), figure.colour)
        image = drawing.write_number(image, counts[i], (left + 22, STRIP / 2), size=11)
        image = drawing.write(
            image, figure.name, (left + 33 + 2.5 * len(figure.name), STRIP / 2), size=10
        )
    image = drawing.write(image, "t", (width - 34, STRIP / 2), size=11)
    return drawing.write_number(image, time, (width - 17, STRIP / 2), size=11)
