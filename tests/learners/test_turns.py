"""One agent out of a stack, and the order in which agents learn in every gradient step."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.learners.turns import drawn_order, pick, put


def test_one_is_taken_out_and_put_back():
    tree = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.arange(3)}
    one = pick(jnp.int32(1), tree)
    np.testing.assert_array_equal(one["a"], [2, 3])
    back = put(jnp.int32(2), tree, one)
    np.testing.assert_array_equal(back["a"], [[0, 1], [2, 3], [2, 3]])
    np.testing.assert_array_equal(back["b"], [0, 1, 1])
    np.testing.assert_array_equal(pick(jnp.int32(1), tree["a"], 1), [1, 3, 5])
    moved = put(jnp.int32(0), tree["a"], jnp.array([7.0, 8.0, 9.0]), 1)
    np.testing.assert_array_equal(moved, [[7, 1], [8, 3], [9, 5]])


def test_every_gradient_step_has_an_order_of_its_own():
    order = jax.jit(jax.vmap(lambda step: drawn_order(jnp.int32(3), 5, step)))
    orders = np.asarray(order(jnp.arange(50)))
    np.testing.assert_array_equal(np.sort(orders, 1), np.tile(np.arange(5), (50, 1)))
    assert len({tuple(order) for order in orders}) > 30
    np.testing.assert_array_equal(order(jnp.arange(50)), orders)
