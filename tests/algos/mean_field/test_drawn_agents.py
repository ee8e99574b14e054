"""Some agents stored of many: who, for how long, and that nothing else changes."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import DyingAgents, TwoTeams

from jaxmarl_core.algos import mfac, mfq
from jaxmarl_core.algos.mean_field import collecting, engine, value_learning
from jaxmarl_core.algos.mean_field.drawn_agents import draw_agents, shares
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.envs import battle, gaussian_squeeze
from jaxmarl_core.learners import replay

DYING = DyingAgents(num_agents=5)  # an episode is six steps
TINY = {
    "num_envs": 3,
    "rollout_length": 1,
    "buffer_length": 30,
    "batch_size": 200,
    "hidden": (4,),
    "head_hidden": (4,),
    "exploration": "boltzmann",
    "target": "mean_field",
}


@pytest.mark.parametrize(
    ("num_drawn", "sizes", "expected"),
    [(4, (64, 64), (2, 2)), (3, (2, 1), (2, 1)), (1, (1, 9), (0, 1)), (6, (5, 4, 3), (2, 2, 2))],
)
def test_groups_are_drawn_from_in_proportion(num_drawn, sizes, expected):
    assert shares(num_drawn, sizes) == expected


def test_agents_are_drawn_once_and_alike():
    """Ten of thirty: one of each three neighbours, each with probability a third."""
    keys = jax.random.split(jax.random.key(0), 6000)
    drawn = np.asarray(jax.vmap(lambda key: draw_agents(key, 10, 30))(keys))
    np.testing.assert_array_equal(drawn // 3, np.broadcast_to(np.arange(10), drawn.shape))
    share = np.bincount(drawn.ravel(), minlength=30) / 6000
    np.testing.assert_allclose(share, 1 / 3, atol=5 * np.sqrt(2 / 9 / 6000))
    np.testing.assert_array_equal(draw_agents(keys[0], 7, 7), np.arange(7))
    uneven = np.asarray(jax.vmap(lambda key: draw_agents(key, 3, 7))(keys))
    assert (np.diff(uneven) > 0).all() and set(np.unique(uneven)) == set(range(7))


@pytest.fixture(scope="module")
def both():
    """(what all and what two of five agents leave in the buffer of 30 steps, who was stored)."""
    kept = []
    for stored_agents in (0, 2):
        config = Config(**TINY, stored_agents=stored_agents)
        learner = engine.make_learner("il", DYING, config, value_learning.q_learning)
        state = engine.init(learner, jax.random.key(0), Hparams())
        params = state.params.replace(temperature=jnp.float32(100.0))  # nearly uniform
        collect = jax.jit(partial(collecting.collect, learner))
        play, buffer, stored, followed = state.play, state.buffer, state.stored, []
        for u in range(30):
            followed.append(stored)
            (play, buffer, stored), _ = collect(
                jax.random.key(u), params, play, buffer, stored, jnp.int32(u)
            )
        kept.append((learner, buffer, followed))
    return kept


def test_what_is_stored_is_theirs_and_play_is_as_if_all_were(both):
    (_, everyone, _), (_, some, followed) = both
    who = np.stack([stored[0] for stored in followed])  # [30, B, 2]
    assert some.tree.action.shape == (30, 3, 2)
    for field in ("action", "reward", "alive", "last", "discount", "observation"):
        whole = np.asarray(getattr(everyone.tree, field))
        expected = np.take_along_axis(whole, who, 2)
        np.testing.assert_array_equal(getattr(some.tree, field), expected)


def test_who_is_followed_changes_with_the_episode_alone(both):
    _, (_, some, followed) = both
    who = np.stack([stored[0] for stored in followed])
    last = np.asarray(some.tree.last[:, :, 0])
    changed = (who[1:] != who[:-1]).any(-1)
    assert last.sum() == 15 and not changed[~last[:-1]].any() and changed.any()
    assert len({tuple(row) for row in who.reshape(-1, 2)}) > 2


def test_a_batch_is_of_the_agents_stored(both):
    _, (learner, some, _) = both
    step, following = collecting.sample(learner, jax.random.key(0), some, jnp.int32(29))
    living = np.asarray(step.alive) & ~np.asarray(step.last)
    np.testing.assert_array_equal(  # action 1 pays the living 1 on arriving at the next step
        np.asarray(following.reward)[living], np.asarray(step.action)[living]
    )
    assert 0 < living.sum() < 200 and len(step.reward) == 200


@pytest.mark.parametrize("self_play", ["shared", "lagged"])
def test_of_several_groups_each_has_its_own(self_play):
    """A pair and a loner; actions are drawn, so that who is who shows."""
    config = Config(**TINY | {"buffer_length": 4}, stored_agents=2, self_play=self_play)
    if self_play == "lagged":
        config = dataclasses.replace(config, stored_agents=1)
    learner = engine.make_learner("il", TwoTeams(), config, value_learning.q_learning)
    state = engine.init(learner, jax.random.key(0), Hparams())
    play, buffer, stored = state.play, state.buffer, state.stored
    assert [x.shape for x in stored] == ([(3, 1), (3, 1)] if self_play == "shared" else [(3, 1)])
    reward = {"pair": jnp.arange(6.0).reshape(3, 2), "loner": 10 + jnp.arange(3.0)[:, None]}
    actions = {"pair": jnp.zeros((3, 2), int), "loner": jnp.zeros((3, 1), int)}
    timestep = play.timestep.replace(reward=reward)
    buffer = collecting.store(learner, buffer, jnp.int32(2), timestep, actions, stored)
    expected = [np.take_along_axis(np.asarray(reward["pair"]), np.asarray(stored[0]), 1)]
    expected += [reward["loner"]] * (self_play == "shared")
    np.testing.assert_array_equal(buffer.tree.reward[2], np.concatenate(expected, 1))


def test_a_group_that_would_never_be_stored_is_refused():
    config = Config(**TINY, stored_agents=1)
    with pytest.raises(ValueError, match=r"stored_agents: expected .* and some of each group"):
        engine.make_learner("il", TwoTeams(), config, value_learning.q_learning)


@pytest.mark.parametrize("recipe", [mfq, mfac])
def test_more_than_learn_are_refused(recipe):
    world = gaussian_squeeze(num_agents=9)
    with pytest.raises(ValueError, match=r"stored_agents: expected 0, all, or at most the 9"):
        recipe(world, Config(stored_agents=10))
    with pytest.raises(ValueError, match=r"stored_agents: expected at least 0"):
        Config(stored_agents=-1)


def test_a_field_of_thousands_fits_when_some_are_stored(monkeypatch):
    """16,384 a side, 128 steps in four copies: 72 GB of soldiers, 1.2 of 512 of them."""
    monkeypatch.setattr(replay, "available_bytes", lambda: 16 * 2**30)
    world = battle(map_size=640)
    size = {"num_envs": 4, "rollout_length": 2, "buffer_length": 128}
    shapes = []
    for stored_agents in (512, 1024):
        learner = mfq(world, Config(**size, stored_agents=stored_agents))
        state = jax.eval_shape(learner.init, jax.random.key(0), learner.hparams)
        shapes.append(state.buffer.words.shape)
    assert [shape[:3] for shape in shapes] == [(128, 4, 512), (128, 4, 1024)]
    with pytest.raises(ValueError, match=r"buffer_length: expected at most"):
        mfq(world, Config(**size))
    with replay.only_to_play():
        mfq(world, Config(**size))
        mfq(battle(), Config(**size, stored_agents=512))  # learnt elsewhere, played by few
