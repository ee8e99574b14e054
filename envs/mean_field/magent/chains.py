"""What waits for what, resolved in a number of rounds that the number of agents alone decides.

Guessing and correcting until nothing changes takes as many rounds as the game happens to ask for.
A processor does not mind; an accelerator must ask the host after each one whether to go on, and
launch kernels for it. Here rounds are counted beforehand, each of them one kernel:

- a move waits for one agent, whoever stands on its target: `led_to` follows such chains, each round
  over so many links that the round before left;
- a strike waits for those that could kill the striker before its turn, who each strike nothing but
  it: a forest. `settle` shortens it from the leaves and along chains at once, parallel tree
  contraction (Miller & Reif, 1985, Parallel tree contraction and its application, FOCS).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

HOPS = 4  # links that a round of `settle` follows; see `rounds_to_settle`
LINKS = 16  # at most, that a round of `led_to` follows


def entries(table: jax.Array, index: jax.Array) -> jax.Array:
    """Returns table[index], [...], for a table [N] and indices [...] int32 in 0..N - 1.

    Without the question whether an index is negative, which would be asked twice of each: XLA then
    makes no one kernel of several look-ups that follow each other. Under `vmap` all tables lie
    one behind the other and each is asked from where it begins: of indices with a part for each
    mapped axis, XLA takes twenty times as long to compile a chain of look-ups.
    """
    return _entries(table, index, 0)


def _entries(table: jax.Array, index: jax.Array, lead: int) -> jax.Array:
    """Returns the entries of tables [*lead, N], lead axes of them, at indices [*lead, ...]."""

    @jax.custom_batching.custom_vmap
    def look_up(table, index):
        flat = table.reshape(-1)
        if lead:
            sizes = table.shape[:lead]
            first = np.arange(math.prod(sizes), dtype=np.int32).reshape(sizes) * table.shape[-1]
            index = index + first.reshape(*sizes, *[1] * (index.ndim - lead))
        return flat.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)

    @look_up.def_vmap
    def _(size, batched, table, index):
        if not any(batched):
            return look_up(table, index), False
        table, index = (
            x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
            for x, is_batched in zip((table, index), batched)
        )
        return _entries(table, index, lead + 1), True

    return look_up(table, index)


def led_to(following: jax.Array) -> jax.Array:
    """Returns where chains end, [N] int32: from each entry, following it until it stays.

    Args:
      following: [N] int32 in 0..N - 1; an end is followed by itself, and nothing runs in a circle.
    """
    longest = max(2, following.shape[0] - 1)  # links
    rounds = math.ceil(math.log(longest, LINKS))
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

    Let s(r) be the least number of nodes below a root, itself among them, that a reader who follows
    HOPS links still finds open after r - 1 rounds. s(1) = 2: a node and a child, as one without is
    known from the start. Take the path from a root down to the largest child each time, and let
    all trees beside it be known to a reader after r rounds. After one more, every node of the path
    is known or a link. A link leads past all nodes that were links a round before, HOPS of them
    and the child, as far as the next that was still open then. So a root that a reader still finds
    open has HOPS such nodes below it, each with a tree beside it that was not known before round r,
    the lowest with two: HOPS + 1 trees, (HOPS + 1) s(r) nodes and more, or longer stretches of
    links, which cost more. With fewer the root takes a round more than the trees beside it, which
    two that meet suffice for: s(r + 1) = 2 s(r) + 1, so s(r) = 3 2^(r - 1) - 1, and two rounds more
    take 4 s(r) + 3. HOPS = 4 is enough for that.
    """
    return ((num_nodes + 1) // 3).bit_length()
