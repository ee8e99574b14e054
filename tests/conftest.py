"""Shared by all tests: `import probes` finds tests/probes.py, and `variant` runs a case thrice.

Of a test with many cases, `@pytest.mark.fast(*ids)` names those that `make test` runs: the others
say the same of another size or another learner, and are `slow`.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

# tests/ is no package (--import-mode=importlib), so its one shared module needs a path
sys.path.insert(0, str(Path(__file__).parent))


FULL = 1.7 * 2**30  # bytes of a worker above which it forgets what it compiled, between scopes
BRIM = 2.2 * 2**30  # and above which it does so after any test


def scope(nodeid: str) -> str:
    """Returns what is tested by one worker in a row: a file, or a case of a contract.

    A contract's tests share what was compiled for a case; its file as a whole would keep one
    worker busy long after the others are done.
    """
    file, _, test = nodeid.partition("::")
    case = test.partition("[")[2] if "test_contract" in file else ""
    return f"{file} {case}"


def pytest_collection_modifyitems(config, items):
    """Marks as slow what a test's `fast` mark does not name."""
    left = {}  # test -> names of which no case was seen
    for item in items:
        mark = item.get_closest_marker("fast")
        if mark is not None:
            unseen = left.setdefault(item.nodeid.partition("[")[0], set(mark.args))
            unseen.discard(item.callspec.id)
            if item.callspec.id not in mark.args:
                item.add_marker("slow")
    chosen = any("::" in argument for argument in config.args)  # perhaps a case by its name
    missing = {test: names for test, names in left.items() if names and not chosen}
    assert not missing, f"fast: there are no such cases: {missing}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Clears JAX's caches where a worker has grown large.

    Every compiled program is kept for as long as its function lives; over all modules that came to
    5 GB a worker. A small worker keeps its caches, as even `jnp.zeros` would be compiled again.
    """
    result = yield
    between = nextitem is None or scope(nextitem.nodeid) != scope(item.nodeid)
    if _resident() > (FULL if between else BRIM):
        _forget()
    return result


def _forget():
    gc.collect()
    gc.disable()  # nothing is to be collected, and call back, while a cache is half cleared
    try:
        jax.clear_caches()
    finally:
        gc.enable()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _resident() -> float:
    """Returns the bytes of memory that this process holds; 0 where that is not told."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0.0
    return float(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
    """Hands each worker one scope after another."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope(nodeid)

    return ByScope(config, log)
