"""What worlds on a small board share: cells and numbers, pairs of cells, moves, and a picture.

Cells are counted row by row from the top left, `row * columns + column`, and directions are those
of a map: north is up, towards row 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxmarl_core.envs import drawing
from jaxmarl_core.spaces import Discrete

NORTH, SOUTH, EAST, WEST, STAND = range(5)
DIRECTIONS = ("north", "south", "east", "west", "stand")
FOUR_MOVES, FIVE_MOVES = Discrete(4, DIRECTIONS[:4]), Discrete(5, DIRECTIONS)

Index = TypeVar("Index", int, np.ndarray, jax.Array)  # on the host, or traced

SIDE = 48  # pixels of a cell
HEADER = 30  # pixels above the board, for words


def neighbour(
    cell: jax.Array, direction: jax.Array, rows: int, columns: int
) -> tuple[jax.Array, jax.Array]:
    """Returns the cell one step away, and whether that is on the board; if not, the cell itself.

    Args:
      cell: [...] int32.
      direction: [...] int32 in 0..4: north, south, east, west, stand.
    """
    # Sums of comparisons and no look-up: under vmap a table would become a gather.
    row = cell // columns + (direction == SOUTH) - (direction == NORTH)
    column = cell % columns + (direction == EAST) - (direction == WEST)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return jnp.where(inside, row * columns + column, cell), inside


def encode_pair(first: Index, second: Index, num_cells: int) -> Index:
    """Returns the number of two different cells, in 0 ... num_cells (num_cells - 1) - 1."""
    return first * (num_cells - 1) + second - (second > first)


def decode_pair(index: Index, num_cells: int) -> tuple[Index, Index]:
    """Returns the two different cells that a number stands for; the inverse of `encode_pair`."""
    first, second = index // (num_cells - 1), index % (num_cells - 1)
    return first, second + (second >= first)


def as_tuples(cells: Iterable[Sequence[int]]) -> Any:
    """Returns cells as tuples of tuples, which hash, whatever sequences they were given as."""
    return tuple(tuple(cell) for cell in cells)


def start_among(states: np.ndarray, num_states: int) -> jax.Array:
    """Returns the distribution that `draw_among` draws from, [num_states] f32."""
    chance = np.zeros(num_states, np.float32)
    chance[states] = 1 / len(states)
    return jnp.asarray(chance)


def draw_among(key: jax.Array, states: np.ndarray) -> jax.Array:
    """Returns one of the state numbers [n], each as likely as the others."""
    if len(states) == 1:
        return jnp.int32(states[0])
    return jnp.asarray(states, jnp.int32)[jax.random.randint(key, (), 0, len(states))]


def place_features(cell: jax.Array, rows: int, columns: int) -> jax.Array:
    """Returns a cell's row and column, each one-hot: [rows + columns] f32."""
    row, column = jnp.arange(rows) == cell // columns, jnp.arange(columns) == cell % columns
    return jnp.concatenate([row, column]).astype(jnp.float32)


def centre(cell: ArrayLike, columns: int) -> jax.Array:
    """Returns where in a `picture` the middle of a cell is, [2] f32."""
    x = (jnp.asarray(cell) % columns + 0.5) * SIDE
    y = (jnp.asarray(cell) // columns + 0.5) * SIDE + HEADER
    return jnp.stack([x, y]).astype(jnp.float32)


def picture(
    rows: int, columns: int, colours: Mapping[int, Sequence[float]] | None = None
) -> jax.Array:
    """Returns an empty board under a strip for words, [H, W, 3] f32; some cells coloured."""
    ground = np.full((rows * columns, 3), drawing.PAPER, np.float32)
    for cell, colour in (colours or {}).items():
        ground[cell] = colour
    board = drawing.cells(ground.reshape(rows, columns, 3), SIDE)
    return jnp.concatenate([drawing.canvas(HEADER, board.shape[1]), board])


def piece(image: jax.Array, place: jax.Array, label: str, colour: drawing.Colour) -> jax.Array:
    """Returns the image with a labelled counter at `place` [2] in pixels."""
    image = drawing.disc(image, place, 0.32 * SIDE, colour)
    return drawing.write(image, label, place, drawing.PAPER, 16)


def tinted(colour: Sequence[float], strength: float = 0.3) -> tuple[float, ...]:
    """Returns a pale shade of a colour, for a cell's ground."""
    return tuple(p + strength * (c - p) for p, c in zip(drawing.PAPER, colour))


def caption(image: jax.Array, words: Sequence[tuple]) -> jax.Array:
    """Returns the image with words and numbers in its strip, evenly spread.

    Args:
      words: from left to right (text, colour), (text, colour, [] bool whether it shows), or
        ([] int32, colour).
    """
    width = image.shape[1] / len(words)
    for i, (word, colour, *shown) in enumerate(words):
        place = ((i + 0.5) * width, HEADER / 2)
        if isinstance(word, str):
            image = drawing.write(image, word, place, colour, 13, *shown)
        else:
            image = drawing.write_number(image, word, place, colour, 13)
    return image
