"""COMA's critic, and what its counterfactual baseline is good for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxmarl_core.algos import coma, ia2c
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import simple_spread
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, StateEnvironment, TimeStep


@struct.dataclass
class GamblersState:
    coin: jax.Array  # [] int32
    right: jax.Array  # [] f32, the share of workers who did right
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class Gamblers(StateEnvironment):
    """Agent 0 bets blindly on a coin, for all; the others can learn what is right, and gain little.

    The team is paid `stake` if agent 0's action is the coin, else loses it; and the share of the
    others whose action is their number modulo 2. One step an episode. The coin is in the state, but
    nobody sees it: only a critic who minds what agent 0 did can tell luck from merit.
    """

    num_agents: int = struct.field(pytree_node=False, default=5)
    stake: float = 10.0

    @property
    def groups(self):
        return {"agents": Group(self.num_agents, Discrete(1), Discrete(2))}

    def initial(self, key):
        coin = jax.random.bernoulli(key).astype(jnp.int32)
        return GamblersState(coin, jnp.float32(0), jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        done = actions["agents"]
        right = (done == jnp.arange(self.num_agents) % 2)[1:].mean()
        luck = jnp.where(done[0] == state.coin, self.stake, -self.stake)
        return GamblersState(state.coin, right, right + luck, state.step + 1)

    def observe(self, state):
        n = self.num_agents
        over = state.step > 0
        return TimeStep(
            observation={"agents": jnp.zeros(n, jnp.int32)},
            action_mask={},
            alive={"agents": jnp.ones(n, bool)},
            state=jax.nn.one_hot(state.coin, 2),
            reward={"agents": jnp.full(n, state.reward)},
            discount={"agents": jnp.full(n, 1.0 - over)},
            last=over,
        )


def trained(build, env, num_updates, num_seeds, **hparams):
    algorithm = build(env)
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hparams = {name: jnp.float32(value) for name, value in hparams.items()}
    run = lambda key: train(key, algorithm.hparams.replace(**hparams))
    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), num_seeds))


@pytest.mark.slow
def test_the_critic_learns_what_each_own_action_is_worth():
    """One-shot team game, uniform policies (learning rate 0): Q is the payoff."""
    table = np.array([[3.0, -1.0], [0.5, 2.0]])
    env = from_payoffs([table, table])
    config = Config(num_envs=64, rollout_length=4, hidden=(16,), num_epochs=8)
    build = lambda env: coma(env, config)
    _, metrics = trained(
        build, env, 200, 1, learning_rate=0.0, critic_learning_rate=1e-2, max_grad_norm=10.0
    )
    assert metrics["value_loss"][0, -1] < 0.01  # of squares of up to 6, halved


def share_right(env, state, size):
    """How probable it is that those who can do right do it, [num_seeds]."""
    actor = Actor(Discrete(1), Discrete(2), Config(**size))
    probs = lambda p: actor.policy(p, (), jnp.int32(0), None)[1].probs
    chance = jax.vmap(jax.vmap(probs))(state.params.actors["agents"])  # [seeds, n, 2]
    agents = np.arange(1, env.num_agents)
    return np.asarray(chance[:, agents, agents % 2].mean(1))


@pytest.mark.slow
def test_counterfactual_baselines_find_who_is_to_credit():
    """At a budget where independent actor-critics are still guessing, on each of 8 seeds."""
    env = Gamblers()
    size = {"num_envs": 16, "rollout_length": 4, "hidden": (16,), "share": "none"}
    size |= {"normalise_advantage": "agent"}  # or all would be measured by what agent 0 risks
    options = {"learning_rate": 3e-3, "critic_learning_rate": 1e-2, "entropy": 0.0}
    options |= {"final_entropy": 0.0, "max_grad_norm": 100.0}
    right = {}
    for name, build in (
        ("coma", lambda env: coma(env, Config(**size, num_critic_epochs=8))),
        ("ia2c", lambda env: ia2c(env, Config(**size, num_critic_epochs=8))),
    ):
        state, _ = trained(build, env, 300, 8, **options)
        right[name] = share_right(env, state, size)
    print(right)
    assert (right["coma"] > 0.9).all()
    assert right["coma"].min() > right["ia2c"].max()


def test_needs_discrete_actions():
    env = simple_spread(actions="continuous")
    with pytest.raises(ValueError, match='coma: needs discrete actions, group "agents" has Box'):
        coma(env)
