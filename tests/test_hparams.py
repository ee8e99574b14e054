import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxmarl_core import hparams
from jaxmarl_core.hparams import hparam


@struct.dataclass
class Hparams:
    learning_rate: float = hparam(3e-4, low=0.0, high=1.0, scale="log")
    gamma: float = hparam(0.99, low=0.0, high=1.0)
    clip: float = hparam(0.1, low=0.1, high=0.9)
    bonus: float = 0.0  # a plain field may hold anything


def test_names():
    assert hparams.names(Hparams) == ("learning_rate", "gamma", "clip", "bonus")


def test_grid_is_the_full_factorial_the_last_axis_fastest():
    table = hparams.grid(Hparams(), gamma=[0.5, 0.9], clip=[0.1, 0.2, 0.3])
    assert hparams.num_rows(table) == 6
    np.testing.assert_allclose(table.gamma, [0.5, 0.5, 0.5, 0.9, 0.9, 0.9])
    np.testing.assert_allclose(table.clip, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(table.learning_rate, np.full(6, 3e-4))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(table))


def test_grid_without_axes_is_the_defaults():
    table = hparams.grid(Hparams())
    assert hparams.num_rows(table) == 1
    assert hparams.row(table, 0).gamma == np.float32(0.99)


def test_rows_and_row():
    table = hparams.table(Hparams(), gamma=[0.1, 0.2], bonus=[-5, 5])
    one = hparams.row(table, 1)
    assert (one.gamma, one.bonus) == (np.float32(0.2), 5)
    assert hparams.row(table, -1) == one


@given(st.floats(0.1, 0.9))
@settings(max_examples=50, deadline=None)
def test_every_value_in_range_passes(value):
    hparams.check(Hparams(clip=value))
    hparams.check(Hparams(clip=np.float32(value)))


def test_both_ends_of_a_range_are_in_it():
    # float32(0.1) lies above 0.1 and float32(0.9) below 0.9: neither may count against them
    for clip in (0.1, 0.9):
        hparams.table(Hparams(), clip=[clip])
        hparams.check(Hparams(clip=jnp.float32(clip)))


def test_sample_draws_linear_and_log():
    table = hparams.sample(
        jax.random.key(0), Hparams(), 500, gamma=(0.5, 1.0), learning_rate=(1e-5, 1e-1)
    )
    assert stats.kstest(np.asarray(table.gamma), stats.uniform(0.5, 0.5).cdf).pvalue > 0.001
    logs = np.log10(np.asarray(table.learning_rate))
    assert stats.kstest(logs, stats.uniform(-5, 4).cdf).pvalue > 0.001
    assert abs(np.corrcoef(table.gamma, logs)[0, 1]) < 0.15
    np.testing.assert_allclose(table.clip, np.full(500, 0.1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: hparams.table(Hparams(), gamma=[0.1, 0.2, 0.3, 1.2]),
            r"gamma: expected in \[0, 1\], got 1.2 in row 3",
        ),
        (lambda: hparams.check(Hparams(gamma=-1.0)), r"gamma: expected in \[0, 1\], got -1$"),
        (lambda: hparams.check(Hparams(gamma=np.nan)), "gamma: expected in .* got nan"),
        (lambda: hparams.table(Hparams(), gama=[1.0]), "hparams: .* did you mean 'gamma'"),
        (lambda: hparams.grid(Hparams(), gama=[1.0]), "hparams: .* did you mean 'gamma'"),
        (lambda: hparams.table(Hparams(), gamma=[0.1], clip=[0.2, 0.3]), "columns of one length"),
        (lambda: hparams.table(Hparams(), gamma=[]), "gamma: expected a column of values"),
        (lambda: hparams.table(Hparams(), gamma=[[0.1]]), "gamma: expected a column of values"),
        (lambda: hparams.grid(Hparams(), gamma=[]), "gamma: expected at least one value"),
        (lambda: hparams.sample(jax.random.key(0), Hparams(), 0), "num: expected at least 1"),
        (
            lambda: hparams.sample(jax.random.key(0), Hparams(), 1, gamma=(0.9, 0.1)),
            r"gamma: expected a range \(low, high\)",
        ),
        (
            lambda: hparams.sample(jax.random.key(0), Hparams(), 1, gamma=(0.0, 1.0001)),
            r"gamma: expected a range within \[0, 1\]",
        ),
        (
            lambda: hparams.sample(jax.random.key(0), Hparams(), 1, learning_rate=(0.0, 0.1)),
            "learning_rate: expected a positive low end",
        ),
        (lambda: hparam(2.0, low=0.0, high=1.0), r"default: expected in \[0, 1\], got 2.0"),
        (lambda: hparam(2.0, scale="cubic"), "scale: expected 'linear' or 'log', got 'cubic'"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_changing_a_number_compiles_nothing():
    @jax.jit
    def use(hp):
        return hp.gamma * hp.learning_rate

    table = hparams.grid(Hparams(), gamma=[0.1, 0.2, 0.3])
    for i in range(3):
        use(hparams.row(table, i))
    assert use._cache_size() == 1


@struct.dataclass
class EngineHparams:
    learning_rate: float = hparam(3e-4, low=0.0, high=1.0, scale="log")
    clip: float | None = hparam(None, low=0.0, high=1.0)


def test_a_number_that_a_recipe_lacks_is_no_leaf_and_cannot_be_swept():
    """Whether the engine has no default for it, or the recipe takes it away."""
    assert hparams.names(EngineHparams()) == ("learning_rate",)
    assert hparams.names(EngineHparams(learning_rate=None, clip=0.2)) == ("clip",)
    table = hparams.grid(EngineHparams(learning_rate=None, clip=0.2), clip=[0.1, 0.2])
    assert table.learning_rate is None and len(jax.tree.leaves(table)) == 1
    with pytest.raises(ValueError, match="hparams: expected one of learning_rate; got 'clip'"):
        hparams.grid(EngineHparams(), clip=[0.1])
    with pytest.raises(ValueError, match="clip: expected in"):
        hparams.grid(EngineHparams(clip=0.2), clip=[1.5])
