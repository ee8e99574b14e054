"""Continuous games whose solutions are known, over eight seeds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_games import coupled_riccati, held_feedback
from flax import struct

from jaxmarl_core.algos import haddpg, hasac, hatd3, iddpg, maddpg
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.envs import linear_quadratic_players
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player
from jaxmarl_core.spaces import Box
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, Policy, StateEnvironment, TimeStep

NUM_SEEDS = 8


def trained(algorithm, env, num_updates, **hparams):
    """The parameters of all seeds after learning, leaves [NUM_SEEDS, ...]."""
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hp = algorithm.hparams.replace(**{name: jnp.float32(x) for name, x in hparams.items()})
    keys = jax.random.split(jax.random.key(0), NUM_SEEDS)
    return jax.jit(jax.vmap(lambda key: train(key, hp)[0].params))(keys)


# ---- a linear-quadratic game


def costs(env, policy, params):
    """What each player pays over the horizon, from 64 first states, the same for all: [players]."""
    found = evaluate(jax.random.key(9), env, Player(policy, params), 64, env.max_steps, True)
    return -found.returns.mean(0)


def test_held_controls_tend_to_the_feedback_of_continuous_time():
    A, B = np.array([[-1.0, 0.5], [0.0, -0.5]]), [np.eye(2)[:, :1], np.eye(2)[:, 1:]]
    Q, R = [np.diag([2.0, 0.0]), np.eye(2)], [np.eye(1)] * 2
    P = coupled_riccati(A, B, Q, R)
    for dt, error in ((0.02, 0.02), (0.01, 0.01)):
        for k, b, p in zip(held_feedback(A, B, Q, R, dt, 1.0), B, P):
            np.testing.assert_allclose(k, -b.T @ p, rtol=error, atol=1e-3)


def linear(env, K):
    """The policy u_i = K_i x."""

    def act(params, key, timestep, memory):
        return {name: (k @ timestep.state)[None] for name, k in zip(env.groups, K)}, memory

    K = [jnp.float32(k) for k in K]
    return Policy(lambda: (), act, act)


@pytest.mark.slow
@pytest.mark.parametrize("build", [haddpg, maddpg, hatd3])
def test_feedback_of_a_linear_quadratic_game_is_found(build):
    """Each player pays within 5 % of what it pays in the feedback equilibrium of the game.

    On every seed of the game that is learnt: controls are held for 0.15, and what comes later is
    discounted. In that one's equilibrium the second player pays 2.4 % more than in the one of
    continuous time and no discount, beside which the mean over seeds is held.
    """
    env = linear_quadratic_players(dt=0.15, max_steps=40)
    game = jax.tree.map(lambda x: np.asarray(x, np.float64), env.game)
    B = [game.B[:, i : i + 1] for i in range(2)]
    R = [game.R[i, i : i + 1, i : i + 1] for i in range(2)]
    P = coupled_riccati(game.A, B, list(game.Q), R)
    continuous = [-np.linalg.solve(r, b.T @ p) for r, b, p in zip(R, B, P)]
    held = held_feedback(game.A, B, list(game.Q), R, 0.15, 0.98)
    pays = lambda K: np.asarray(costs(env, linear(env, K), ()))
    assert (pays([0 * k for k in held]) > 1.7 * pays(continuous)).all()
    config = Config(
        num_envs=8,
        rollout_length=12,
        num_gradient_steps=12,
        batch_size=64,
        buffer_length=9600,
        hidden=(32, 32),
        activation="tanh",
        normalise_reward=True,
    )
    algorithm = build(env, config)
    params = trained(
        algorithm,
        env,
        1000,
        gamma=0.98,
        noise=0.3,
        final_noise=0.1,
        noise_steps=76_800,
        learning_starts=1000,
        anneal_updates=1000,
        critic_learning_rate=2e-3,
        tau=0.01,
        output_penalty=0.0,
    )
    found = np.asarray(jax.jit(jax.vmap(partial(costs, env, algorithm.policy)))(params))
    own, limit = found / pays(held), found / pays(continuous)
    print(f"{build.__name__}: at most {own.max(0)} of the game's, {limit.max(0)} of the limit's")
    assert (own < 1.05).all(), own
    assert (limit.mean(0) < 1.05).all(), limit


# ---- a ridge


@struct.dataclass
class RidgeState:
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class Ridge(StateEnvironment):
    """Two who are paid for going up together, and lose more by going apart; one step.

        (a_1 + a_2) / 2 - steepness (a_1 - a_2)^2,   best at (1, 1), where it is 1

    What an agent earns on average over what the other was seen to do falls as soon as it leaves
    the middle of that: who learns from old play stays there.
    """

    steepness: float = 4.0

    @property
    def groups(self):
        return {"agents": Group(2, Box((1,)), Box((1,), -1.0, 1.0), common_reward=True)}

    def initial(self, key):
        return RidgeState(jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        a, b = actions["agents"][:, 0]
        return RidgeState((a + b) / 2 - self.steepness * (a - b) ** 2, state.step + 1)

    def observe(self, state):
        last = state.step >= 1
        return TimeStep(
            observation={"agents": jnp.ones((2, 1))},
            action_mask={},
            alive={"agents": jnp.ones(2, bool)},
            state=jnp.ones(1),
            reward={"agents": jnp.full(2, state.reward)},
            discount={"agents": jnp.full(2, 1.0 - last, jnp.float32)},
            last=last,
        )


@pytest.fixture(scope="module")
def climbed():
    """learner -> what greedy play is worth after learning, [NUM_SEEDS]."""
    env = Ridge()
    config = Config(
        num_envs=8,
        rollout_length=10,
        num_gradient_steps=10,
        batch_size=64,
        buffer_length=4000,
        hidden=(32, 32),
    )
    found = {}
    for build in (iddpg, maddpg, haddpg, hatd3, hasac):
        algorithm = build(env, config)
        explores = {"noise": 0.5, "final_noise": 0.5, "output_penalty": 0.0}
        if algorithm.hparams.noise is None:
            explores = {"entropy": 0.01}
        params = trained(algorithm, env, 400, learning_starts=4000, tau=0.02, **explores)
        play = lambda params, algorithm=algorithm: evaluate(
            jax.random.key(0), env, Player(algorithm.policy, params), 1, 2, True
        ).returns[0, 0]
        found[build.__name__] = np.asarray(jax.jit(jax.vmap(play))(params))
    print({name: np.round(x, 2) for name, x in found.items()})
    return found


@pytest.mark.slow
def test_who_climbs_with_the_others_as_they_are_finds_the_top_of_a_ridge(climbed):
    for name in ("haddpg", "hatd3"):
        assert (climbed[name] > 0.95).all(), (name, climbed[name])
    # a soft policy is wanted to be uncertain, and so stays a little off the bound
    assert (climbed["hasac"] > 0.85).all(), climbed["hasac"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iddpg", "maddpg"])
def test_who_climbs_with_the_others_as_they_were_stays_below(climbed, name):
    """MADDPG's critic knows the ridge, but its actors are moved along the others' old actions."""
    assert (climbed[name] < 0.5).all(), climbed[name]
