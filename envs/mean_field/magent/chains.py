"""What waits for what, resolved in a number of rounds that the number of agents alone decides.

Guessing and correcting until nothing changes takes as many rounds as the game happens to ask for.
A processor does not mind; an accelerator must ask the host after each one whether to go on, and
launch kernels for it. Here rounds are counted beforehand, each of them one kernel:

- a move waits for one agent, whoever stands on its target: `led_to` follows such chains, each round
  to the end of `HOPS` links that the round before left;
- a strike waits for those that could kill the striker before its turn, who each strike nothing but
  it: a forest. `settle` shortens it from the leaves and along chains at once, parallel tree
  contraction (Miller & Reif, 1985, Parallel tree contraction and its application, FOCS).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

HOPS = 8  # links that are followed in a round; see `rounds_to_settle`


def entries(table: jax.Array, index: jax.Array) -> jax.Array:
    """Returns table[index], [...], for a table [N] and indices [...] int32 in 0..N - 1.

    Without the question whether an index is negative, which would be asked twice of each: XLA then
    makes no one kernel of several look-ups that follow each other.
    """
    found = jnp.take_along_axis(table, index.reshape(-1), 0, mode="promise_in_bounds")
    return found.reshape(index.shape)


def led_to(following: jax.Array) -> jax.Array:
    """Returns where chains end, [N] int32: from each entry, following it until it stays.

    Args:
      following: [N] int32 in 0..N - 1; an end is followed by itself, and nothing runs in a circle.
    """
    longest = max(2, following.shape[0] - 1)  # links
    rounds = math.ceil(math.log(longest, 2 * HOPS))
    hops = math.ceil(longest ** (1 / rounds))
    hops += hops**rounds < longest  # where the root was rounded
    for _ in range(rounds):
        end = following
        for _ in range(hops - 1):
            end = entries(following, end)
        following = end
    return following


def settle(earlier: jax.Array, child: jax.Array, needed: jax.Array) -> jax.Array:
    """Returns which nodes of a forest act, [N] bool: all but those of whose children enough do.

    A node's word is what is known of it: that it acts or not, or that it does what another node
    does, or the opposite. It is known once few enough of its children are open, and a link to
    the last one that is. Words have numbers: v is "as node v", N + v "the opposite", 2 N "does not"
    and 2 N + 1 "does"; so a table of what is known of each word is followed by look-ups alone.

    Args:
      earlier: [K, N] bool, which of a node's K <= 31 places for children hold one. Each node is the
        child of one other at most, and of none that is below it.
      child: [K, N] int32, their indices, of anything where there is none.
      needed: [N] int32 >= 1.
    """
    n = needed.shape[0]
    does_not = 2 * n  # the least word that is known
    word = np.arange(2 * n + 2, dtype=np.int32)
    opposite = _opposite(word, n)
    of_word = lambda x, known: jnp.concatenate([x, x, jnp.full_like(x[..., :2], known)], -1)
    place = of_word(jnp.where(earlier, child, does_not), does_not)  # [K, 2 N + 2]
    needed = of_word(needed, 1)

    def counted(below: jax.Array) -> jax.Array:
        """Returns the words after those of their children, [2 N + 2] from [K, 2 N + 2]."""
        # One sum of three: how many act, how many are open, the words of these. It is one pass, and
        # the third is only read where it is that of one.
        is_open = below < does_not
        total = jnp.sum(jnp.where(is_open, below << 10 | 1 << 5, below & 1), 0, dtype=jnp.int32)
        acting, num_open, last_open = total & 31, total >> 5 & 31, total >> 10
        found = jnp.where(num_open == 1, _opposite(last_open, n), np.minimum(word, opposite))
        found = jnp.where(acting + num_open < needed, does_not + 1, found)
        found = jnp.where(acting >= needed, does_not, found)
        found = jnp.where((n <= word) & (word < 2 * n), _opposite(found, n), found)
        return jnp.where(word < does_not, found, word)

    known = counted(place)
    for _ in range(rounds_to_settle(n)):
        known = counted(_followed(known, place))
    return _followed(known, word[:n]) == does_not + 1


def _followed(known: jax.Array, word: Any) -> jax.Array:
    for _ in range(HOPS):
        word = entries(known, jnp.asarray(word))
    return word


def _opposite(word: Any, n: int) -> Any:
    """Returns what a node does that does the opposite of a word: v and N + v, 2 N and 2 N + 1."""
    numpy = np if isinstance(word, np.ndarray) else jnp
    of_link = numpy.where(word < n, word + n, word - n)
    return numpy.where(word < 2 * n, of_link, 4 * n + 1 - word)


def rounds_to_settle(num_nodes: int) -> int:
    """Returns how many rounds settle every forest of so many nodes.

    Let s(r) be the size of the smallest tree whose root is open after fewer than r rounds to one
    who follows HOPS links; s(1) = 2, a node and a child, as one without is settled from the
    start. Take the path from a root down to the largest child each time. If all trees beside it
    are settled after r rounds, all of the path are links or settled after one more. Then its root
    is settled for the reader too, unless the path has more than HOPS nodes that became links just
    then; each has beside it a tree that was open a round before. With those that became links
    earlier, which have been shortened HOPS-fold in each round since while s at most doubles, a tree
    that takes a round more has at least HOPS (1 - 2 / HOPS) = 6 times s(r) nodes. One without such
    a path takes a round more only where two such trees meet: 2 s(r) + 1. So s(r + 1) = 2 s(r) + 1,
    and s(r) = 3 2^(r - 1) - 1.
    """
    return ((num_nodes + 1) // 3).bit_length()
