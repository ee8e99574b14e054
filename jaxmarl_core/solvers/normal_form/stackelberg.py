"""What a leader gains by announcing its strategy, to which a follower then replies.

For each of the follower's actions b, a linear program finds the leader's best mixed strategy among
those to which b is a best reply. The best of these programs is the leader's commitment, if a
follower who is indifferent is kind ("strong"). Against an unkind one ("weak") the leader can rely
only on what is the follower's only best reply somewhere, together with its exact copies.

Conitzer & Sandholm, 2006, ACM Conference on Electronic Commerce; von Stengel & Zamir, 2010, Games
and Economic Behavior 69, for the weak value.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.solvers.normal_form import tableau as simplex
from jaxmarl_core.solvers.normal_form.gradients import without_gradient
from jaxmarl_core.solvers.normal_form.lanes import over_lanes
from jaxmarl_core.solvers.normal_form.precise import first_index, look_twice
from jaxmarl_core.solvers.normal_form.zero_sum import (
    RARELY,
    as_given,
    full_mask,
    precision,
    result_type,
    sufficient,
)
from jaxmarl_core.solvers.normal_form.zero_sum import solutions as zero_sum_solutions

FOLLOWERS = ("strong", "weak")


class Commitment(NamedTuple):
    """A leader's announcement; where not `solved`, what there was, or NaN if payoffs are."""

    leader: jax.Array  # [A] f32, the leader's strategy, sums to 1
    follower: jax.Array  # [] int32, the reply, the lowest index among equals
    values: jax.Array  # [2] f32, to the leader and to the follower
    solved: jax.Array  # [] bool: within 1e-5 of the payoffs' range of the best, and of a best reply


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

    Solves as many linear programs as the follower has actions, for "weak" twice. A dominated reply
    of the follower is left out, an action of the leader is not: to be able to announce it may help.
    What an action costs the leader sets no scale: it is counted in units of what the leader may
    hope to gain above its best single action, and if it costs more, in smaller units. Where it is
    minus infinity the action is not announced, if that reply follows.

    `solved` says that the duals of all programs leave nothing to be gained. Otherwise all is done
    again in double precision, whatever `jax_enable_x64` says. There are no derivatives.

    Args:
      payoffs: [2, A, B] f32, f64 or integers, to the row and to the column player.
      leader: 0, the row player, or 1, static.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are.
      follower: "strong" or "weak", static.

    Raises:
      ValueError: if a shape, the leader or the follower does not fit.
    """
    given, own, other = _as_leader(payoffs, leader, row_mask, column_mask, follower)
    share = sufficient(result_type(given))
    found = look_twice(_commitment, given, own, other, weak=follower == "weak", share=share)
    return without_gradient("stackelberg", payoffs, found)


def _commitment(payoffs, own, other, weak, share) -> tuple[Commitment, jax.Array]:
    """Returns the commitment in one game, and whether it is in doubt."""
    worth, reply_worth = payoffs  # [A, B], the leader's action first
    some = own.any() & other.any()
    nan = jnp.any(jnp.isnan(payoffs))
    barred = jnp.all(jnp.isneginf(worth) | ~other, axis=1)  # forbidden to the leader
    legal, own = own, own & ~barred
    better = jnp.where(own[:, None, None], reply_worth[:, None] > reply_worth[:, :, None], True)
    beaten = jnp.any(jnp.all(better, axis=0) & other, axis=1)  # [B]: whatever is announced
    other = other & ~(beaten & own.any())
    cells = own[:, None] & other
    worth, reply_worth = jnp.where(cells, worth, 0), jnp.where(cells, reply_worth, 0)
    usable = jnp.all(jnp.isfinite(reply_worth)) & jnp.all(worth < jnp.inf) & ~nan & own.any()

    losses = reply_worth[:, None] - reply_worth[:, :, None]  # [A, b, b']: of b, b' being taken
    losses = jnp.where(own[:, None, None] & other[:, None] & other, losses, 0)
    size = jnp.max(jnp.abs(losses))
    losses = jnp.moveaxis(losses / jnp.where(size > 0, size, 1), 0, 2)  # [b, b', A]
    copies = (
        jnp.all(jnp.abs(losses) <= precision(worth.dtype) / 10, axis=2) & other[:, None] & other
    )

    floor, unit = _hopes(worth, reply_worth, own, other, weak)
    above = 1 + (worth - floor) / unit  # [A, B], of the best at least 1
    actions = jnp.arange(worth.shape[1], dtype=jnp.int32)
    found = jax.vmap(partial(_for_reply, above, own, other, weak))(actions, losses, copies)
    possible = found.possible & other
    each = _expected(found.strategy, above)  # [b, b'], should b' follow what is announced for b
    worths = jnp.where(copies if weak else jnp.eye(len(actions), dtype=bool), each, jnp.inf).min(1)
    reached = jnp.where(possible, worths, -jnp.inf)
    chosen = possible & (reached >= reached.max() - share / 5)
    chosen = chosen & (jnp.cumsum(chosen) == 1)  # the lowest index among equals

    pick = lambda x: jnp.where(chosen, x, 0).sum()
    announced = jnp.where(chosen[:, None], found.strategy, 0).sum(0)
    values = jnp.stack(
        [
            floor + unit * (pick(worths) - 1),
            pick(_expected(announced[None], reply_worth)[0]),
        ]
    )
    missed = jnp.where(other, found.bound, -jnp.inf).max() - pick(worths)
    good = (missed <= share) & (pick(found.bent) <= share)
    good = good & jnp.any(chosen & found.obeyed(share))
    solved = good & usable & chosen.any()
    announced = jnp.where(chosen.any(), announced, legal / jnp.maximum(legal.sum(), 1))
    announced = jnp.where(nan, jnp.nan, announced).astype(worth.dtype)
    values = jnp.where(chosen.any() & usable, values, jnp.nan)
    doubt = (~solved | jnp.any(found.close)) & some & ~nan
    return Commitment(announced, first_index(chosen), values, solved), doubt


def _hopes(worth, reply_worth, own, other, weak):
    """Returns what the best single action is worth to the leader, and how much more may be.

    The second is counted from a worth that nobody can take from the leader, so that it is of the
    size of payoffs even where there is little to hope for.
    """
    best = jnp.where(other, reply_worth, -jnp.inf).max(1, keepdims=True)
    replies = other & (reply_worth >= best)
    kind = jnp.where(replies, worth, jnp.inf).min(1) if weak else None
    kind = jnp.where(replies, worth, -jnp.inf).max(1) if kind is None else kind
    floor = jnp.where(own, kind, -jnp.inf).max()
    secured = jnp.where(own, jnp.where(other, worth, jnp.inf).min(1), -jnp.inf).max()
    top = jnp.where(own[:, None] & other, worth, -jnp.inf).max()
    secured = jnp.where(jnp.isfinite(secured), secured, floor)
    floor, unit = jnp.where(jnp.isfinite(floor), floor, 0), top - secured
    return floor, jnp.where((unit > 0) & jnp.isfinite(unit), unit, 1)


def _expected(strategies, worth):
    """Returns what replies are worth [..., B]; payoffs [A, B] may be infinite where unplayed."""
    strategies = strategies[..., None]  # [..., A, 1]
    return jnp.where(strategies > 0, strategies * worth, 0).sum(-2)


class _Announcement(NamedTuple):
    """The best commitment to which a certain reply is a best one."""

    strategy: jax.Array  # [A]
    possible: jax.Array  # [] bool
    bound: jax.Array  # [], no commitment with this reply is worth more
    bent: jax.Array  # [], what of its worth is owed to rounded constraints
    regret: jax.Array  # [], what another reply would gain, and
    met: jax.Array  # [], the largest such difference met in play
    close: jax.Array  # [] bool: whether the reply is possible at all is a matter of rounding

    def obeyed(self, share):
        return self.regret <= share * self.met


def _for_reply(above, own, other, weak, action, rivals, same) -> _Announcement:
    """Solves the program of one reply.

    Args:
      above: [A, B], worth to the leader, in units, the best of all at least 1.
      action: [] int32, the reply; rivals: [B, A], what others are better; same: [B] bool, copies.
    """
    dtype = above.dtype
    mine = jnp.arange(above.shape[1], dtype=jnp.int32) == action
    least = jnp.where(mine, above, 0).sum(1)[None]  # [1, A]
    enough, close = jnp.bool_(True), jnp.bool_(False)
    if weak:
        rest = other & ~same
        solve = partial(zero_sum_solutions, max_pivots=4 * sum(rivals.shape) + 10, share=0.0)
        ahead = over_lanes(solve, rivals.size)(-rivals.T, own, rest)[0].value
        enough = ~jnp.any(rest) | (ahead > precision(dtype) / 10)
        close = jnp.any(rest) & (ahead > -precision(dtype)) & (ahead < precision(dtype))
        least = jnp.where(same[:, None], above.T, least)  # of b and its copies
    usable = own & jnp.all(jnp.isfinite(least), axis=0)
    size = jnp.where(usable, jnp.maximum(1, jnp.abs(least).max(0)), 1)  # of costly actions, less
    scaled = jnp.where(usable, least / size, -1)
    rows = jnp.where(usable, rivals / size, 0)
    total = jnp.where(usable, 1 / size, 0)
    entries = own.size * (len(least) + len(rivals))
    x, y, weight = over_lanes(_program, entries)(scaled, rows, total)
    x = x / size
    possible = enough & (x.sum() > 0.5)
    x = x / jnp.maximum(x.sum(), 0.5)
    # no distribution is worth more than any y >= 0 and mean of the worths allow
    weight = weight / jnp.maximum(weight.sum(), 1e-30)
    allowed = jnp.where(usable, weight @ jnp.where(usable, least, 0) - y @ rivals, -jnp.inf).max()
    bound = jnp.where(enough, allowed, -jnp.inf)
    gains = rivals @ x
    met = jnp.max(jnp.abs(rivals) * jnp.minimum(x / RARELY, 1))
    bent = jnp.sum(y * jnp.maximum(gains, 0))
    return _Announcement(x, possible, bound, bent, jnp.max(gains), met, close)


def _program(least, rivals, total):
    """Returns x [A, games] and prices: maximise min_k least_k x, rivals x <= 0, total x <= 1.

    It starts at x = 0, and stays there if nothing positive fits.

    Args:
      least: [K, A, games] f32, rivals: [B, A, games], total: [A, games].

    Returns:
      x [A, games]; prices of rivals [B, games] and of leasts [K, games].
    """
    (several, rows, games), dtype = least.shape, least.dtype
    zeros = lambda size: jnp.zeros((size, games), dtype)
    cost = least[0]
    body = jnp.concatenate([rivals, total[None]])
    rhs = jnp.concatenate([zeros(len(rivals)), jnp.ones((1, games), dtype)])
    if several > 1:  # a further variable below them all
        body = jnp.concatenate([body, -least])
        column = jnp.concatenate([zeros(len(rivals) + 1), jnp.ones((several, games), dtype)])
        body = jnp.concatenate([body, column[:, None]], axis=1)
        rhs = jnp.concatenate([rhs, zeros(several)])
        cost = jnp.concatenate([zeros(rows), jnp.ones((1, games), dtype)])
    num_rows, num_columns = body.shape[:2]
    start = simplex.tableau(body, [rhs], [cost])
    last, _ = simplex.maximise(start, max_pivots=8 * (num_rows + num_columns) + 20)
    prices = jnp.maximum(simplex.prices(last, num_columns, num_rows), 0)
    weight = prices[len(rivals) + 1 :] if several > 1 else jnp.ones((1, games), dtype)
    return jnp.maximum(simplex.solution(last, 0, rows), 0), prices[: len(rivals)], weight


def pure_commitment(
    payoffs: jax.Array,
    leader: int = 0,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    follower: str = "strong",
) -> Commitment:
    """Returns the leader's best commitment to one action, arguments as of `stackelberg`.

    max over a of max (strong) or min (weak) over the best replies b to a of u(a, b). There are no
    derivatives.
    """
    given, own, other = _as_leader(payoffs, leader, row_mask, column_mask, follower)
    found = look_twice(_pure_commitment, given, own, other, weak=follower == "weak")
    return without_gradient("pure_commitment", payoffs, found)


def _pure_commitment(payoffs, own, other, weak):
    worth, reply_worth = payoffs
    best = jnp.where(other, reply_worth, -jnp.inf).max(1, keepdims=True)
    rounding = 4 * jnp.finfo(worth.dtype).eps * jnp.abs(best)
    replies = other & (reply_worth >= best - jnp.where(jnp.isfinite(best), rounding, 0))  # [A, B]
    kind = jnp.where(replies, -worth if weak else worth, -jnp.inf)
    reply = (kind >= kind.max(1, keepdims=True)) & replies
    reply = reply & (jnp.cumsum(reply, 1) == 1)  # the first
    worths = jnp.where(reply, worth, 0).sum(1)
    possible = own & reply.any(1)
    ahead = worths >= jnp.where(possible, worths, -jnp.inf).max()
    chosen = possible & ahead
    chosen = chosen & (jnp.cumsum(chosen) == 1)
    reply = (reply & chosen[:, None]).any(0)
    values = jnp.sum(jnp.where(chosen[:, None] & reply, payoffs, 0), axis=(1, 2))
    solved = chosen.any() & jnp.all(payoffs < jnp.inf) & jnp.all(jnp.isfinite(values))
    values = jnp.where(solved, values, jnp.nan)
    announced = jnp.where(jnp.any(jnp.isnan(payoffs)), jnp.nan, chosen).astype(payoffs.dtype)
    return Commitment(announced, first_index(reply), values, solved), jnp.bool_(False)


def _as_leader(payoffs, leader, row_mask, column_mask, follower):
    """Returns payoffs [2, A, B] to leader and follower, 0 where illegal, and both masks."""
    payoffs = jax.lax.stop_gradient(as_given(payoffs))
    fits = payoffs.ndim == 3 and payoffs.shape[0] == 2 and 0 not in payoffs.shape
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    require(leader in (0, 1), "leader", "0 or 1", leader)
    if follower not in FOLLOWERS:
        raise ValueError(unknown("follower", follower, FOLLOWERS))
    rows = full_mask(row_mask, payoffs.shape[1], "row_mask")
    columns = full_mask(column_mask, payoffs.shape[2], "column_mask")
    payoffs = jnp.where(rows[:, None] & columns, payoffs, 0)
    if leader == 1:
        return payoffs[::-1].swapaxes(1, 2), columns, rows
    return payoffs, rows, columns
