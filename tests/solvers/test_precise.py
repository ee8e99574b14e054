"""Double precision where single was in doubt, and only there: sums that single precision loses."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.solvers.normal_form.precise import doubled_where_doubtful, look_twice

SMALL = np.float32(1e-9)  # 1 + SMALL is 1 in single precision


def tail(x, doubt):
    """(1 + x) - 1, which is x if there are digits enough, after a loop of as many steps."""
    total = jax.lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0] + x, c[1] + 1), (1 + 0 * x, 0))
    return {"left": total[0] - 1, "steps": total[1]}, doubt


def test_only_what_is_in_doubt_is_doubled():
    doubt = np.random.default_rng(0).random(1000) < 0.1  # more than are solved again at a time
    assert doubt.sum() > 1000 // 32
    found = jax.jit(jax.vmap(doubled_where_doubtful(tail)))(np.full(1000, SMALL), doubt)
    assert found["left"].dtype == np.float32 and found["steps"].dtype == np.int32
    np.testing.assert_allclose(found["left"], np.where(doubt, 3 * SMALL, 0), rtol=1e-6)
    np.testing.assert_array_equal(found["steps"], 3)


def test_plain_jitted_vmapped_and_scanned():
    solve = doubled_where_doubtful(tail)
    left = lambda x, doubt: solve(x, doubt)["left"]
    yes = jnp.bool_(True)
    many = jnp.full((2, 3), SMALL)
    np.testing.assert_allclose(left(jnp.float32(SMALL), yes), 3 * SMALL, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(left)(SMALL, yes), 3 * SMALL, rtol=1e-6)
    nested = jax.vmap(jax.vmap(jax.jit(left), (0, None)), (0, None))
    np.testing.assert_allclose(nested(many, yes), 3 * SMALL, rtol=1e-6)

    def scanned(x):
        return jax.lax.scan(lambda sum_, _: (sum_ + left(x, yes), None), 0 * x, None, length=5)[0]

    np.testing.assert_allclose(jax.jit(jax.vmap(scanned))(many[0]), 15 * SMALL, rtol=1e-6)


def test_double_precision_is_left_alone():
    calls = []
    with jax.enable_x64(True):
        solve = doubled_where_doubtful(lambda x: (calls.append(x.dtype), (x + 1, x > 0))[1])
        assert solve(jnp.float64(1)) == 2
    assert set(calls) == {np.dtype("float64")}
    assert not jax.config.jax_enable_x64


TRACED = []


def scaled_tail(x, doubt, scale):
    TRACED.append(x.dtype)
    return scale * tail(x, doubt)[0]["left"], doubt


def test_what_is_called_plainly_is_compiled_once():
    """Once for every choice of options, in both precisions."""
    TRACED.clear()
    for x in (SMALL, 2 * SMALL, 3 * SMALL):
        np.testing.assert_allclose(
            look_twice(scaled_tail, jnp.float32(x), jnp.bool_(True), scale=2.0), 6 * x, rtol=1e-6
        )
    assert len(TRACED) == 2 and set(TRACED) == {np.dtype("float32"), np.dtype("float64")}
    look_twice(scaled_tail, jnp.float32(SMALL), jnp.bool_(True), scale=3.0)
    assert len(TRACED) == 4
