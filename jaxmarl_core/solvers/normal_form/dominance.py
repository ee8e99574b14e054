"""Which actions are strictly dominated by another one: exact comparisons, many games at once.

An action that another one beats whatever the others do is played in no equilibrium, Nash or
correlated. Solvers leave it out before they scale payoffs: a forbidden action, worth -1e9 or
-infinity, would otherwise leave of the game only rounding.

Not so where players may be committed. In a coarse correlated equilibrium, and in what a leader
announces, a dominated action may have its use: only as a deviation, or as a reply, has it none.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def survivors(
    payoffs: Sequence[jax.Array] | jax.Array,
    masks: Sequence[jax.Array],
    rounds: int | None = None,
) -> tuple[jax.Array, ...]:
    """Returns the actions that iterated elimination of dominated ones leaves, for many games.

    Of all players at once, until nothing changes; the order does not matter. Where a payoff is no
    number, nothing is dominated there.

    Args:
      payoffs: N times [A_1, ..., A_N, games], any type that compares exactly.
      masks: N times [A_i, games] bool.
      rounds: static; None: as many as it takes.

    Returns:
      N times [A_i, games] bool.
    """
    games = payoffs[0].shape[-1]
    tables = [
        jnp.moveaxis(payoff, player, 0).reshape(payoff.shape[player], -1, games)
        for player, payoff in enumerate(payoffs)
    ]

    def once(kept):
        left = []
        for player, table in enumerate(tables):
            others = joint_actions([mask for i, mask in enumerate(kept) if i != player], games)
            worse = dominated(table, kept[player], others.reshape(-1, games))
            left.append(kept[player] & ~worse)
        return tuple(left)

    def step(carry):
        kept, _ = carry
        left = once(kept)
        changed = [jnp.any(before != after) for before, after in zip(kept, left)]
        return left, jnp.any(jnp.stack(changed))

    if rounds is not None:
        kept = tuple(masks)
        for _ in range(rounds):
            kept = once(kept)
        return kept
    return jax.lax.while_loop(lambda carry: carry[1], step, (tuple(masks), jnp.bool_(True)))[0]


def dominated(table: jax.Array, own: jax.Array, others: jax.Array) -> jax.Array:
    """Returns which actions another legal one beats in every column, [A, games] bool.

    Args:
      table: [A, O, games], payoffs to whom the actions belong.
      own: [A, games] bool, others: [O, games] bool, what is legal.
    """
    better = (table[None] > table[:, None]) | ~others  # [a, b, o, games]: b beats a
    return jnp.any(jnp.all(better, axis=2) & own, axis=1) & jnp.any(others, axis=0)


def joint_actions(masks: Sequence[jax.Array], games: int) -> jax.Array:
    """Returns [A_1, ..., A_N, games] bool, true where every player's action is legal."""
    joint = jnp.ones(games, bool)
    for mask in masks:
        joint = joint[..., None, :] & mask
    return joint
