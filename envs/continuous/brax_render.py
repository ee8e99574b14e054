"""A robot from the side: its limbs in the colours of their agents, the ground, the way it came."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs.continuous.bodies import Body
from jaxmarl_core.envs.drawing import (
    INK,
    PALE,
    PALETTE,
    canvas,
    finish,
    rectangle,
    segment,
    write,
    write_number,
)

HEIGHT, WIDTH = 220, 360
SCALE = 80  # pixels to a metre
GROUND = 190  # its height in the picture, pixels from the top
MARKS = 7  # metre marks in view


class Shape(NamedTuple):
    """A capsule or ball fixed to a part of the body."""

    part: int  # which link
    start: tuple[float, ...]  # [3] metres, in the link's frame
    end: tuple[float, ...]
    radius: float
    colour: tuple[int, ...]


def shapes_of(model: Any, body: Body, joints: tuple[tuple[int, ...], ...]) -> tuple[Shape, ...]:
    """Returns the shapes of a MuJoCo model, coloured by the agent that moves their part."""
    colour_of = {
        body.bodies[joint]: PALETTE[agent % len(PALETTE)]
        for agent, own in enumerate(joints)
        for joint in own
    }
    ball, capsule = 2, 3  # mjtGeom
    shapes = []
    for i in range(model.ngeom):
        part, kind = int(model.geom_bodyid[i]), int(model.geom_type[i])
        if part and kind in (ball, capsule):
            radius, half = model.geom_size[i][:2]
            _, x, y, z = model.geom_quat[i]
            w = model.geom_quat[i][0]
            axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
            along = axis * half * (kind == capsule)
            middle = np.asarray(model.geom_pos[i])
            start, end = (tuple(map(float, x)) for x in (middle - along, middle + along))
            shapes.append(Shape(part - 1, start, end, float(radius), colour_of.get(part, INK)))
    return tuple(shapes)


def render(shapes: tuple[Shape, ...], links: Any, time: jax.Array, reward: jax.Array) -> jax.Array:
    """Returns an image [H, W, 3] uint8 that follows the robot.

    The ground has a mark and a number every metre. Above: the distance in centimetres, the reward
    of the last step in hundredths, and the step.

    Args:
      shapes: of the robot.
      links: places and turns of its parts: `pos` [L, 3] in metres, `rot` [L, 4] quaternions.
      time: [] int32.
      reward: [] f32.
    """
    here = links.pos[0, 0]
    image = canvas(HEIGHT, WIDTH)
    image = rectangle(image, (0, GROUND), (WIDTH, HEIGHT - GROUND), PALE)
    metres = jnp.floor(here) + jnp.arange(MARKS) - MARKS // 2

    def mark(image, metre):
        x = WIDTH / 2 + SCALE * (metre - here)
        image = segment(image, (x, GROUND), (x, GROUND + 6), INK)
        return write_number(image, metre, (x, GROUND + 16)), None

    def limb(image, shape):
        start, end, radius, colour = shape
        return segment(image, start, end, colour, 2 * radius), None

    image, _ = jax.lax.scan(mark, image, metres)
    part = np.array([shape.part for shape in shapes])
    ends = [np.array([shape.start for shape in shapes]), np.array([shape.end for shape in shapes])]
    start, end = (_pixels(links, part, place, here) for place in ends)
    radius = np.array([SCALE * shape.radius for shape in shapes], np.float32)
    colour = np.array([shape.colour for shape in shapes], np.float32)
    image, _ = jax.lax.scan(limb, image, (start, end, radius, colour))
    for x, word, number, digits in (
        (40, "cm", here * 100, 6),
        (150, "reward %", reward * 100, 6),
        (290, "step", time, 5),
    ):
        image = write(image, word, (x, 12))
        image = write_number(image, jnp.round(number), (x, 28), digits=digits)
    return finish(image)


def _pixels(links: Any, part: np.ndarray, place: np.ndarray, here: jax.Array) -> jax.Array:
    """Returns points [K, 3] of the parts' frames as (x, y) in the picture, [K, 2]."""
    w, v = links.rot[part, :1], links.rot[part, 1:]
    twist = 2 * jnp.cross(v, place.astype(np.float32))
    world = links.pos[part] + place + w * twist + jnp.cross(v, twist)
    x = WIDTH / 2 + SCALE * (world[:, 0] - here)
    return jnp.stack([x, GROUND - SCALE * world[:, 2]], axis=-1)
