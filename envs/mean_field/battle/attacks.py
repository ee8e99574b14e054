"""Who hits and who kills in the battle: the game of `magent.attacks` between two teams."""

import jax
import jax.numpy as jnp

from jaxmarl_core.envs.mean_field.battle.actions import ATTACKS, NUM_MOVES
from jaxmarl_core.envs.mean_field.battle.grid import MARGIN
from jaxmarl_core.envs.mean_field.magent import attacks
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid


def resolve_attacks(
    cell: jax.Array,
    hp: jax.Array,
    alive: jax.Array,
    action: jax.Array,
    rank: jax.Array,
    num_red: int,
    damage: jax.Array,
    map_size: int,
) -> Attacks:
    """Returns what the attacks of one step do, as if played one by one in the order of `rank`.

    An attack on an enemy takes `damage` from it; strictly below 0 it dies at once: it leaves the
    map, and its own later attack is void. All other attacks do nothing.

    Args:
      cell: [N] int32, cell indices, distinct among the living.
      hp: [N] f32 >= 0.
      alive: [N] bool.
      action: [N] int32 in 0..20.
      rank: [N] int32 >= 0, distinct among the attackers.
      num_red: static; agents 0 ... num_red - 1 are one team, the rest the other.
      damage: [] f32 > 0.
      map_size: static.
    """

    def enemies(one: jax.Array, other: jax.Array) -> jax.Array:
        return (one < num_red) != (other < num_red)

    attack = jnp.where(action >= NUM_MOVES, action - NUM_MOVES, NONE)
    grid = Grid(map_size, MARGIN)
    return attacks.resolve_attacks(cell, hp, alive, attack, rank, damage, ATTACKS, grid, enemies)
