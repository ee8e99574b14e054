"""Frames into pictures: an animated GIF, and the PNG sprite sheets that a report plays."""

import io
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxmarl_core.errors import require
from jaxmarl_core.store import atomic


class Replay(NamedTuple):
    """An episode to look at."""

    frames: np.ndarray  # [T, H, W, 3] uint8
    caption: str = ""
    texts: Sequence[str] = ()  # [T], a line beside each frame, such as the score; or empty
    frames_per_second: float = 10.0


class Sheet(NamedTuple):
    """A picture that holds frames in rows, from left to right, then down."""

    png: bytes
    num_columns: int
    num_frames: int


def check_frames(frames: np.ndarray) -> None:
    """Raises ValueError unless `frames` is uint8 [T, H, W, 3] with at least one pixel."""
    frames = np.asarray(frames)
    fits = frames.ndim == 4 and frames.shape[-1] == 3 and frames.dtype == np.uint8 and frames.size
    require(bool(fits), "frames", "uint8 [T, H, W, 3]", f"{frames.dtype} {list(frames.shape)}")


def sprite_sheets(frames: np.ndarray, max_side: int = 4096) -> list[Sheet]:
    """Returns all frames, without loss, on as few PNG sheets as hold them.

    Args:
      frames: [T, H, W, 3] uint8.
      max_side: pixels; the longest side of a sheet. Browsers draw 4096 everywhere.

    Raises:
      ValueError: wrong frames, or a frame larger than a sheet.
    """
    check_frames(frames)
    num_frames, height, width, _ = frames.shape
    require(max(height, width) <= max_side, "frames", f"sides up to {max_side}", (height, width))
    most_columns, most_rows = max_side // width, max_side // height
    capacity = most_columns * most_rows
    sheets = []
    for start in range(0, num_frames, capacity):
        chunk = frames[start : start + capacity]
        square = math.ceil(math.sqrt(len(chunk) * height / width))  # columns of a square sheet
        num_columns = min(most_columns, max(square, math.ceil(len(chunk) / most_rows)))
        sheets.append(Sheet(_png(_tile(chunk, num_columns)), num_columns, len(chunk)))
    return sheets


def _tile(frames: np.ndarray, num_columns: int) -> np.ndarray:
    num_frames, height, width, _ = frames.shape
    num_rows = math.ceil(num_frames / num_columns)
    cells = np.zeros((num_rows * num_columns, height, width, 3), np.uint8)
    cells[:num_frames] = frames
    cells = cells.reshape(num_rows, num_columns, height, width, 3).swapaxes(1, 2)
    return cells.reshape(num_rows * height, num_columns * width, 3)


def _png(pixels: np.ndarray) -> bytes:
    """Returns a PNG; with a palette where the colours allow, which is a third of the size."""
    found = _palette(pixels)
    image = Image.fromarray(pixels) if found is None else _indexed(*found)
    data = io.BytesIO()
    image.save(data, format="PNG", optimize=True)
    return data.getvalue()


def gif(frames: np.ndarray, frames_per_second: float = 10.0) -> bytes:
    """Returns an animated GIF that loops for ever.

    Exact with up to 256 colours over all frames; beyond, each frame is reduced to its own 256.
    A frame equal to the one before is not stored again: that one stays on for longer.

    Args:
      frames: [T, H, W, 3] uint8.
      frames_per_second: in (0, 50]; GIF counts hundredths of a second, browsers slow down 1 / 100.
    """
    check_frames(frames)
    require(0 < frames_per_second <= 50, "frames_per_second", "in (0, 50]", frames_per_second)
    found = _palette(frames)
    if found is None:
        images = [Image.fromarray(frame).quantize(256) for frame in frames]
    else:
        index, palette = found
        images = [_indexed(frame, palette) for frame in index]
    data = io.BytesIO()
    images[0].save(
        data,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=10 * round(100 / frames_per_second),
        loop=0,
        disposal=1,
    )
    return data.getvalue()


def write_gif(path: str | os.PathLike, frames: np.ndarray, frames_per_second: float = 10.0) -> None:
    """Writes `gif(frames, frames_per_second)` to a file."""
    atomic.write(path, gif(frames, frames_per_second))


def _palette(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns each pixel's index [...] and the colours [C, 3]; None if C is over 256."""
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    packed = (red << 16) | (green << 8) | blue
    is_used = np.zeros(1 << 24, bool)
    is_used[packed] = True
    colours = np.flatnonzero(is_used)
    if len(colours) > 256:
        return None
    index = np.searchsorted(colours, packed).astype(np.uint8)
    palette = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], -1)
    return index, palette.astype(np.uint8)


def _indexed(index: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())  # a grey picture turns into one with a palette
    return image
