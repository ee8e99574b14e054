"""The cheapest way to give N places to N agents, exactly, inside a compiled program."""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MOST = 10  # agents; the work doubles with each


class Matching(NamedTuple):
    """Facts of the assignment with the smallest total cost."""

    total: jax.Array  # [] its cost
    clipped: jax.Array  # [] its cost with every part cut off at `most`
    worst: jax.Array  # [] its dearest part


def match(cost: jax.Array, most: float) -> Matching:
    """Returns the cheapest assignment of rows to columns of `cost` [N, N], N up to 10.

    Held and Karp's programme over sets of columns: the best way to give the first k agents the
    columns of a set S of k is the best over who of S comes last,

        best(S) = min_{j in S} best(S \\ {j}) + cost[k, j]

    N 2^(N-1) additions in N rounds of static shape, where trying all orders takes N N!.
    """
    num = len(cost)
    zero = jnp.zeros(1, cost.dtype)
    best = Matching(zero, zero, zero)
    for k in range(num):
        part = cost[k]
        candidates = [
            Matching(
                best.total[rest] + part[last],
                best.clipped[rest] + jnp.minimum(part[last], most),
                jnp.maximum(best.worst[rest], part[last]),
            )
            for rest, last in _steps(num, k)
        ]
        best = candidates[0]
        for other in candidates[1:]:
            cheaper = other.total < best.total
            best = jax.tree.map(lambda a, b, c=cheaper: jnp.where(c, a, b), other, best)
    return jax.tree.map(lambda x: x[0], best)


def _steps(num: int, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    # For each of the k + 1 members that may come last: where the rest of every set of k + 1
    # columns stands among the sets of k, and that member.
    number = {members: i for i, members in enumerate(combinations(range(num), k))}
    sets = list(combinations(range(num), k + 1))
    steps = []
    for place in range(k + 1):
        rest = [number[members[:place] + members[place + 1 :]] for members in sets]
        steps.append((np.array(rest), np.array([members[place] for members in sets])))
    return steps
