"""What a leader gains by announcing its strategy, to which a follower then replies.

For each of the follower's actions b, a linear program finds the leader's best mixed strategy among
those to which b is a best reply. The best of these programs is the leader's commitment, if a
follower who is indifferent is kind ("strong"). Against an unkind one ("weak") the leader can rely
only on what is the follower's only best reply somewhere, together with its exact copies.

Conitzer & Sandholm, 2006, ACM Conference on Electronic Commerce; von Stengel & Zamir, 2010, Games
and Economic Behavior 69, for the weak value.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.solvers.normal_form import tableau as simplex
from jaxmarl_core.solvers.normal_form.lanes import over_lanes
from jaxmarl_core.solvers.normal_form.zero_sum import as_floating, full_mask, precision, zero_sum

FOLLOWERS = ("strong", "weak")


class Commitment(NamedTuple):
    """A leader's announcement; where not `solved`, what there was."""

    leader: jax.Array  # [A] f32, the leader's strategy, sums to 1
    follower: jax.Array  # [] int32, the reply, the lowest index among equals
    values: jax.Array  # [2] f32, to the leader and to the follower
    solved: jax.Array  # [] bool


def stackelberg(
    payoffs: jax.Array,
    leader: int = 0,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    follower: str = "strong",
) -> Commitment:
    """Returns the leader's best commitment to a mixed strategy.

        strong:  max over x of max over b in R(x) of u(x, b),   R(x) the best replies to x
        weak:    sup over x of min over b in R(x) of u(x, b)

    The weak value is attained only in the limit, in general: the follower must be made to prefer b,
    if ever so little. What is returned is the limit, the value and the strategy; a strategy next to
    it, to which b (or a copy of it) is the only best reply, is worth as nearly as much as you
    like. In a game without ties of the follower both are the same.

    Solves as many linear programs as the follower has actions, for "weak" twice.

    Args:
      payoffs: [2, A, B] f32 or f64, to the row and to the column player.
      leader: 0, the row player, or 1, static.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are.
      follower: "strong" or "weak", static.

    Raises:
      ValueError: if a shape, the leader or the follower does not fit.
    """
    payoffs, own, other = _as_leader(payoffs, leader, row_mask, column_mask, follower)
    worth, reply_worth = payoffs  # [A, B], the leader's action first
    loss = (reply_worth[:, None, :] - reply_worth[:, :, None]) / _range(reply_worth, own, other)
    loss = jnp.moveaxis(jnp.where(own[:, None, None] & other, loss, 0), 0, 2)  # [b, b', A]: b' - b
    copies = jnp.all(jnp.abs(loss) <= precision(payoffs.dtype) / 10, axis=2) & other
    actions = jnp.arange(worth.shape[1])

    def program(action, rivals, same):
        least = jnp.sum(jnp.where(actions == action, worth, 0), axis=1)[None]  # [1, A]
        enough = jnp.bool_(True)
        if follower == "weak":
            ahead = zero_sum(-rivals.T, own, other & ~same)
            enough = ~jnp.any(other & ~same) | (ahead.value > precision(payoffs.dtype) / 10)
            least = jnp.where(same[:, None], worth.T, least)  # of b and its copies
        unit = 1 + (least - low) / _range(worth, own, other)
        entries = own.size * (len(least) + len(rivals))
        strategy, status = over_lanes(_program, entries)(jnp.where(own, unit, 0), rivals, own)
        return strategy, status, enough

    low = jnp.where(own[:, None] & other, worth, jnp.inf).min()
    strategies, status, enough = jax.vmap(program)(actions, loss, copies)
    possible = enough & other & (strategies.sum(1) > 0.5)
    strategies = strategies / jnp.maximum(strategies.sum(1, keepdims=True), 0.5)
    worths = jnp.where(copies, strategies @ worth, jnp.inf).min(1)  # b': exact copies of b
    if follower == "strong":
        worths = jnp.sum(strategies * worth.T, axis=1)
    decided = jnp.all((status == simplex.OPTIMAL) | ~other)
    return _best(payoffs, strategies, worths, possible, decided, own, other)


def _program(least, rivals, own):
    """Returns x [A, games] and the status: maximise min_k least_k x, rivals x <= 0, sum x <= 1.

    It starts at x = 0. As everything is worth something the sum is 1 in the end; 0 if nothing fits.

    Args:
      least: [K, A, games] f32, at least 1 where legal, rivals: [B, A, games], own: [A, games] bool.
    """
    (several, rows, games), dtype = least.shape, least.dtype
    zeros = lambda size: jnp.zeros((size, games), dtype)
    cost = least[0]
    body = jnp.concatenate([rivals, own[None].astype(dtype)])
    rhs = jnp.concatenate([zeros(len(rivals)), jnp.ones((1, games), dtype)])
    if several > 1:  # a further variable below them all
        body = jnp.concatenate([body, -least])
        column = jnp.concatenate([zeros(len(rivals) + 1), jnp.ones((several, games), dtype)])
        body = jnp.concatenate([body, column[:, None]], axis=1)
        rhs = jnp.concatenate([rhs, zeros(several)])
        cost = jnp.concatenate([zeros(rows), jnp.ones((1, games), dtype)])
    start = simplex.tableau(body, [rhs], [cost])
    last, status = simplex.maximise(start, max_pivots=8 * sum(body.shape[:2]) + 20)
    return jnp.maximum(simplex.solution(last, 0, rows), 0), status


