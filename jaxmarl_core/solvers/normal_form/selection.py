"""Which of several equilibria: functions `select(equilibria, payoffs) -> index`.

All are deterministic. Of equally good ones, up to rounding, the first is taken; in which order
they come is the finder's to say. Without any valid equilibrium the index is that of an invalid row.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.normal_form.equilibria import Equilibria, default_tolerance

Select = Callable[[Equilibria, jax.Array], jax.Array]  # (equilibria, payoffs [2, A, B]) -> [] int32


def first(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
    """Returns the index of the first equilibrium."""
    return jnp.argmax(equilibria.valid)


def second(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
    """Returns the index of the second equilibrium, or of the only one."""
    valid = equilibria.valid
    later = valid & (jnp.arange(len(valid)) != jnp.argmax(valid))
    return jnp.where(jnp.any(later), jnp.argmax(later), jnp.argmax(valid))


def welfare(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
    """Returns the index of the equilibrium with the largest sum of both players' values."""
    return _first_best(jnp.sum(equilibria.values, axis=1), equilibria.valid, payoffs)


def best_for(player: int) -> Select:
    """Returns the rule that takes what is worth most to one player: 0 the row, 1 the column."""
    require(player in (0, 1), "player", "0 or 1", player)

    def select(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
        return _first_best(equilibria.values[:, player], equilibria.valid, payoffs)

    return select


def payoff_dominant(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
    """Returns the index of the first equilibrium that no other one dominates.

    One dominates another if it is worth no less to both and more to one. Where one dominates all
    others it is taken: Harsanyi & Selten's (1988) payoff dominance.
    """
    margin = _margin(payoffs)
    mine, theirs = equilibria.values[:, None], equilibria.values[None]
    no_worse = jnp.all(theirs >= mine - margin, axis=2)
    better = jnp.any(theirs > mine + margin, axis=2)
    dominated = jnp.any(no_worse & better & equilibria.valid, axis=1)
    return jnp.argmax(equilibria.valid & ~dominated)


def risk_dominant(equilibria: Equilibria, payoffs: jax.Array) -> jax.Array:
    """Returns the index of the equilibrium that risk-dominates most of the others.

    Between (x, y) and (x', y') both players may doubt which one the other follows. What they lose
    by leaving the first for the second, alone, is multiplied:

        (u_1(x, y) - u_1(x', y)) (u_2(x, y) - u_2(x, y'))

    and the larger product risk-dominates. Between the strict equilibria of a 2 x 2 game this is
    Harsanyi & Selten's (1988, section 3.9) relation; beyond, it is not transitive, and counting
    whom one dominates is our generalisation. Of products that are equal the first equilibrium
    counts, where Harsanyi & Selten would take the mixed one.
    """
    payoffs = payoffs.astype(equilibria.row.dtype)
    row, column, values = equilibria.row, equilibria.column, equilibria.values
    row_leaves = jnp.einsum("fa,ab,eb->ef", row, payoffs[0], column, precision="highest")
    column_leaves = jnp.einsum("ea,ab,fb->ef", row, payoffs[1], column, precision="highest")
    row_loss = jnp.maximum(values[:, 0, None] - row_leaves, 0)
    column_loss = jnp.maximum(values[:, 1, None] - column_leaves, 0)
    ranges = jnp.max(payoffs, axis=(1, 2)) - jnp.min(payoffs, axis=(1, 2))
    product = row_loss * column_loss / jnp.prod(jnp.where(ranges > 0, ranges, 1))
    wins = (product > product.T + default_tolerance(product.dtype)) & equilibria.valid
    wins = jnp.sum(wins, axis=1)
    return jnp.argmax(jnp.where(equilibria.valid, wins, -1))


def _first_best(score, valid, payoffs):
    score = jnp.where(valid, score, -jnp.inf)
    return jnp.argmax(valid & (score >= jnp.max(score) - _margin(payoffs)))


def _margin(payoffs):
    """Differences of values below this are rounding."""
    dtype = jnp.promote_types(payoffs.dtype, jnp.float32)
    return default_tolerance(dtype) * (jnp.max(payoffs) - jnp.min(payoffs))
