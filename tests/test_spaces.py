import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.spaces import Box, Composite, Discrete, flat_size, zeros

MIXED = Composite({"image": Box((3, 4, 2), 0, 255, jnp.uint8), "goal": Discrete(5)})
SPACES = {
    "discrete": Discrete(7),
    "bounded": Box((2, 3), -1.5, 2.0),
    "unbounded": Box((4,)),
    "half bounded": Box((4,), low=0.0),
    "integers": Box((5,), -2, 3, jnp.int32),
    "scalar": Box((), 0.0, 1.0),
    "composite": MIXED,
    "nested": Composite({"inner": MIXED, "x": Box((1,))}),
}


@pytest.fixture(params=SPACES.values(), ids=SPACES.keys())
def space(request):
    return request.param


def test_samples_are_contained(space):
    batch = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 200))
    assert space.contains(jax.tree.map(np.asarray, batch))
    one = space.sample(jax.random.key(1))
    assert jax.tree.map(lambda x: x.dtype, one) == jax.tree.map(
        lambda x: x.dtype, zeros(space, (2,))
    )


def test_zeros_and_flat_size_agree(space):
    def size(space):
        if isinstance(space, Composite):
            return sum(size(part) for _, part in space.items)
        return space.num_values if isinstance(space, Discrete) else zeros(space).size

    assert flat_size(space) == size(space)
    leading = {leaf.shape[:2] for leaf in jax.tree.leaves(zeros(space, (6, 2)))}
    assert leading == {(6, 2)}


def test_spaces_are_hashable_and_compare_by_value(space):
    twin = copy.deepcopy(space)
    assert twin == space
    assert hash(twin) == hash(space)
    assert len({*SPACES.values(), space}) == len(SPACES)


def test_integer_box_reaches_both_ends():
    draws = jax.vmap(Box((5,), -2, 3, jnp.int32).sample)(jax.random.split(jax.random.key(0), 200))
    assert set(np.unique(draws)) == set(range(-2, 4))


def test_discrete_reaches_all_and_nothing_else():
    draws = jax.vmap(Discrete(3).sample)(jax.random.split(jax.random.key(0), 200))
    assert set(np.unique(draws)) == {0, 1, 2}


def test_contains_refuses():
    assert not Discrete(3).contains(3)
    assert not Discrete(3).contains(-1)
    assert not Discrete(3).contains(1.0)  # no integer
    box = Box((2,), -1, 1)
    assert box.contains(np.zeros((5, 2)))
    assert not box.contains(np.zeros(3))
    assert not box.contains([0.0, 1.5])
    assert not box.contains([0.0, np.nan])
    assert not MIXED.contains({"goal": 1})
    assert not MIXED.contains({"goal": 5, "image": np.zeros((3, 4, 2))})
    assert not MIXED.contains(np.zeros(5))


def test_a_list_makes_a_shape_too():
    assert Box([2, 3]) == Box((2, 3))
    assert Box([2]).contains(np.zeros(2))


def test_composite_gives_its_parts():
    assert MIXED["goal"] == Discrete(5)
    assert MIXED.shape == {"image": (3, 4, 2), "goal": ()}
    assert MIXED.dtype == {"image": jnp.uint8, "goal": jnp.int32}
    assert Composite(MIXED.items) == MIXED


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Discrete(0), "num_values: expected at least 1, got 0"),
        (lambda: Box((1,), 1.0, 1.0), "low: expected below high"),
        (lambda: Composite({}), "spaces: expected at least one"),
        (lambda: Composite((("a", Discrete(1)), ("a", Discrete(2)))), "spaces: expected distinct"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
