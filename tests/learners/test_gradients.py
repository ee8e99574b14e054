"""The norm of a gradient, and its clipping, against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmarl_core.learners.gradients import clip_by_norm, gradient_norm

GRADIENT = {
    "kernel": jnp.array([[3.0, -4.0], [0.0, 12.0]]),
    "bias": jnp.zeros(2),
    "scale": jnp.float32(84.0),
}


def test_norm_of_all_leaves_together(variant):
    assert variant(gradient_norm)(GRADIENT) == 85.0  # 13, 84, 85
    assert gradient_norm({}) == 0.0


def test_types_stay():
    gradient = {"half": jnp.ones(2, jnp.bfloat16), "full": jnp.ones(2)}
    clipped, _ = clip_by_norm(jnp.float32(0.5)).update(gradient, optax.EmptyState())
    assert [clipped[name].dtype for name in gradient] == [jnp.bfloat16, jnp.float32]


@pytest.mark.parametrize("most", [1.0, 85.0, 100.0])
def test_clips_as_optax_does(most):
    ours, theirs = clip_by_norm(most), optax.clip_by_global_norm(most)
    clipped, expected = (rule.update(GRADIENT, rule.init(GRADIENT))[0] for rule in (ours, theirs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), clipped, expected)
    assert gradient_norm(clipped) <= most * (1 + 1e-6)
