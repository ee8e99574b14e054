"""Pictures of states, drawn with array operations so that a whole replay is one vmapped program.

An image is [H, W, 3] f32 in 0..255 until `finish` makes it uint8. Places are (x, y) in pixels from
the top left corner; edges are smoothed over one pixel.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = Sequence[float] | jax.Array  # [3] in 0..255
Opacity = float | jax.Array  # [] in [0, 1], or whether a thing shows

PAPER = (250, 249, 246)
INK = (52, 58, 64)
PALE = (222, 220, 213)
RED = (208, 72, 60)
BLUE = (58, 110, 184)
GREEN = (74, 150, 92)
GOLD = (224, 164, 48)
PURPLE = (130, 92, 168)
BROWN = (140, 104, 72)
PALETTE = (RED, BLUE, GREEN, GOLD, PURPLE, BROWN)  # tells players or kinds apart


def canvas(height: int, width: int, colour: Colour = PAPER) -> jax.Array:
    """Returns an empty image [H, W, 3] f32."""
    return jnp.broadcast_to(jnp.asarray(colour, jnp.float32), (height, width, 3))


def finish(image: jax.Array) -> jax.Array:
    """Returns the image as [H, W, 3] uint8."""
    return jnp.round(jnp.clip(image, 0, 255)).astype(jnp.uint8)


def paint(image: jax.Array, cover: jax.Array, colour: Colour, opacity: Opacity = 1.0):
    """Returns the image with `colour` laid over it where `cover` [H, W] in [0, 1] says."""
    cover = (cover * opacity)[..., None]
    return image + cover * (jnp.asarray(colour, jnp.float32) - image)


def _pixels(image: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(image.shape[:2]) + 0.5
    return x.astype(np.float32), y.astype(np.float32)


def _inside(distance: jax.Array) -> jax.Array:
    # From a signed distance in pixels, below 0 inside, to how much of a pixel is covered.
    return jnp.clip(0.5 - distance, 0.0, 1.0)


def disc(image, centre, radius, colour: Colour, opacity: Opacity = 1.0) -> jax.Array:
    """Returns the image with a filled circle; `centre` [2], `radius` [] in pixels."""
    x, y = _pixels(image)
    return paint(image, _inside(jnp.hypot(x - centre[0], y - centre[1]) - radius), colour, opacity)


def ring(image, centre, radius, colour: Colour, thickness=1.5, opacity: Opacity = 1.0) -> jax.Array:
    """Returns the image with the outline of a circle."""
    x, y = _pixels(image)
    off = jnp.abs(jnp.hypot(x - centre[0], y - centre[1]) - radius)
    return paint(image, _inside(off - thickness / 2), colour, opacity)


def rectangle(image, corner, size, colour: Colour, opacity: Opacity = 1.0) -> jax.Array:
    """Returns the image with a filled rectangle from `corner` (x, y), `size` (width, height)."""
    x, y = _pixels(image)
    off_x = jnp.abs(x - corner[0] - size[0] / 2) - size[0] / 2
    off_y = jnp.abs(y - corner[1] - size[1] / 2) - size[1] / 2
    return paint(image, _inside(jnp.maximum(off_x, off_y)), colour, opacity)


def segment(image, start, end, colour: Colour, thickness=1.5, opacity: Opacity = 1.0) -> jax.Array:
    """Returns the image with a line from `start` to `end`; nothing but a dot where they meet."""
    x, y = _pixels(image)
    along = jnp.asarray(end, jnp.float32) - jnp.asarray(start, jnp.float32)
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / jnp.maximum(
        jnp.sum(along**2), 1e-9
    )
    share = jnp.clip(share, 0.0, 1.0)
    off = jnp.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    return paint(image, _inside(off - thickness / 2), colour, opacity)


def arrow(image, start, end, colour: Colour, thickness=1.5, opacity: Opacity = 1.0) -> jax.Array:
    """Returns the image with an arrow; its head is a third of its length, up to 8 pixels."""
    start, end = jnp.asarray(start, jnp.float32), jnp.asarray(end, jnp.float32)
    along = end - start
    length = jnp.maximum(jnp.hypot(along[0], along[1]), 1e-6)
    back = -along / length * jnp.minimum(length / 3, 8.0)
    side = jnp.stack([-back[1], back[0]]) * 0.6
    image = segment(image, start, end, colour, thickness, opacity)
    image = segment(image, end, end + back + side, colour, thickness, opacity)
    return segment(image, end, end + back - side, colour, thickness, opacity)


def cells(
    colours: jax.Array | np.ndarray, side: int, gap: int = 1, line: Colour = PALE
) -> jax.Array:
    """Returns an image of a grid: `colours` [R, C, 3] as squares of `side` pixels, lines between.

    The image is [R side + gap, C side + gap, 3]; cell (r, c) begins at (c side + gap, r side +
    gap).
    """
    rows, columns = jnp.shape(colours)[:2]
    y, x = np.indices((rows * side + gap, columns * side + gap))
    on_line = (y % side < gap) | (x % side < gap)
    row, column = np.minimum(y // side, rows - 1), np.minimum(x // side, columns - 1)
    squares = jnp.asarray(colours, jnp.float32)[row, column]
    return jnp.where(on_line[..., None], jnp.asarray(line, jnp.float32), squares)


def write(
    image, text: str, place, colour: Colour = INK, size: int = 12, opacity: Opacity = 1.0
) -> jax.Array:
    """Returns the image with a word centred on `place` [2]; `text` is fixed, the place may move."""
    mask = _mask(text, size)
    height, width = mask.shape
    x, y = _pixels(image)
    column = jnp.floor(x - place[0] + width / 2).astype(jnp.int32)
    row = jnp.floor(y - place[1] + height / 2).astype(jnp.int32)
    within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    cover = jnp.asarray(mask)[row.clip(0, height - 1), column.clip(0, width - 1)]
    return paint(image, cover * within, colour, opacity)


def write_number(image, number, place, colour: Colour = INK, size: int = 12, digits: int = 4):
    """Returns the image with an integer centred on `place`; `number` [] may be traced.

    It is cut to `digits` decimal digits, with a minus where negative.
    """
    glyphs = [_mask(glyph, size) for glyph in "0123456789-"]
    height, width = max(g.shape[0] for g in glyphs), max(g.shape[1] for g in glyphs)
    font = np.stack(
        [np.pad(g, ((0, height - g.shape[0]), (0, width - g.shape[1]))) for g in glyphs]
    )
    number = jnp.asarray(number, jnp.int32)
    size_of = jnp.minimum(jnp.abs(number), 10**digits - 1)
    powers = 10 ** np.arange(digits)
    needed = jnp.maximum(jnp.sum(size_of >= powers), 1)
    total = needed + (number < 0)
    x, y = _pixels(image)
    column = jnp.floor(x - place[0] + total * width / 2).astype(jnp.int32)
    row = jnp.floor(y - place[1] + height / 2).astype(jnp.int32)
    slot = column // width  # from the left
    is_minus = (number < 0) & (slot == 0)
    power = jnp.asarray(powers)[(total - 1 - slot).clip(0, digits - 1)]
    glyph = jnp.where(is_minus, 10, size_of // power % 10)
    within = (row >= 0) & (row < height) & (column >= 0) & (slot < total)
    cover = jnp.asarray(font)[glyph, row.clip(0, height - 1), column % width]
    return paint(image, cover * within, colour)


def _mask(text: str, size: int) -> np.ndarray:
    # The word as coverage [H, W] f32, on the host: only its place is traced. All words of a size
    # are equally high, from the top of a capital to the foot of a g, so that a minus stays low.
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    top, bottom = draw.textbbox((0, 0), "H", font)[1], draw.textbbox((0, 0), "g", font)[3]
    left, _, right, _ = draw.textbbox((0, 0), text, font)
    image = Image.new("L", (max(1, int(right - left)) + 1, int(bottom - top) + 1))
    ImageDraw.Draw(image).text((-left, -top), text, 255, font)
    return np.asarray(image, np.float32) / 255
