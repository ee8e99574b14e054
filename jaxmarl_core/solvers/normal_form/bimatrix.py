"""All extreme equilibria of small bimatrix games, by enumerating vertices; and one, selected.

The mixed strategies of a player, cut by which replies are best to them, form a polyhedron. A pair
of its vertices, one of each player's, is an equilibrium where every action is either unused or a
best reply. In a nondegenerate game these are all equilibria. In a degenerate one they are the
extreme ones: every equilibrium is a mixture of those of them that may be exchanged.

Which vertices there are is decided by small linear systems, one for every choice of equally many
actions of both players: their list depends on the sizes alone, so that a game is solved by
arithmetic on arrays of fixed shape, the same for all games of a batch.

Mangasarian, 1964, J. SIAM 12(4); Avis, Rosenberg, Savani & von Stengel, 2010, Economic Theory 42.
"""

from collections.abc import Callable
from functools import cache, reduce
from itertools import combinations
from math import comb
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.normal_form.equilibria import (
    Equilibria,
    Equilibrium,
    certified,
    checked,
    default_tolerance,
    first_true,
    first_true_pairs,
    game,
)
from jaxmarl_core.solvers.normal_form.gradients import without_gradient
from jaxmarl_core.solvers.normal_form.precise import look_twice
from jaxmarl_core.solvers.normal_form.selection import Select, first
from jaxmarl_core.solvers.normal_form.zero_sum import result_type, sufficient

MOST_SYSTEMS = 1000  # 6 x 6 games have 923


def bimatrix_nash(
    payoffs: jax.Array,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    capacity: int | None = None,
    tolerance: float | None = None,
) -> Equilibria:
    """Returns all extreme equilibria of a bimatrix game, in a fixed order.

    They are ordered by the row player's strategy, then by the column player's: fewer actions
    first, then the lower numbers of the actions used, then those of the first best replies.

    Args:
      payoffs: [2, A, B] f32 or f64, to the row and to the column player.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are. Solving the
        submatrix of the legal actions gives the same.
      capacity: K, how many are kept, static; `count` says how many there are. None: twice the
        2^d - 1 that a nondegenerate d x d game of up to 4 x 4 may have.
      tolerance: what counts as zero, in units of the largest loss; None: 1e-5 in f32, 1e-9 in f64.

    No equilibrium is valid that could gain more than 1e-5 of the range of a player's payoffs, what
    is dominated left aside. A game with one that could, or without any, is solved again in double
    precision, whatever `jax_enable_x64` says. There are no derivatives.

    Raises:
      ValueError: if a shape does not fit, or the game is larger than 6 x 6 or so.
    """
    given, rows, columns = checked(payoffs, row_mask, column_mask)
    sizes = given.shape[1:]
    systems = comb(sum(sizes), sizes[0])
    require(
        systems <= MOST_SYSTEMS,
        "payoffs",
        f"at most {MOST_SYSTEMS} systems (6 x 6); for larger games see lemke_howson",
        f"{sizes[0]} x {sizes[1]}, {systems} systems",
    )
    capacity = default_capacity(*sizes) if capacity is None else capacity
    require(capacity >= 1, "capacity", "at least 1", capacity)
    share = sufficient(result_type(given))
    options = {"capacity": capacity, "tolerance": tolerance, "share": share}
    found = look_twice(_all_extreme, given, rows, columns, **options)
    return without_gradient("bimatrix_nash", payoffs, found)


