"""Operations counted before compiling, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest

from jaxmarl_core.sweeps.work import product_flops

A, B = jnp.ones((3, 4)), jnp.ones((4, 5))
PRODUCT = 2 * 3 * 4 * 5


def scanned(a, b):
    return jax.lax.scan(lambda c, _: (c + a @ b, None), jnp.zeros((3, 5)), None, length=7)[0]


def branched(a, b):
    return jax.lax.cond(a.sum() > 0, lambda: a @ b, lambda: (a @ b) + (a @ b))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: a @ b, PRODUCT),
        (lambda a, b: jax.jit(jnp.matmul)(a, b) + 1, PRODUCT),
        (scanned, 7 * PRODUCT),
        (branched, 2 * PRODUCT),  # the dearer branch
        (lambda a, b: jax.vmap(lambda x: x @ b)(jnp.ones((6, 3, 4))) + a.sum(), 6 * PRODUCT),
        (lambda a, b: jax.grad(lambda a: (a @ b).sum())(a), 2 * PRODUCT),
        (jax.checkpoint(lambda a, b: a @ b), PRODUCT),
        (lambda a, b: a + 1, 0),
    ],
    ids=["plain", "jit", "scan", "cond", "vmap", "grad", "remat", "none"],
)
def test_products_are_counted(function, expected):
    assert product_flops(function, A, B) == expected


def test_a_convolution_is_counted():
    """Of 8 x 8 outputs of 2 features, each 3 x 3 x 5 multiplications and additions."""
    images, kernel = jnp.ones((1, 8, 8, 5)), jnp.ones((3, 3, 5, 2))
    convolve = lambda x, w: jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert product_flops(convolve, images, kernel) == 2 * 8 * 8 * 2 * 3 * 3 * 5


def test_xla_counts_the_same():
    layers = lambda x: jnp.tanh(jnp.tanh(x @ jnp.ones((16, 32))) @ jnp.ones((32, 8)))
    x = jnp.ones((64, 16))
    told = jax.jit(layers).lower(x).compile().cost_analysis()["flops"]
    assert product_flops(layers, x) == 2 * 64 * (16 * 32 + 32 * 8)
    assert told == pytest.approx(product_flops(layers, x), rel=0.2)  # and what is beside them
