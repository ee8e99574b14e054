"""Shared by all tests: `import probes` finds tests/probes.py, and `variant` runs a case thrice."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

# tests/ is no package (--import-mode=importlib), so its one shared module needs a path
sys.path.insert(0, str(Path(__file__).parent))


def _vmapped(function):
    def call(*args):
        batch = jax.tree.map(lambda x: jnp.stack([jnp.zeros_like(x), jnp.asarray(x)]), args)
        return jax.tree.map(lambda x: x[1], jax.vmap(function)(*batch))

    return call


@pytest.fixture(params=["plain", "jit", "vmap"])
def variant(request):
    """A transformation under which a function of arrays must keep its results.

    Under vmap the case is the second of two; the first holds zeros.
    """
    return {"plain": lambda f: f, "jit": jax.jit, "vmap": _vmapped}[request.param]
