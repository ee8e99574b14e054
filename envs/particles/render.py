"""Pictures of particle worlds: the plane from above, and below it what is being said."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.drawing import BLUE, GOLD, GREEN, INK, PALE, RED

SIDE = 240  # pixels of the plane
ROW = 16  # pixels of a line of words
NAMES = 76  # pixels for the speakers' names
GROUND = (238, 236, 230)
SQUARE = (252, 251, 249)
GREY = (150, 154, 158)
LEAF = (150, 200, 140)
TEAM_COLOURS = (BLUE, RED)
COLOURS = (RED, GREEN, (64, 150, 190), GOLD, (130, 92, 168), (140, 104, 72))  # of kinds of things


Values = jax.Array | np.ndarray


class Picture(NamedTuple):
    """How a scenario wants its world drawn; colours [., 3] in 0..255."""

    agent: Values  # [N, 3]
    landmark: Values  # [L, 3]
    shown: Values  # [L] opacity
    goal: Values  # [L] opacity of a golden ring
    load: Values  # [N, 3] colour of what an agent carries
    loaded: Values  # [N] opacity of it
    target: Values  # [., 2] places to be taken
    links: tuple[Values, Values]  # [., 2] both: lines from agents to what they are to reach


def picture(roles: tuple, bodies: Any, **changes) -> Picture:
    """Returns teams in their colours, dark obstacles, grey landmarks; `changes` replaces fields."""
    sizes = [role.size for role in roles]
    num = sum(sizes)
    num_landmarks = len(bodies.radius) - num
    is_obstacle = np.arange(num_landmarks) < bodies.num_obstacles
    nowhere = np.zeros((0, 2))
    plain = Picture(
        agent=np.repeat([TEAM_COLOURS[role.team] for role in roles], sizes, axis=0),
        landmark=np.where(is_obstacle[:, None], INK, GREY),
        shown=np.ones(num_landmarks),
        goal=np.zeros(num_landmarks),
        load=np.zeros((num, 3)),
        loaded=np.zeros(num),
        target=nowhere,
        links=(nowhere, nowhere),
    )
    return plain._replace(**changes)


def draw(roles: tuple, bodies: Any, state: Any, picture: Picture) -> jax.Array:
    """Returns an image [H, 240, 3] uint8.

    The pale square is [-1, 1]^2, where worlds begin; the view widens to keep all agents in it.
    """
    speakers = [
        f"{role.name.rstrip('s')} {i + 1}" if role.size > 1 else role.name
        for role in roles
        for i in range(role.size * (role.num_words > 0))
    ]
    strip = ROW * len(speakers) + 6 * bool(speakers)
    num = len(state.position)
    reach = jnp.maximum(1.15, jnp.max(jnp.abs(state.position)) + 0.1)
    scale = SIDE / (2 * reach)
    pixel = lambda point: SIDE / 2 + point * scale * np.array([1, -1])

    image = drawing.canvas(SIDE, SIDE, GROUND)
    image = drawing.rectangle(image, pixel(np.array([-1, 1])), (2 * scale, 2 * scale), SQUARE)
    for i in range(len(state.landmark)):
        centre, radius = pixel(state.landmark[i]), bodies.radius[num + i] * scale
        image = drawing.disc(image, centre, radius, picture.landmark[i], picture.shown[i])
        image = drawing.ring(image, centre, radius + 4, GOLD, 2.5, picture.goal[i])
    for place in picture.target:
        image = drawing.ring(image, pixel(place), 5, GOLD, 1.5)
    for start, end in zip(*picture.links):
        image = drawing.segment(image, pixel(start), pixel(end), GOLD, 1.5, 0.8)
    for i in range(num):
        centre, radius = pixel(state.position[i]), bodies.radius[i] * scale
        image = drawing.disc(image, centre, radius, picture.agent[i], 0.85)
        image = drawing.ring(image, centre, radius, INK, 1.0, 0.6)
        image = drawing.disc(image, centre, 0.6 * radius, picture.load[i], picture.loaded[i])
    image = drawing.write_number(image, state.time, (SIDE - 16, 10), INK, 11)
    if speakers:
        image = jnp.concatenate([image, drawing.canvas(strip, SIDE, SQUARE)])
        image = _words(image, roles, state.message, speakers)
    return drawing.finish(image)


def _words(image: jax.Array, roles: tuple, message: jax.Array, speakers: list[str]) -> jax.Array:
    # One line for each speaker: its name and a box for each word, filled as far as it is said.
    speaks = np.repeat([role.num_words > 0 for role in roles], [role.size for role in roles])
    num_words = message.shape[-1]
    side = min(ROW - 4, (SIDE - NAMES - 8) // num_words - 2)
    for row, (name, i) in enumerate(zip(speakers, np.flatnonzero(speaks))):
        middle = SIDE + 3 + (row + 0.5) * ROW
        image = drawing.write(image, name, (NAMES / 2, middle), INK, 11)
        for word in range(num_words):
            corner = (NAMES + word * (side + 2), middle - side / 2)
            image = drawing.rectangle(image, corner, (side, side), PALE)
            image = drawing.rectangle(image, corner, (side, side), INK, message[i, word])
    return image