def pure_commitment(
    payoffs: jax.Array,
    leader: int = 0,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    follower: str = "strong",
) -> Commitment:
    """Returns the leader's best commitment to one action, arguments as of `stackelberg`.

    max over a of max (strong) or min (weak) over the best replies b to a of u(a, b)
    """
    payoffs, own, other = _as_leader(payoffs, leader, row_mask, column_mask, follower)
    worth, reply_worth = payoffs
    margin = precision(payoffs.dtype) / 10 * _range(reply_worth, own, other)
    best = jnp.where(other, reply_worth, -jnp.inf).max(1, keepdims=True)
    replies = other & (reply_worth >= best - margin)  # [A, B]
    kind = worth if follower == "strong" else -worth
    kind = jnp.where(replies, kind, -jnp.inf)
    reply = (kind >= kind.max(1, keepdims=True)) & replies
    reply = reply & (jnp.cumsum(reply, 1) == 1)  # the first
    worths = jnp.where(reply, worth, 0).sum(1)
    possible = own & reply.any(1)
    ahead = worths >= jnp.where(possible, worths, -jnp.inf).max()
    chosen = possible & ahead
    chosen = chosen & (jnp.cumsum(chosen) == 1)
    reply = (reply & chosen[:, None]).any(0)
    values = jnp.sum(jnp.where(chosen[:, None] & reply, payoffs, 0), axis=(1, 2))
    solved = chosen.any() & jnp.isfinite(payoffs).all()
    values = jnp.where(solved, values, jnp.nan)
    return Commitment(
        chosen.astype(payoffs.dtype), jnp.argmax(reply).astype(jnp.int32), values, solved
    )


def _as_leader(payoffs, leader, row_mask, column_mask, follower):
    """Returns payoffs [2, A, B] to leader and follower, 0 where illegal, and both masks."""
    payoffs = as_floating(payoffs)
    fits = payoffs.ndim == 3 and payoffs.shape[0] == 2 and 0 not in payoffs.shape
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    require(leader in (0, 1), "leader", "0 or 1", leader)
    if follower not in FOLLOWERS:
        raise ValueError(unknown("follower", follower, FOLLOWERS))
    masks = []
    for name, mask, size in zip(
        ("row_mask", "column_mask"), (row_mask, column_mask), payoffs.shape[1:]
    ):
        mask = full_mask(mask, size)
        require(mask.shape == (size,), name, f"shape [{size}]", mask.shape)
        masks.append(mask)
    payoffs = jnp.where(masks[0][:, None] & masks[1], payoffs, 0)
    if leader == 1:
        return payoffs[::-1].swapaxes(1, 2), masks[1], masks[0]
    return payoffs, *masks


def _range(payoff, own, other):
    legal = own[:, None] & other
    high = jnp.where(legal, payoff, -jnp.inf).max()
    spread = high - jnp.where(legal, payoff, jnp.inf).min()
    return jnp.where(spread > 0, spread, 1)


def _best(payoffs, strategies, worths, possible, decided, own, other) -> Commitment:
    """The best of the follower's actions [B] that are possible, the lowest index among equals."""
    worth, reply_worth = payoffs
    margin = precision(payoffs.dtype) / 10 * _range(worth, own, other)
    worths = jnp.where(possible, worths, -jnp.inf)
    chosen = possible & (worths >= worths.max() - margin)
    chosen = chosen & (jnp.cumsum(chosen) == 1)
    announced = jnp.where(chosen[:, None], strategies, 0).sum(0)
    value = jnp.where(chosen, worths, 0).sum()
    replies = jnp.where(other, announced @ reply_worth, -jnp.inf)
    reply_value = jnp.where(chosen, replies, 0).sum()
    regret = (replies.max() - reply_value) / _range(reply_worth, own, other)
    solved = decided & chosen.any() & (regret <= precision(payoffs.dtype))
    solved = solved & jnp.isfinite(payoffs).all()
    announced = jnp.where(chosen.any(), announced, own / jnp.maximum(own.sum(), 1))
    values = jnp.where(chosen.any(), jnp.stack([value, reply_value]), jnp.nan)
    return Commitment(announced, jnp.argmax(chosen).astype(jnp.int32), values, solved)
