"""Physics of the particle worlds: round bodies in the plane, driven by a force and by contact."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.geometry import length

DT = 0.1  # time of a step
DAMPING = 0.25  # of the velocity, lost in every step
CONTACT_FORCE = 100.0
CONTACT_MARGIN = 1e-3  # over which contact sets in softly


@struct.dataclass
class Bodies:
    """What agents and landmarks are made of; agents first, in the order of their groups."""

    radius: jax.Array  # [N + L]
    mass: jax.Array  # [N]
    acceleration: jax.Array  # [N], force at full throttle; 0 for those who never move
    max_speed: jax.Array  # [N], infinite for none
    solid: bool = struct.field(pytree_node=False)  # whether agents push each other
    num_obstacles: int = struct.field(pytree_node=False)  # the first landmarks, which push agents


def bodies(
    sizes: tuple[int, ...],
    radius: tuple[float, ...],
    landmark_sizes: tuple[int, ...],
    landmark_radius: tuple[float, ...],
    acceleration: tuple[float, ...] | float = 5.0,
    max_speed: tuple[float, ...] | float = np.inf,
    mass: tuple[float, ...] | float = 1.0,
    solid: bool = False,
    num_obstacles: int = 0,
) -> Bodies:
    """Returns the bodies of groups of `sizes`; a tuple has a number for each group."""

    def each(value):
        values = value if isinstance(value, tuple) else (value,) * len(sizes)
        return jnp.asarray(np.repeat(values, sizes), float)

    radii = np.repeat((*radius, *landmark_radius), (*sizes, *landmark_sizes))
    return Bodies(
        radius=jnp.asarray(radii, float),
        mass=each(mass),
        acceleration=each(acceleration),
        max_speed=each(max_speed),
        solid=solid,
        num_obstacles=num_obstacles,
    )


def contact(delta: jax.Array, reach: jax.Array) -> jax.Array:
    """Returns the force [..., 2] on bodies that lie `delta` [..., 2] from what they touch.

        100 d / |d| k log(1 + exp((reach - |d|) / k)),   k = 1e-3

    `reach` [...] is the sum of the radii. Bodies in one place push in no direction: the force is
    0, where the reference divides 0 by 0.
    """
    square = jnp.sum(delta**2, axis=-1)
    separate = square > 0
    distance = jnp.sqrt(jnp.where(separate, square, 1.0))  # double where: gradients stay finite
    depth = (reach - distance) / CONTACT_MARGIN
    soft = CONTACT_MARGIN * (jnp.maximum(depth, 0) + jnp.log1p(jnp.exp(-jnp.abs(depth))))
    strength = jnp.where(separate, CONTACT_FORCE * soft / distance, 0.0)
    return strength[..., None] * delta


def contact_forces(
    body: Bodies, position: jax.Array, landmark: jax.Array, radius: jax.Array
) -> jax.Array:
    """Returns the force [N, 2] on every agent from all that touch it.

    Pairs of agents are met by turning the list of agents against itself, each pair once: half the
    work of a matrix of pairs, and slices instead of gathers.
    """
    num = len(position)
    force = jnp.zeros_like(position)
    if body.solid:
        for shift in range(1, num // 2 + 1):
            partner = lambda x, shift=shift: jnp.roll(x, -shift, axis=0)
            push = contact(position - partner(position), radius + partner(radius))
            if 2 * shift == num:  # halfway round every pair is met twice
                push = push * 0.5
            force = force + push - jnp.roll(push, shift, axis=0)
    if body.num_obstacles:
        obstacle = landmark[: body.num_obstacles]
        reach = radius[:, None] + body.radius[num : num + body.num_obstacles]
        force = force + contact(position[:, None] - obstacle, reach).sum(axis=1)
    return force


def move(
    body: Bodies,
    position: jax.Array,
    velocity: jax.Array,
    landmark: jax.Array,
    throttle: jax.Array,
    legacy: bool,
) -> tuple[jax.Array, jax.Array]:
    """Returns positions and velocities [N, 2] one step later.

    `throttle` is [N, 2] in [-1, 1]. Forces are those of the positions before the step. The legacy
    engine changes the velocity first and moves with the new one; the other moves with the old.
    """
    force = throttle * body.acceleration[:, None]
    force = force + contact_forces(body, position, landmark, body.radius[: len(position)])
    faster = velocity * (1 - DAMPING) + force / body.mass[:, None] * DT
    speed = length(faster)
    over = speed > body.max_speed
    # double where: gradients stay finite where there is no limit
    scale = jnp.where(over, body.max_speed, 1.0) / jnp.where(over, speed, 1.0)
    faster = faster * scale[:, None]
    return position + (faster if legacy else velocity) * DT, faster
