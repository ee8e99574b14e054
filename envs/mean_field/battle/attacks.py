"""Who hits and who kills, when attacks are played one after another in a random order.

All attackers are judged at once, exactly. If it is known who lives to strike, the death of a
victim is the rank of the blow that brings it below zero; if all deaths are known, those who live
to strike are those whose rank comes before their own death. Guess that all strike, correct, and
repeat until nothing changes. A strike depends only on strikes of lower rank, so the fixed point
is unique, and it is what the sequential game plays.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxmarl_core.envs.mean_field.battle.actions import (
    ATTACKS,
    NUM_ATTACKS,
    NUM_MOVES,
    pack,
    steps,
    unpack,
)
from jaxmarl_core.envs.mean_field.battle.grid import occupancy

NEVER = jnp.iinfo(jnp.int32).max


class Attacks(NamedTuple):
    """What the attacks of one step did, [N] each."""

    hp: jax.Array  # f32, before recovery; negative for those killed
    killed: jax.Array  # bool, died in this step
    struck: jax.Array  # bool, lived to play its attack, on whatever it fell
    hit: jax.Array  # bool, struck an enemy that survived the blow
    killer: jax.Array  # bool, struck an enemy dead


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
    index = jnp.arange(cell.shape[0], dtype=jnp.int32)
    reach = jnp.asarray(steps(map_size))
    attacking = alive & (action >= NUM_MOVES)
    occupant = occupancy(cell, alive, pack(index, action), map_size)

    # Seen from the victim: who strikes from each of the eight sides.
    attacker, intent = unpack(occupant[cell - reach[NUM_MOVES:, None]])  # [8, N], -1 for none
    striking = intent == NUM_MOVES + jnp.arange(NUM_ATTACKS)[:, None]
    striking &= (attacker < num_red) != (index < num_red)
    attacker_rank = jnp.where(striking, rank[attacker], NEVER)
    fatal = _fatal_blow(hp, damage)

    def correct(loop):
        strikes = loop[0]
        blow = jnp.where(strikes[attacker], attacker_rank, NEVER)  # [8, N], its turn
        # Spelled out side by side, which XLA makes one vectorised loop of; a reduction it does not.
        place = 1 + sum(other < blow for other in blow)  # 1 for the first blow that falls
        death = reduce(jnp.minimum, jnp.where(place == fatal, blow, NEVER))
        blows = sum(turn < NEVER for turn in blow)
        corrected = attacking & (rank < death)
        return corrected, death, blows, jnp.any(corrected != strikes)

    start = (attacking, jnp.zeros_like(rank), jnp.zeros_like(index), jnp.bool_(True))
    strikes, death, blows, _ = lax.while_loop(lambda loop: loop[-1], correct, start)
    victim, _ = unpack(occupant[cell + reach[action]])  # [N]
    on_enemy = strikes & (victim >= 0) & ((victim < num_red) != (index < num_red))
    return Attacks(
        hp=_after_blows(hp, jnp.minimum(blows, fatal), damage),
        killed=alive & (death < NEVER),
        struck=strikes,
        hit=on_enemy & (rank < death[victim]),
        killer=on_enemy & (rank == death[victim]),
    )


def _after_blows(hp: jax.Array, blows: jax.Array, damage: jax.Array) -> jax.Array:
    # Subtracted one by one: k * damage would round differently.
    for blow in range(len(ATTACKS)):
        hp = jnp.where(blow < blows, hp - damage, hp)
    return hp


def _fatal_blow(hp: jax.Array, damage: jax.Array) -> jax.Array:
    # The number of blows that bring hp below 0; one more than can fall if they do not.
    survived = jnp.zeros(hp.shape, jnp.int32)
    for _ in range(len(ATTACKS)):
        hp = hp - damage
        survived = survived + (hp >= 0)
    return survived + 1
