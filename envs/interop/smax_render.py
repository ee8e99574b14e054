"""The skirmish as a picture: units with their type and health, who shoots at whom, the time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.envs.drawing import (
    BLUE,
    INK,
    PALE,
    RED,
    canvas,
    disc,
    finish,
    rectangle,
    segment,
    write,
    write_number,
)

SCALE = 10  # pixels to a unit of length
STRIP = 24  # pixels above the map for the words


def render(world: Any, state: Any) -> jax.Array:
    """Returns an image [H, W, 3] uint8.

    Blue discs are allies, red ones enemies, their letter is the type (m marine, M marauder, s
    stalker, Z zealot, z zergling, h hydralisk), the bar above them their health; lines are shots.
    The fallen stay as pale dots. Above: how many stand on each side, and the step.

    Args:
      world: a jaxmarl SMAX.
      state: its state.
    """
    width, height = SCALE * world.map_width, SCALE * world.map_height
    image = canvas(STRIP + height, width)
    image = rectangle(image, (0, 0), (width, STRIP), PALE)
    ours = np.arange(world.num_agents) < world.num_allies
    colours = jnp.where(ours[:, None], jnp.array(BLUE, jnp.float32), jnp.array(RED, jnp.float32))
    place = state.unit_positions * SCALE
    place = jnp.stack([place[:, 0], STRIP + height - place[:, 1]], axis=-1)
    health = state.unit_health / world.unit_type_health[state.unit_types]
    target, shoots = _shots(world, state)

    def shot(image, unit):
        start, end, colour, opacity = unit
        return segment(image, start, end, colour, 1.5, 0.7 * opacity), None

    def body(image, unit):
        centre, radius, colour, alive, kind, share = unit
        image = disc(image, centre, 3.0, PALE, 1.0 - alive)
        image = disc(image, centre, radius, colour, alive)
        for index, letter in enumerate(world.unit_type_shorthands):
            image = write(image, letter, centre, (255, 255, 255), 10, alive * (kind == index))
        corner = centre - jnp.array([8.0, 1.0]) - jnp.array([0.0, 1.0]) * (radius + 4)
        image = rectangle(image, corner, (16.0, 3.0), PALE, alive)
        return rectangle(image, corner, (16.0 * share, 3.0), INK, alive), None

    # loops, not unrolled: up to 57 units are drawn by one small program
    image, _ = jax.lax.scan(shot, image, (place, place[target], colours, shoots * 1.0))
    radius = 1.5 * SCALE * world.unit_type_radiuses[state.unit_types]
    alive = state.unit_alive * 1.0
    image, _ = jax.lax.scan(body, image, (place, radius, colours, alive, state.unit_types, health))

    middle = STRIP / 2
    for word, x in (("allies", 30), ("enemies", 130), ("step", width - 76)):
        image = write(image, word, (x, middle))
    standing = state.unit_alive.astype(jnp.int32)
    image = write_number(image, standing[: world.num_allies].sum(), (64, middle), BLUE, digits=2)
    image = write_number(image, standing[world.num_allies :].sum(), (172, middle), RED, digits=2)
    return finish(write_number(image, state.step, (width - 40, middle)))


def _shots(world: Any, state: Any) -> tuple[jax.Array, jax.Array]:
    """Returns whom each unit aimed at in the last step, [N] int32, and whether it did, [N] bool."""
    unit = jnp.arange(world.num_agents)
    aim = state.prev_attack_actions - world.num_movement_actions
    ally = unit < world.num_allies
    target = jnp.where(ally, world.num_allies + aim, world.num_allies - 1 - aim)
    target = jnp.where(aim >= 0, target, unit)
    away = jnp.linalg.norm(state.unit_positions - state.unit_positions[target], axis=-1)
    reach = world.unit_type_attack_ranges[state.unit_types]
    return target, (aim >= 0) & state.unit_alive & (away < reach)
