"""A picture of a differential game: where the state is and drifts, and who pushes it where."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs import drawing

SIDE, RIGHT, FOOT = 280, 130, 26
MIDDLE, LIMIT = SIDE / 2, 126.0  # pixels; at LIMIT from the middle is what left the plane shown
UPWARDS = np.array([1.0, -1.0], np.float32)  # the second state grows upwards, pixels downwards
STROKES = 11  # along a side


def render(
    game: Any, state: Any, reach: jax.Array, dt: float | jax.Array, bounds: tuple[float, ...]
) -> jax.Array:
    """Returns an image [H, W, 3] uint8 of the first two states and of all controls.

    Left, the phase plane from -reach to reach; pale strokes are the flow were all controls 0, with
    a dot at the end they lead to. The state is a disc, held at the border where it has left; from
    it an arrow for each player shows the velocity that its controls add, half a reach long where
    that is a reach per unit of time. Right, a bar per control, full at the player's bound, and one
    for each further state, full at the reach.
    """
    reach = jnp.maximum(reach, 1e-6)
    names, sizes = list(game.players), list(game.players.values())
    image = drawing.canvas(SIDE + FOOT, SIDE + RIGHT)
    if game.state_size >= 2:
        image = drawing.paint(image, _flow(game, state.x, reach, image.shape), drawing.INK, 0.3)
        image = drawing.arrow(image, (MIDDLE, SIDE - 8), (MIDDLE, 8), drawing.INK, 1.0, 0.4)
        image = drawing.write(image, "x2", (MIDDLE + 14, 12))
    image = drawing.arrow(image, (8, MIDDLE), (SIDE - 8, MIDDLE), drawing.INK, 1.0, 0.4)
    image = drawing.write(image, "x1", (SIDE - 14, MIDDLE + 12))

    place = MIDDLE + UPWARDS * jnp.clip(_plane(state.x) / reach * LIMIT, -LIMIT, LIMIT)
    alone = game.drift(state.x, jnp.zeros_like(state.control))
    y, first = 16, 0
    for i, (name, size) in enumerate(zip(names, sizes)):
        colour, own = drawing.PALETTE[i % len(drawing.PALETTE)], slice(first, first + size)
        pushing = jnp.zeros_like(state.control).at[own].set(state.control[own])
        push = _plane(game.drift(state.x, pushing) - alone) / reach * LIMIT / 2
        shown = jnp.max(jnp.abs(push)) > 1
        image = drawing.arrow(image, place, place + UPWARDS * push, colour, 2.5, shown)
        image = drawing.rectangle(image, (SIDE, y - 10), (RIGHT, 20), drawing.PAPER)
        image = drawing.write(image, name, (SIDE + RIGHT / 2, y), colour)
        for control in range(first, first + size):
            y += 16
            image = _bar(image, y, state.control[control], bounds[i], colour)
        y, first = y + 24, first + size
    for i in range(2, min(game.state_size, 8)):
        image = drawing.write(image, f"x{i + 1}", (SIDE + RIGHT / 2, y))
        image = _bar(image, y + 16, jnp.clip(state.x[i] / reach, -1, 1), 1.0, drawing.INK)
        y += 40
    image = drawing.disc(image, place, 5, drawing.INK)
    return drawing.finish(_clock(image, state.time * dt))


def _plane(x: jax.Array) -> jax.Array:
    """Returns the first two states [2], the second 0 where there is but one."""
    return jnp.pad(x, (0, max(0, 2 - x.shape[0])))[:2]


def _flow(game: Any, x: jax.Array, reach: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns the coverage [H, W] of strokes along the drift, other states as they are now."""
    side = SIDE / STROKES
    pixel_y, pixel_x = (axis.astype(np.float32) for axis in np.indices(shape[:2]) + 0.5)
    column, row = np.floor(pixel_x / side), np.floor(pixel_y / side)
    centre = (np.stack(np.meshgrid(np.arange(STROKES), np.arange(STROKES)), -1) + 0.5) * side
    at = (centre - MIDDLE) / LIMIT * UPWARDS * reach

    def direction(point):
        drift = game.drift(x.at[:2].set(point), jnp.zeros(sum(game.players.values())))[:2]
        return drift * UPWARDS / jnp.maximum(jnp.hypot(drift[0], drift[1]), 1e-6)

    along = jax.vmap(jax.vmap(direction))(at)
    inside = (column < STROKES) & (row < STROKES)
    cell = np.minimum(row, STROKES - 1).astype(int), np.minimum(column, STROKES - 1).astype(int)
    along, half = along[cell], 0.36 * side
    off = jnp.stack([pixel_x, pixel_y], -1) - jnp.asarray(centre, jnp.float32)[cell]
    share = jnp.clip(jnp.sum(off * along, -1, keepdims=True), -half, half)
    stroke = 0.6 - jnp.linalg.norm(off - share * along, axis=-1)
    dot = 2.2 - jnp.linalg.norm(off - half * along, axis=-1)
    return jnp.clip(jnp.maximum(stroke, dot) + 0.5, 0.0, 1.0) * inside


def _bar(image, y, control, bound, colour):
    """Returns the image with a control from the middle of its track, as a share of its bound."""
    half, middle = RIGHT / 2 - 12, SIDE + RIGHT / 2
    share = control / bound if np.isfinite(bound) else control / (1 + jnp.abs(control))
    length = jnp.abs(share) * half
    image = drawing.rectangle(image, (middle - half, y - 5), (2 * half, 10), drawing.PALE)
    image = drawing.rectangle(
        image, (middle + jnp.minimum(share, 0) * half, y - 5), (length, 10), colour
    )
    return drawing.segment(image, (middle, y - 7), (middle, y + 7), drawing.INK, 1.0)


def _clock(image, time):
    """Returns the image with the time to a tenth below the plane."""
    tenths = jnp.floor(time * 10 + 0.5).astype(jnp.int32)
    image = drawing.write(image, "time", (26, SIDE + 12))
    image = drawing.write_number(image, tenths // 10, (62, SIDE + 12))
    image = drawing.write(image, ".", (73, SIDE + 12))
    return drawing.write_number(image, tenths % 10, (80, SIDE + 12))
