"""Derivatives where functions have an edge, against finite differences in double precision."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Edge(NamedTuple):
    name: str
    function: Callable[..., Any]  # of the arrays that are differentiated, to arrays
    at: tuple[Any, ...]  # where; infinities stay what they are when moved
    forward: bool = True  # whether there is a forward mode
    second: bool = True  # whether the slope has a slope there
    step: float = 1e-6


def check(edge: Edge) -> None:
    """Slope in a random direction: reverse, forward, second, and under transformations."""
    with jax.enable_x64(True):
        at = tuple(jnp.asarray(x, jnp.float64) for x in edge.at)
        rng = np.random.default_rng(0)
        along = tuple(jnp.asarray(rng.normal(size=x.shape)) for x in at)
        out = jax.eval_shape(edge.function, *at)
        assert all(x.dtype == jnp.float64 for x in jax.tree.leaves(out)), out
        weights = jax.tree.map(lambda x: rng.normal(size=x.shape), out)

        def total(args):
            found = edge.function(*args)
            return sum(jax.tree.leaves(jax.tree.map(lambda w, x: jnp.sum(w * x), weights, found)))

        slope = jax.grad(total)
        dot = lambda a, b: sum(jnp.sum(x * y) for x, y in zip(a, b))

        @jax.jit
        def measure(at):
            moved = tuple(
                jnp.stack([x, x + edge.step * v, x - edge.step * v]) for x, v in zip(at, along)
            )
            values, slopes = jax.vmap(total)(moved), jax.vmap(slope)(moved)
            plain = slope(at)
            after = lambda carry, x: (carry, slope(x))
            once = jax.tree.map(lambda x: x[None], at)
            found = {
                "vmap": [x[0] for x in slopes],
                "scan": [x[0] for x in jax.lax.scan(after, 0, once)[1]],
                "remat": jax.grad(jax.checkpoint(total))(at),
            }
            if edge.forward:
                found["forward"] = jax.jvp(total, (at,), (along,))[1]
            if edge.second:
                found["second"] = jax.grad(lambda at: dot(slope(at), along))(at)
            return values, slopes, plain, found

        values, slopes, plain, found = jax.tree.map(np.asarray, measure(at))
        assert np.isfinite(values).all(), values
        for x in plain:
            assert np.isfinite(x).all(), plain
        wanted = (values[1] - values[2]) / (2 * edge.step)
        size = 1 + abs(wanted)
        reverse = float(dot(plain, along))
        assert abs(reverse - wanted) <= 1e-5 * size, (reverse, wanted)
        if edge.forward:
            assert abs(found["forward"] - wanted) <= 1e-5 * size, (found["forward"], wanted)
        for name in ("vmap", "scan", "remat"):
            for mine, theirs in zip(plain, found[name]):
                np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-12, err_msg=name)
        if edge.second:
            for one, both in zip(found["second"], slopes):
                change = (both[1] - both[2]) / (2 * edge.step)
                np.testing.assert_allclose(one, change, rtol=1e-4, atol=1e-4, err_msg="second")
