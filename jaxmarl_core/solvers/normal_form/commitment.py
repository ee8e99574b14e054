"""What a leader gains by announcing a mixed strategy, to which a follower then replies.

For each of the follower's actions b, a linear program finds the leader's best strategy among those
to which b is a best reply; the best of these programs is the leader's commitment. As usual a
follower who is indifferent is kind to the leader: the strong Stackelberg equilibrium.

Conitzer & Sandholm, 2006, ACM Conference on Electronic Commerce.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.lookup import require
from jaxmarl_core.solvers.normal_form import tableau as simplex


class Commitment(NamedTuple):
    """A leader's announcement; where not `solved`, what there was."""

    leader: jax.Array  # [A] f32, sums to 1
    follower: jax.Array  # [] int32, the reply, the lowest index among equals
    values: jax.Array  # [2] f32, to the leader and to the follower
    solved: jax.Array  # [] bool


def commitment(payoffs: jax.Array) -> Commitment:
    """Returns the leader's best commitment.

        max over b and x of x' payoffs[0] b   such that b is a best reply to x

    Args:
      payoffs: [2, A, B] f32 or f64, to the leader, who chooses the row, and to the follower.

    Raises:
      ValueError: another shape.
    """
    payoffs = jnp.asarray(payoffs)
    fits = payoffs.ndim == 3 and payoffs.shape[0] == 2 and 0 not in payoffs.shape
    require(fits, "payoffs", "shape [2, A, B]", payoffs.shape)
    payoffs = payoffs.astype(jnp.promote_types(payoffs.dtype, jnp.float32))
    leader, follower = payoffs
    rows, columns = leader.shape
    low, high = leader.min(), leader.max()
    worth = 1 + (leader - low) / jnp.where(high > low, high - low, 1)  # [A, B], from 1 to 2
    # b' is worth no more than b: sum_a x_a (follower[a, b'] - follower[a, b]) <= 0. All that is
    # asked beside it is sum x <= 1, and as every action is worth something, the sum is then 1.
    unit = follower.max() - follower.min()
    gain = follower.T[:, :, None] - follower[None]  # [b', A, b], games last
    gain = gain / jnp.where(unit > 0, unit, 1)
    itself = jnp.eye(columns)
    body = jnp.concatenate([gain, jnp.ones((1, rows, columns), payoffs.dtype)])
    rhs = jnp.concatenate([itself, jnp.ones((1, columns))]).astype(payoffs.dtype)
    start = simplex.tableau(body, [rhs], [worth])
    last, status = simplex.maximise(start, max_pivots=8 * (rows + columns) + 20)

    x = jnp.maximum(simplex.solution(last, 0, rows), 0)  # [A, b]; zeros where b is never best
    total = x.sum(0)
    possible = total > 0.5
    x = x / jnp.where(possible, total, 1)
    value = jnp.where(possible, (x * leader).sum(0), -jnp.inf)
    margin = 1e-5 * (high - low)
    reply = jnp.argmax(value >= value.max() - margin).astype(jnp.int32)
    chosen = (jnp.arange(columns) == reply).astype(payoffs.dtype)
    announced = x @ chosen
    values = jnp.stack([announced @ leader @ chosen, announced @ follower @ chosen])
    done = (status == simplex.OPTIMAL).all() & possible.any() & jnp.isfinite(payoffs).all()
    return Commitment(announced, reply, values, done)
