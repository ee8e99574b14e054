"""What waits for what: forests and chains against plain recursion, and worlds traced for a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import battle, gather, tiger_deer
from jaxmarl_core.envs.mean_field.magent.chains import led_to, rounds_to_settle, settle
from jaxmarl_core.functional.packing import compiling_for

PLACES = 8


def a_forest(rng, kind, n):
    """Returns the parent of each node, -1 for roots; a parent comes before its children."""
    parent, num_children = np.full(n, -1), np.zeros(n, int)
    for i in range(1, n):
        before = {
            "bushy": rng.integers(0, i),
            "binary": (i - 1) // 2,
            "chain": i - 1,
            "combs": i - 1 if i % 3 else rng.integers(max(0, i - 3), i),
            "several": rng.integers(-1, i),
        }[kind]
        if before >= 0 and num_children[before] == PLACES:
            before = int(np.argmin(num_children[:i]))
        parent[i] = before
        num_children[before] += before >= 0
    return parent, num_children


def who_acts(parent, needed):
    acting, acts = np.zeros(len(parent), int), np.zeros(len(parent), bool)
    for i in reversed(range(len(parent))):
        acts[i] = acting[i] < needed[i]
        if parent[i] >= 0:
            acting[parent[i]] += acts[i]
    return acts


def children_of(parent):
    child, place = np.full((PLACES, len(parent)), -1), np.zeros(len(parent), int)
    for i, before in enumerate(parent):
        if before >= 0:
            child[place[before], before] = i
            place[before] += 1
    return child


@pytest.mark.parametrize("n", [2, 11, 23, 95])
def test_every_forest_is_settled_in_the_rounds_counted(n):
    """Most of these need each round: binary trees of 2^k - 1 nodes are the worst there are."""
    rng = np.random.default_rng(n)
    many = jax.jit(jax.vmap(lambda child, needed: settle(child >= 0, child, needed)))
    cases, expected = [], []
    for game in range(200):
        kinds = ("bushy", "binary", "chain", "combs", "several")
        parent, num_children = a_forest(rng, kinds[game % 5], n)
        some = 1 + (rng.random(n) * np.maximum(num_children, 1)).astype(int)
        needed = (some, np.ones(n, int), np.maximum(num_children, 1))[game % 3]
        name = rng.permutation(n)
        renamed = np.full(n, -1)
        renamed[name] = np.where(parent >= 0, name[parent], -1)
        cases.append((children_of(renamed), needed[np.argsort(name)]))
        expected.append(who_acts(parent, needed)[np.argsort(name)])
    child, needed = (jnp.asarray(np.stack(part), jnp.int32) for part in zip(*cases))
    np.testing.assert_array_equal(many(child, needed), np.stack(expected))


def test_rounds_grow_with_the_logarithm():
    assert [rounds_to_settle(n) for n in (1, 2, 4, 5, 10, 11, 128, 2048)] == [
        0, 1, 1, 2, 2, 3, 6, 10,
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 16, 17, 128, 300])
def test_chains_are_followed_to_their_ends(n):
    rng = np.random.default_rng(n)
    ahead = np.array([rng.integers(i, min(n, i + 3)) for i in range(n)])
    along = np.minimum(np.arange(n) + 1, n - 1)
    for following in (along, ahead):
        name = rng.permutation(n)
        renamed = np.zeros(n, np.int32)
        renamed[name] = name[following]
        end = np.arange(n)
        for _ in range(n):
            end = renamed[end]
        np.testing.assert_array_equal(led_to(jnp.asarray(renamed)), end)


WORLDS = {
    "battle": lambda: battle(map_size=12, num_red=20, num_blue=20, max_hp=3.0, recovery=0.05),
    "tigers and deer": lambda: tiger_deer(map_size=12, minimap=True, num_deer=20, num_tigers=10),
    "gatherers": lambda: gather(map_size=24, minimap=True),
}


@pytest.mark.parametrize("name", WORLDS)
def test_an_accelerator_plays_the_same_game(name):
    """Bit for bit, but for the critic's state, whose sums are taken in another order."""
    env = WORLDS[name]()

    def step(state, key):
        timestep = env.observe(state)
        keys = dict(zip(env.groups, jax.random.split(key, len(env.groups))))
        actions = {
            group: jax.random.randint(keys[group], (of.size,), 0, of.action.num_values)
            for group, of in env.groups.items()
        }
        return env.advance(key, state, actions), timestep

    def play(key):
        return jax.lax.scan(step, env.initial(key), jax.random.split(key, 30))

    found = []
    for platform in ("cpu", "gpu"):
        with compiling_for(platform):
            found.append(jax.jit(lambda key: play(key))(jax.random.key(5)))  # a trace for each
    (state, here), (state_there, there) = found
    if name == "battle":
        assert 5 < np.sum(state.alive) < 35
    jax.tree.map(np.testing.assert_array_equal, state, state_there)
    np.testing.assert_allclose(here.state, there.state, rtol=1e-6)
    without = lambda timestep: timestep.replace(state=())
    jax.tree.map(np.testing.assert_array_equal, without(here), without(there))
