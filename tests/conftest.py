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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Says what is tested by one worker in a row: a file, or a case of a contract.

    A contract's tests share what was compiled for a case; its file as a whole would keep one
    worker busy long after the others are done.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByCase(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, test = nodeid.partition("::")
            case = test.partition("[")[2] if "test_contract" in file else ""
            return f"{file} {case}"

    return ByCase(config, log)
