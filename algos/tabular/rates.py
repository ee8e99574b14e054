"""Learning rates that fall, and the one update all value tables share: Q moves towards a target."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

# name -> (learning_rate, rate_period, steps so far, visits to the action with this one) -> rate
RATES: dict[str, Callable] = {
    "constant": lambda rate, period, step, visits: rate,
    "hyperbolic": lambda rate, period, step, visits: rate / (1 + step / period),
    # a hundredth after `period` steps, as Littman, 1994, let it fall
    "exponential": lambda rate, period, step, visits: rate * 0.01 ** (step / period),
    "visits": lambda rate, period, step, visits: rate / visits,  # a sample mean if rate is 1
}


def env_steps(index: jax.Array, rollout_length: int) -> jax.Array:
    """Returns how many environment steps came before an update, [] f32.

    What schedules count by: exact up to 2^24 steps and from there on to one part in 10^7, where
    an int32 would begin anew from below after 2^31 of them.

    Args:
      index: [] int32, the number of the update.
      rollout_length: environment steps in an update.
    """
    return jnp.asarray(index, jnp.float32) * rollout_length


@struct.dataclass
class Values:
    """The values of one state's actions, with their visits if the learning rate asks for them."""

    q: jax.Array  # [A] or [A_1, ..., A_N] f32, maybe after an axis of players
    visits: Any  # like q without players, or ()


def initial_values(
    shape: tuple[int, ...], rate: str, value: float = 0.0, players: tuple[int, ...] = ()
):
    """Returns Values with q [*players, *shape] all at `value`."""
    visits = jnp.zeros(shape) if rate == "visits" else ()
    return Values(jnp.full((*players, *shape), value, jnp.float32), visits)


def q_update(
    values: Values,
    action: jax.Array | tuple[jax.Array, ...],
    target: jax.Array,
    hp: Any,
    step: jax.Array,
    rate: str,
) -> Values:
    """Returns the values after Q(a) += rate (target - Q(a)).

    Args:
      values: before.
      action: an index, or one for each player.
      target: [] f32; [n] if q has a leading axis of players.
      hp: hparams with `learning_rate` and `rate_period`.
      step: [] f32, steps played.
      rate: a key of RATES.
    """
    action = action if isinstance(action, tuple) else (action,)
    visits, count = values.visits, None
    if rate == "visits":
        visits = visits.at[action].add(1)
        count = visits[action]
    alpha = RATES[rate](hp.learning_rate, hp.rate_period, step, count)
    at = (..., *action)
    change = alpha * (target - values.q[at])
    return Values(values.q.at[at].add(change.astype(values.q.dtype)), visits)
