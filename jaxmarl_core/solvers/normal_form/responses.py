"""What can be said by comparing payoffs: best replies, pure equilibria, dominated actions.

An action is strictly dominated if something else is worth more whatever the others do, and is then
played in no equilibrium, correlated ones included. Without it others may become dominated. What is
left in the end does not depend on the order: Gilboa, Kalai & Zemel, 1990, Oper. Res. Letters 9;
Pearce, 1984, Econometrica 52, for dominance by mixtures, which is what no belief makes a best reply
(of several other players: no correlated belief).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.solvers.normal_form.zero_sum import (
    legal_actions,
    outer_and,
    precision,
    zero_sum,
)

DOMINATED_BY = ("pure", "mixed")
Masks = Sequence[jax.Array | None] | None


class Reply(NamedTuple):
    """A best reply. Without a legal action the value is -inf."""

    action: jax.Array  # [] int32, the lowest index among equals
    value: jax.Array  # [] f32
    worth: jax.Array  # [A_i] f32, of every action, -inf where illegal


def legal_payoffs(payoffs: jax.Array, masks: Masks) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Returns payoffs [N, A_1, ..., A_N], 0 where somebody's action is illegal, and all masks."""
    payoffs = jnp.asarray(payoffs)
    payoffs = payoffs.astype(jnp.promote_types(payoffs.dtype, jnp.float32))
    fits = payoffs.ndim >= 2 and len(payoffs) == payoffs.ndim - 1 and payoffs.size > 0
    require(fits, "payoffs", "shape [N, A_1, ..., A_N]", payoffs.shape)
    masks = legal_actions(payoffs.shape[1:], masks)
    return jnp.where(outer_and(masks), payoffs, 0), masks


def best_response(
    payoffs: jax.Array, strategies: Sequence[jax.Array], player: int, masks: Masks = None
) -> Reply:
    """Returns a player's best reply to the others' mixed strategies.

    Args:
      payoffs: [N, A_1, ..., A_N] f32.
      strategies: N times [A_j] f32; the player's own is not used.
      player: its number, static.
      masks: N times [A_j] bool or None; None: every action is legal.

    Where several actions are best, the value's derivative is the mean of theirs.
    """
    payoffs, masks = legal_payoffs(payoffs, masks)
    sizes = tuple((size,) for size in payoffs.shape[1:])
    got = tuple(np.shape(strategy) for strategy in strategies)
    require(got == sizes, "strategies", f"vectors of sizes {payoffs.shape[1:]}", got)
    require(0 <= player < len(sizes), "player", f"a player below {len(sizes)}", player)
    worth = _worth(payoffs[player], strategies, player)
    worth = jnp.where(masks[player], worth, -jnp.inf)
    return Reply(jnp.argmax(worth).astype(jnp.int32), worth.max(), worth)


def _worth(payoffs, strategies, player):
    """What actions are worth [A_i], infinities counting where they happen and nowhere else."""
    worth = action_payoffs(jnp.where(jnp.isinf(payoffs), 0, payoffs), strategies, player)
    possible = [(jnp.asarray(pi) > 0).astype(payoffs.dtype) for pi in strategies]
    for infinity in (jnp.inf, -jnp.inf):
        met = action_payoffs((payoffs == infinity).astype(payoffs.dtype), possible, player) > 0
        worth = worth + jnp.where(met, infinity, 0)
    return worth


def pure_equilibria(payoffs: jax.Array, masks: Masks = None, tolerance: float = 0.0) -> jax.Array:
    """Returns which joint actions are Nash equilibria, [A_1, ..., A_N] bool.

    Args:
      payoffs: [N, A_1, ..., A_N] f32.
      masks: N times [A_i] bool or None; None: every action is legal.
      tolerance: what a deviation may gain, in units of payoff.
    """
    payoffs, masks = legal_payoffs(payoffs, masks)
    stable = outer_and(masks)
    for player, payoff in enumerate(payoffs):
        reachable = jnp.where(_along(masks[player], player, payoff.ndim), payoff, -jnp.inf)
        stable = stable & (payoff >= reachable.max(player, keepdims=True) - tolerance)
    return stable


def undominated(
    payoffs: jax.Array, masks: Masks = None, by: str = "mixed"
) -> tuple[jax.Array, ...]:
    """Returns the actions that survive iterated elimination of strictly dominated ones.

    The result may be given to any solver as masks: every (correlated) equilibrium is left.

    Args:
      payoffs: [N, A_1, ..., A_N] f32 or f64.
      masks: N times [A_i] bool or None; None: every action is legal.
      by: "pure", actions dominated by a single other one, compared exactly; or "mixed", by any
        mixture of others, by linear programs, better by more than 1e-5 of the player's range of
        payoffs in f32 and 1e-10 in f64. Static.

    Returns:
      N times [A_i] bool.
    """
    payoffs, masks = legal_payoffs(payoffs, masks)
    payoffs = jax.lax.stop_gradient(payoffs)
    if by not in DOMINATED_BY:
        raise ValueError(unknown("by", by, DOMINATED_BY))
    return _eliminated(payoffs, masks, by)


@partial(jax.jit, static_argnames="by")
def _eliminated(payoffs, masks, by):
    dominated = _by_one if by == "pure" else _by_mixture
    tables = [jnp.moveaxis(u, i, 0).reshape(u.shape[i], -1) for i, u in enumerate(payoffs)]
    alike: dict[tuple[int, ...], list[int]] = {}  # players with tables of a shape, compared at once
    for player, table in enumerate(tables):
        alike.setdefault(table.shape, []).append(player)

    def step(carry):
        kept, _ = carry
        left = list(kept)
        for players in alike.values():
            own = jnp.stack([kept[player] for player in players])
            others = [
                outer_and([mask for i, mask in enumerate(kept) if i != player]).reshape(-1)
                for player in players
            ]
            table = jnp.stack([tables[player] for player in players])
            remaining = own & ~jax.vmap(dominated)(table, own, jnp.stack(others))
            for player, mask in zip(players, remaining):
                left[player] = mask
        changed = [jnp.any(before != after) for before, after in zip(kept, left)]
        return tuple(left), jnp.any(jnp.stack(changed))

    return jax.lax.while_loop(lambda carry: carry[1], step, (masks, jnp.bool_(True)))[0]


def _by_one(table, own, other):
    """Which actions [A] another one beats in every column: table [A, O], own [A], other [O]."""
    better = (table[None] > table[:, None]) | ~other  # [a, b, o]: b beats a
    return jnp.any(jnp.all(better, axis=2) & own, axis=1) & other.any()


def _by_mixture(table, own, other):
    """Which actions [A] a mixture beats: a game of what it gains, the foe choosing the column."""
    legal = own[:, None] & other
    high = jnp.where(legal, table, -jnp.inf).max()
    unit = high - jnp.where(legal, table, jnp.inf).min()
    value = jax.vmap(lambda row: zero_sum(table - row, own, other).value)(table)
    return value > precision(table.dtype) / 10 * unit


def _along(mask, axis, ndim):
    return mask.reshape([-1 if i == axis else 1 for i in range(ndim)])
