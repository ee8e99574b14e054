"""A vector in parts is the whole vector, of which some parts are multiplied once for many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.learners.networks import Torso
from jaxmarl_core.learners.parted import parted_vector
from jaxmarl_core.spaces import Box, Composite, Discrete, zeros

T, B, N = 3, 2, 4
SPACE = Composite({"state": Box((5,)), "observation": Box((2, 1)), "number": Discrete(N)})
KEYS = jax.random.split(jax.random.key(0), 4)
OWN = {
    "observation": jax.random.normal(KEYS[1], (T, B, N, 2, 1)),
    "number": jnp.broadcast_to(jnp.arange(N), (T, B, N)),
}
ONCE = OWN | {"state": jax.random.normal(KEYS[0], (T, B, 1, 5))}
EACH = OWN | {"state": jnp.broadcast_to(ONCE["state"], (T, B, N, 5))}


@pytest.mark.parametrize(("hidden", "memory_size"), [((8, 6), 0), ((8,), 3), ((), 0)])
def test_a_state_for_all_is_a_state_for_each(hidden, memory_size):
    torso = Torso(SPACE, hidden=hidden, memory_size=memory_size)
    memory = jnp.zeros((B, N, memory_size)) if memory_size else ()
    params = torso.init(KEYS[2], jnp.zeros(memory_size) if memory_size else (), zeros(SPACE))
    reset = jnp.zeros((T, B), bool)
    weight = jax.random.normal(KEYS[3], (T, B, N, memory_size or (hidden or (11,))[-1]))

    def total(params, observation):
        features = torso.apply(params, memory, observation, reset)[1]
        return (weight * features).sum(), features

    found = jax.jit(jax.value_and_grad(total, has_aux=True))
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(same, found(params, ONCE), found(params, EACH))


def test_the_state_is_multiplied_once():
    """By count: 2 R S h for the state, with R = T B rows instead of T B N."""
    space = Composite({"state": Box((1000,)), "number": Discrete(N)})
    torso = Torso(space, hidden=(8,))
    params = jax.eval_shape(torso.init, KEYS[0], (), zeros(space))

    def flops(rows):
        seen = {"state": jnp.zeros((T, B, rows, 1000)), "number": OWN["number"]}
        forward = jax.jit(lambda params: torso.apply(params, (), seen)[1])
        return forward.lower(params).cost_analysis()["flops"]

    np.testing.assert_allclose(flops(N) / flops(1), N, rtol=0.05)


def test_neighbours_with_the_same_axes_are_one_part():
    rows = [jnp.ones((2, 3)), jnp.ones((8, 1)), jnp.zeros((8, 2))]
    found = parted_vector([(2, 1), (2, 4), (2, 4)], rows)
    assert found.leading == ((2, 1), (2, 4)) and found.shape == (2, 4)
    expected = np.tile([1, 1, 1, 1, 0, 0], (8, 1))
    np.testing.assert_array_equal(found.joined(), expected)