def _all_extreme(payoffs, rows, columns, capacity, tolerance, share):
    """Returns the equilibria of one game, and whether they are in doubt."""
    if tolerance is None:
        tolerance = default_tolerance(payoffs.dtype)
    solving = game(payoffs, rows, columns)
    rows, columns = solving.legal
    sizes = payoffs.shape[1:]
    num_words = -(-sum(sizes) // WORD)
    lower, upper = np.arange(sizes[0]), sizes[0] + np.arange(sizes[1])  # labels of actions
    row = _vertices(solving.replies[0], rows, columns, lower, upper, num_words, tolerance)
    column = _vertices(solving.replies[1], columns, rows, upper, lower, num_words, tolerance)
    found = row.valid[:, None] & column.valid  # [V, W]
    for mine, theirs, every in zip(row.labels, column.labels, _words(range(sum(sizes)), num_words)):
        found &= (mine[:, None] | theirs) == every
    pair = first_true_pairs(found, capacity)  # [K, V] and [K, W], one vertex each
    mixed_row, mixed_column = (
        jnp.dot(marked.astype(side.points.dtype), side.points, precision="highest")
        for marked, side in zip(pair, (row, column))
    )
    equilibria, doubt = certified(
        solving, mixed_row, mixed_column, jnp.any(pair[0], axis=1), jnp.sum(found), share
    )
    some = rows.any() & columns.any() & ~jnp.isnan(solving.nan)
    return equilibria, doubt & some


Find = Callable[..., Equilibria]  # (payoffs, row_mask, column_mask) -> Equilibria


def nash(
    payoffs: jax.Array,
    row_mask: jax.Array | None = None,
    column_mask: jax.Array | None = None,
    select: Select = first,
    find: Find = bimatrix_nash,
) -> Equilibrium:
    """Returns one equilibrium of a bimatrix game.

    It is selected from those that `find` has room for, `capacity` of `bimatrix_nash`; where there
    are more, `complete` is false. There are no derivatives.

    Args:
      payoffs: [2, A, B] f32 or f64, to the row and to the column player.
      row_mask, column_mask: [A] and [B] bool, true where legal; None: all are.
      select: which one, a function from selection.py.
      find: what finds those it selects from: `bimatrix_nash`, or `lemke_howson_equilibria`.
    """
    equilibria = find(payoffs, row_mask, column_mask)
    index = select(equilibria, jnp.asarray(payoffs))
    chosen = jnp.arange(len(equilibria.valid)) == index
    pick = lambda x: jnp.tensordot(chosen.astype(x.dtype), x, 1, precision="highest")
    solved = jnp.any(chosen & equilibria.valid)
    # NaN payoffs may be those of illegal actions
    no_number = ~solved & _has_nan(payoffs, row_mask, column_mask)
    nan = jnp.where(no_number, jnp.nan, 0).astype(equilibria.row.dtype)
    return Equilibrium(
        (pick(equilibria.row) + nan, pick(equilibria.column) + nan),
        jnp.where(solved, pick(equilibria.values), jnp.nan),
        jnp.where(solved, pick(equilibria.regret), jnp.nan),
        solved,
        equilibria.count <= len(equilibria.valid),
    )


def _has_nan(payoffs, row_mask, column_mask):
    payoffs, rows, columns = checked(payoffs, row_mask, column_mask)
    return jnp.any(jnp.isnan(payoffs) & rows[:, None] & columns)


def default_capacity(num_rows: int, num_columns: int) -> int:
    """Returns twice the most equilibria of a nondegenerate square game of the smaller size."""
    return 2 * (2 ** min(num_rows, num_columns) - 1)


WORD = 30  # labels in an integer


class Vertices(NamedTuple):
    points: jax.Array  # [V, m] f32, mixed strategies; zeros where there is none
    labels: list[jax.Array]  # [V] int32 each, bits: own unused actions, best replies of the other
    valid: jax.Array  # [V] bool


def _vertices(replies, own, other, own_labels, other_labels, num_words, tolerance) -> Vertices:
    """The vertices of one player's polyhedron.

    A vertex with k actions in use has k best replies between which it makes the other indifferent
    and which determine it. Choosing these from more than k finds a vertex again: the first counts.

    Args:
      replies: [m, n] f32, what the other's replies lose.
      own, other: [m], [n] bool, legal actions.
      own_labels, other_labels: [m], [n] integers, static: the numbers of actions as labels.
      num_words: integers for all labels.
    """
    m, n = replies.shape
    found, points, unused, best = [], [], [], []
    for k in range(1, min(m, n) + 1):
        support, reply = _subsets(m, k), _subsets(n, k)  # [R, k], [C, k]
        table = replies[support[:, None, :, None], reply[None, :, None, :]]  # [R, C, k, k]
        entry = lambda p, q, table=table: table[:, :, p, q]
        chance, regular = _indifferent(
            [[entry(p, q) for p in range(k)] for q in range(k)], tolerance
        )
        losses = [
            sum(chance[p] * replies[support[:, p], j][:, None] for p in range(k)) for j in range(n)
        ]  # n times [R, C]
        level = sum(chance[p] * entry(p, 0) for p in range(k))
        legal = jnp.all(own[support], axis=1)[:, None] & jnp.all(other[reply], axis=1)
        is_vertex = regular & legal
        for p in range(k):
            is_vertex &= chance[p] > tolerance
        tight = [
            jnp.broadcast_to(replied, is_vertex.shape)
            for replied in _words(other_labels[reply], num_words)
        ]
        for j in range(n):
            is_vertex &= (losses[j] <= level + tolerance) | ~other[j]
            word, bit = divmod(int(other_labels[j]), WORD)
            tight[word] |= ((losses[j] >= level - tolerance) & other[j]).astype(jnp.int32) << bit
        earlier = is_vertex[:, None, :] & np.tri(len(reply), k=-1, dtype=bool)
        for word in tight:
            earlier &= word[:, :, None] == word[:, None, :]
        again = jnp.any(earlier, axis=2)
        found.append((is_vertex & ~again).ravel())
        best.append([word.ravel() for word in tight])
        used = zip(_words(own_labels[support], num_words), _words(own_labels, num_words))
        unused.append([np.repeat(every - mine, len(reply)) for mine, every in used])
        uses = support[:, :, None] == np.arange(m)  # [R, k, m]
        point = reduce(
            add,
            (jnp.where(is_vertex, chance[p], 0)[..., None] * uses[:, None, p] for p in range(k)),
        )
        points.append(point.reshape(-1, m))
    found = jnp.concatenate(found)
    chosen = first_true(found, _most_vertices(m, n))
    pick = lambda bits: jnp.sum(jnp.where(chosen, bits, 0), axis=1)
    return Vertices(
        jnp.dot(chosen.astype(replies.dtype), jnp.concatenate(points), precision="highest"),
        [
            pick(jnp.asarray(np.concatenate(mine))) | pick(jnp.concatenate(theirs))
            for mine, theirs in zip(zip(*unused), zip(*best))
        ],
        jnp.any(chosen, axis=1),
    )


def _indifferent(entries, tolerance):
    """Solves for the mixture to which all of k replies are worth the same.

        sum_p x_p (entries[q][p] - entries[0][p]) = 0 for q > 0,   sum_p x_p = 1

    Gaussian elimination with row pivoting, written out: k is at most 6, and every number of it is
    an array over systems, so that the whole becomes one loop over systems and games.

    Args:
      entries: k lists of k arrays [...], entries[reply][action].

    Returns:
      (k times [...], x; [...] bool, whether the system determines it).
    """
    k = len(entries)
    one, zero = jnp.ones_like(entries[0][0]), jnp.zeros_like(entries[0][0])
    rows = [[entry - base for entry, base in zip(row, entries[0])] + [zero] for row in entries[1:]]
    rows.append([one] * (k + 1))
    regular = jnp.ones_like(one, bool)
    for p in range(k):
        for q in range(p + 1, k):
            swap = jnp.abs(rows[q][p]) > jnp.abs(rows[p][p])
            upper = [jnp.where(swap, b, a) for a, b in zip(rows[p], rows[q])]
            lower = [jnp.where(swap, a, b) for a, b in zip(rows[p], rows[q])]
            rows[p], rows[q] = upper, lower
        pivot = rows[p][p]
        regular &= jnp.abs(pivot) > tolerance
        pivot = jnp.where(regular, pivot, 1)
        for q in range(p + 1, k):
            factor = rows[q][p] / pivot
            rows[q] = [b - factor * a for a, b in zip(rows[p], rows[q])]
        rows[p][p] = pivot
    x = [zero] * k
    for p in reversed(range(k)):
        known = sum((rows[p][q] * x[q] for q in range(p + 1, k)), zero)
        x[p] = (rows[p][k] - known) / rows[p][p]
    return x, regular


@cache
def _subsets(size: int, k: int) -> np.ndarray:
    return np.array(list(combinations(range(size), k)), np.int32)


def _words(labels, num_words: int) -> list[np.ndarray]:
    """Sets of labels [..., k] as bits: so many integers [...]."""
    labels = np.asarray(labels, np.int32)
    bits = np.int32(1) << labels % WORD
    return [
        np.asarray(np.sum(np.where(labels // WORD == word, bits, 0), axis=-1, dtype=np.int32))
        for word in range(num_words)
    ]


def _most_vertices(m: int, n: int) -> int:
    """The most vertices of m dimensions and m + n facets, less the origin: McMullen, 1970."""
    facets = m + n
    even = comb(facets - (m + 1) // 2, m // 2)
    odd = comb(facets - 1 - m // 2, (m - 1) // 2)
    return even + odd - 1
