"""Evaluation against a plain Python loop over the same episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import ConstantReward, MixedGroups

from jaxmarl_core.play.evaluate import evaluate, record, summary
from jaxmarl_core.play.policies import Player, random_policy
from jaxmarl_core.play.rollout import begin
from jaxmarl_core.play.wrappers import EpisodeStatistics
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, Policy, StateEnvironment, TimeStep

NUM_EPISODES, LENGTH = 6, 8


@struct.dataclass
class UnevenState:
    length: jax.Array
    step: jax.Array
    reward: jax.Array  # [3]


@struct.dataclass
class Uneven(StateEnvironment):
    """Two teams, whose episodes last 1 to 10 steps and pay each what it bids, times the step."""

    names_winner: bool = struct.field(pytree_node=False, default=False)

    @property
    def groups(self):
        return {
            "pair": Group(2, Discrete(11), Discrete(3), team=0),
            "solo": Group(1, Discrete(11), Discrete(3), team=1),
        }

    def initial(self, key):
        return UnevenState(jax.random.randint(key, (), 1, 11), jnp.int32(0), jnp.zeros(3))

    def advance(self, key, state, actions):
        bid = jnp.concatenate([actions["pair"], actions["solo"]]).astype(jnp.float32)
        return state.replace(step=state.step + 1, reward=bid * (state.step + 1))

    def observe(self, state):
        last = state.step >= state.length
        split = lambda x: {"pair": x[:2], "solo": x[2:]}
        return TimeStep(
            observation=split(jnp.full(3, state.step)),
            action_mask={},
            alive=split(jnp.ones(3, bool)),
            state=state.step[None],
            reward=split(state.reward),
            discount=split(jnp.full(3, 1.0 - last)),
            last=last,
            extras={"winner": jnp.int32(1)} if self.names_winner else {},
        )


ENV = Uneven()
PLAYER = Player(random_policy(ENV), ())


@pytest.fixture(scope="module")
def evaluated():
    key = jax.random.key(0)
    return jax.jit(lambda key: evaluate(key, ENV, PLAYER, NUM_EPISODES, LENGTH))(key)


@pytest.fixture(scope="module")
def by_hand():
    """(returns, length, winner) of the same episodes, one step of one episode at a time."""
    env, reset, step = EpisodeStatistics(ENV), jax.jit(ENV.reset), jax.jit(ENV.step)
    assert env.groups == ENV.groups
    act = jax.jit(PLAYER.policy.act)
    key_begin, key_play = jax.random.split(jax.random.key(0))
    episodes = []
    for r, key in enumerate(jax.random.split(key_begin, NUM_EPISODES)):
        state, timestep = reset(key)
        returns, length = np.zeros(2), 0
        while not timestep.last and length < LENGTH:
            key = jax.random.split(jax.random.fold_in(key_play, length), NUM_EPISODES)[r]
            key_act, key_env = jax.random.split(key)
            actions, _ = act((), key_act, timestep, ())
            state, timestep = step(key_env, state, actions)
            returns += [timestep.reward["pair"].mean(), timestep.reward["solo"].sum()]
            length += 1
        decided = timestep.last and returns[0] != returns[1]
        episodes.append((returns, length, returns.argmax() if decided else -1))
    return [np.array(column) for column in zip(*episodes)]


def test_equals_a_plain_loop(evaluated, by_hand):
    returns, length, winner = by_hand
    np.testing.assert_allclose(evaluated.returns, returns)
    np.testing.assert_array_equal(evaluated.length, length)
    np.testing.assert_array_equal(evaluated.winner, winner)


def test_the_case_has_early_ends_and_unfinished_episodes(by_hand):
    """Else the test above would not tell whether ended episodes are frozen."""
    _, length, winner = by_hand
    assert length.min() < LENGTH
    assert (length == LENGTH).any()
    assert {-1} < set(winner.tolist())


def test_the_environment_may_name_the_winner():
    env = Uneven(names_winner=True)
    player = Player(random_policy(env), ())
    episode = jax.jit(lambda key: evaluate(key, env, player, 4, 12))(jax.random.key(1))
    np.testing.assert_array_equal(episode.winner, 1)


def test_greedy_or_drawn():
    def fixed(action):
        return lambda params, key, timestep, memory: (
            {"agents": jnp.full(1, action)}, memory + 1
        )  # fmt: skip

    @struct.dataclass
    class Paid:
        """Pays its action."""

        env: ConstantReward

        @property
        def groups(self):
            return self.env.groups

        def reset(self, key):
            return self.env.reset(key)

        def step(self, key, state, actions):
            state, timestep = self.env.step(key, state, actions)
            paid = {"agents": actions["agents"].astype(jnp.float32)}
            return state, timestep.replace(reward=paid)

    player = Player(Policy(lambda: jnp.int32(0), fixed(1), fixed(0)), ())
    env = Paid(ConstantReward(1, 3))
    returns = [
        float(evaluate(jax.random.key(0), env, player, 2, 5, greedy).returns[0, 0])
        for greedy in (False, True)
    ]
    assert returns == [3.0, 0.0]


def test_summary_names_teams(evaluated, by_hand):
    returns, length, winner = by_hand
    expected = {
        "length": length.mean(),
        "return_mean_pair": returns[:, 0].mean(),
        "return_sum_pair": 2 * returns[:, 0].mean(),
        "win_pair": (winner == 0).mean(),
        "return_solo": returns[:, 1].mean(),
        "win_solo": (winner == 1).mean(),
    }
    figures = summary(ENV, evaluated)
    assert figures.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=1e-6)


def test_summary_of_one_team():
    env = ConstantReward(2, 3)
    episode = evaluate(jax.random.key(0), env, Player(random_policy(env), ()), 2, 9)
    figures = summary(env, episode)
    assert figures == {"length": 3.0, "return": 3.0}


class Won(ConstantReward):
    """A lone team that always wins."""

    def observe(self, state):
        return super().observe(state).replace(extras={"winner": jnp.int32(0)})


def test_summary_of_one_team_that_may_win():
    env = Won(2, 3)
    episode = evaluate(jax.random.key(0), env, Player(random_policy(env), ()), 2, 9)
    assert summary(env, episode) == {"length": 3.0, "return": 3.0, "win": 1.0}
    unended = evaluate(jax.random.key(0), env, Player(random_policy(env), ()), 2, 2)
    assert summary(env, unended)["win"] == 0


def test_record_tells_one_episode_step_by_step():
    env = MixedGroups(3)
    player = Player(random_policy(env), ())
    film = jax.jit(lambda key: record(key, env, player, 5))
    states, episode, last = film(jax.random.key(2))
    np.testing.assert_array_equal(last[:4], [False, False, False, True])
    np.testing.assert_array_equal(states.step[:4], [0, 1, 2, 3])
    np.testing.assert_array_equal(episode.length[:4], [0, 1, 2, 3])
    paid = np.asarray(states.reward["aimer"])[:4].sum(-1)
    np.testing.assert_allclose(episode.returns[:4, 1], np.cumsum(paid), rtol=1e-5)
    start = begin(jax.random.split(jax.random.key(2))[0], env, ())
    np.testing.assert_array_equal(states.target[0], start.env_state.target)
