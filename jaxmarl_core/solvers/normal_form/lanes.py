"""Many small games at once: the batch is the last axis, and is worked through in blocks.

A solver loops until its slowest game is done, over arrays of a few dozen entries. `vmap` puts the
batch first, where nothing fills a vector register; here it comes last. A processor takes a block
of games that fits into its cache, so that one hard game holds up only its block; an accelerator
takes all at once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

CACHE = 16_384  # entries of a block's largest array
SMALLEST, LARGEST = 8, 512  # games of a block


def over_lanes(function: Callable[..., Any], entries: int) -> Callable[..., Any]:
    """Returns a function of one game, from one of many games on the last axis, block by block.

    Args:
      function: maps arrays [..., games] to a pytree of arrays [..., games].
      entries: numbers that it works on per game, static.
    """
    in_blocks = blocked(function, entries)
    return all_at_once(
        lambda *args: jax.lax.platform_dependent(*args, cpu=in_blocks, default=function)
    )


def all_at_once(function: Callable[..., Any], axis: int = -1) -> Callable[..., Any]:
    """Returns a function of one game, from one of many games on an axis, the last or the first.

    Under `vmap`, however often nested, all games reach `function` on that axis: the last suits
    loops over small arrays, the first costs no transposition. The arguments' leaves may have any
    other axes. Reverse-mode derivatives are not defined.
    """
    many = custom_vmap(function)

    @many.def_vmap
    def rule(size, batched, *args):
        def fold(leaf, is_batched):
            if not is_batched:
                leaf = jnp.broadcast_to(leaf, (size, *leaf.shape))
            if axis == 0:
                return leaf.reshape(-1, *leaf.shape[2:])
            leaf = jnp.moveaxis(leaf, 0, -2)
            return leaf.reshape(*leaf.shape[:-2], -1)

        def unfold(leaf):
            if axis == 0:
                return leaf.reshape(size, -1, *leaf.shape[1:])
            return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], size, -1), -2, 0)

        out = jax.tree.map(unfold, many(*jax.tree.map(fold, args, tuple(batched))))
        return out, jax.tree.map(lambda _: True, out)

    def one(*args):
        out = many(*jax.tree.map(lambda leaf: jnp.expand_dims(leaf, axis), args))
        return jax.tree.map(lambda leaf: jnp.squeeze(leaf, axis), out)

    return one


def blocked(function: Callable[..., Any], entries: int) -> Callable[..., Any]:
    """Returns the function, called on one block of games after another."""
    largest = min(max(CACHE // max(entries, 1), SMALLEST), LARGEST)

    def call(*args):
        games = jax.tree.leaves(args)[0].shape[-1]
        if games <= largest:
            return function(*args)
        blocks = -(-games // largest)
        size = -(-games // (blocks * SMALLEST)) * SMALLEST
        blocks = -(-games // size)

        def split(leaf):  # [..., games] -> [blocks, ..., size], the last game filling up
            pad = [(0, 0)] * (leaf.ndim - 1) + [(0, blocks * size - games)]
            leaf = jnp.pad(leaf, pad, mode="edge").reshape(*leaf.shape[:-1], blocks, size)
            return jnp.moveaxis(leaf, -2, 0)

        def join(leaf):
            leaf = jnp.moveaxis(leaf, 0, -2)
            return leaf.reshape(*leaf.shape[:-2], -1)[..., :games]

        out = jax.lax.map(lambda block: function(*block), jax.tree.map(split, args))
        return jax.tree.map(join, out)

    return call
