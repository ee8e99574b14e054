"""Who hits and who kills, when attacks are played one after another in a random order.

All attackers are resolved at once, exactly. If it is known who lives to strike, the death of a
victim is the rank of the blow that brings it below zero; if all deaths are known, those who live
to strike are those whose rank comes before their own death. Guess that all strike, correct, and
repeat until nothing changes. A strike depends only on strikes of lower rank, so the fixed point
is unique, and it is what the sequential game plays. On an accelerator nothing is guessed: a striker
waits for those who could kill it before its turn, and `chains` settles that.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmarl_core.envs.mean_field.magent.chains import entries, settle
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid
from jaxmarl_core.functional.packing import packs

NEVER = jnp.iinfo(jnp.int32).max


class Attacks(NamedTuple):
    """What the attacks of one step did, [N] each."""

    hp: jax.Array  # f32, before recovery; negative for those killed
    killed: jax.Array  # bool, died in this step
    struck: jax.Array  # bool, lived to play its attack, on whatever it fell
    hit: jax.Array  # bool, struck a foe that survived the blow
    killer: jax.Array  # bool, struck a foe dead
    victim: jax.Array  # int32, who stood on the cell aimed at; -1 for none, and undefined for
    # those that did not attack


def resolve_attacks(
    cell: jax.Array,
    hp: jax.Array,
    alive: jax.Array,
    attack: jax.Array,
    rank: jax.Array,
    damage: float | jax.Array,
    occupant: jax.Array,
    offsets: np.ndarray,
    grid: Grid,
    foes: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Attacks:
    """Returns what the attacks of one step do, as if played one by one in the order of `rank`.

    An attack on a foe takes `damage` from it; strictly below 0 it dies at once: it leaves the map,
    and its own later attack is void. All other attacks do nothing.

    Args:
      cell: [N] int32, cell indices, distinct among the living.
      hp: [N] f32 >= 0.
      alive: [N] bool.
      attack: [N] int32, which of `offsets` is struck at; 31 for no attack.
      rank: [N] int32 >= 0, distinct among the attackers.
      damage: [] f32 > 0.
      occupant: [stride * stride] int32, who of the living stands on a cell, -1 for nobody.
      offsets: [K, 2] int32 (dx, dy), static, K up to 31.
      grid: static.
      foes: whether agents, given by two index arrays, hurt each other; None if all do.
    """
    index = jnp.arange(cell.shape[0], dtype=jnp.int32)
    reach, num_attacks = grid.steps(offsets), len(offsets)
    hurts: Callable[[jax.Array, jax.Array], Any] = foes or (lambda attacker, victim: True)
    attacking = alive & (attack < num_attacks)

    # Seen from the victim: who strikes from each of the sides.
    found = entries(occupant, cell - reach[:, None])  # [K, N], -1 for none
    attacker = jnp.maximum(found, 0)
    striking = (found >= 0) & (entries(attack, attacker) == jnp.arange(num_attacks)[:, None])
    striking &= hurts(attacker, index)
    attacker_rank = jnp.where(striking, entries(rank, attacker), NEVER)
    fatal = _fatal_blow(hp, damage, num_attacks)
    resolved = _settled if packs() else _corrected
    blow = resolved(attacking, attacker, attacker_rank, rank, fatal)
    death, blows = _deaths(blow, fatal)
    strikes = attacking & (rank < death)

    reach = jnp.asarray(np.pad(reach, (0, NONE + 1 - num_attacks)))
    victim = entries(occupant, cell + entries(reach, attack))  # [N]
    on_foe = strikes & (victim >= 0) & hurts(index, victim)
    victim_death = entries(death, jnp.maximum(victim, 0))
    return Attacks(
        hp=_after_blows(hp, jnp.minimum(blows, fatal), damage, num_attacks),
        killed=alive & (death < NEVER),
        struck=strikes,
        hit=on_foe & (rank < victim_death),
        killer=on_foe & (rank == victim_death),
        victim=victim,
    )


def _corrected(
    attacking: jax.Array,
    attacker: jax.Array,
    attacker_rank: jax.Array,
    rank: jax.Array,
    fatal: jax.Array,
) -> jax.Array:
    """Returns the turns of the blows that fall on everybody, [K, N] int32, NEVER for none.

    Args:
      attacking: [N] bool, who strikes if it lives to.
      attacker: [K, N] int32, who stands on each side; anybody where there is none.
      attacker_rank: [K, N] int32, its turn, NEVER where it does not strike at this one.
      rank: [N] int32, everybody's turn.
      fatal: [N] int32 >= 1, which blow kills.
    """

    def correct(loop):
        strikes = loop[0]
        blow = jnp.where(entries(strikes, attacker), attacker_rank, NEVER)
        corrected = attacking & (rank < _deaths(blow, fatal)[0])
        return corrected, blow, jnp.any(corrected != strikes)

    start = (attacking, attacker_rank, jnp.bool_(True))
    return lax.while_loop(lambda loop: loop[-1], correct, start)[1]


def _settled(
    attacking: jax.Array,
    attacker: jax.Array,
    attacker_rank: jax.Array,
    rank: jax.Array,
    fatal: jax.Array,
) -> jax.Array:
    """Returns what `_corrected` does, in rounds whose number no game decides."""
    strikes = settle(attacker_rank < rank, attacker, fatal)
    return jnp.where(entries(strikes, attacker), attacker_rank, NEVER)


def _deaths(blow: jax.Array, fatal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns when everybody dies, [N] int32, NEVER if not; and how many blows are struck at it.

    Args:
      blow: [K, N] int32, their turns, NEVER for none.
      fatal: [N] int32 >= 1, which of them, in the order of turns, kills.
    """
    # Spelled out side by side, which XLA makes one vectorised loop of; a reduction it does not.
    place = 1 + sum(other < blow for other in blow)  # 1 for the first blow that falls
    death = reduce(jnp.minimum, jnp.where(place == fatal, blow, NEVER))
    return death, reduce(jnp.add, ((turn < NEVER).astype(jnp.int32) for turn in blow))


def _after_blows(
    hp: jax.Array, blows: jax.Array, damage: float | jax.Array, most: int
) -> jax.Array:
    # Subtracted one by one: k * damage would round differently.
    for blow in range(most):
        hp = jnp.where(blow < blows, hp - damage, hp)
    return hp


def _fatal_blow(hp: jax.Array, damage: float | jax.Array, most: int) -> jax.Array:
    # The number of blows that bring hp below 0; one more than can fall if they do not.
    survived = jnp.zeros(hp.shape, jnp.int32)
    for _ in range(most):
        hp = hp - damage
        survived = survived + (hp >= 0)
    return survived + 1
