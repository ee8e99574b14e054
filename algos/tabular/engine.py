"""The engine of tabular learners: one table per agent, one transition at a time.

Observations and actions are Discrete. One update plays `rollout_length` steps of one environment
and hands every agent its own transition after each; there are no batches, so what runs in parallel
is runs: seeds, hyper-parameters, games.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.exploration import epsilon_greedy, greedy, linear
from jaxmarl_core.hparams import hparam
from jaxmarl_core.lookup import require
from jaxmarl_core.rollout import Play, begin
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Algorithm, Environment, Policy
from jaxmarl_core.wrappers import episode_metrics, episodic


class Transition(NamedTuple):
    """What one agent learns from: scalars, as it saw them."""

    obs: jax.Array  # [] int32
    action: jax.Array  # [] int32
    reward: jax.Array  # [] f32
    discount: jax.Array  # [] f32, 0 where the agent's episode ended
    next_obs: jax.Array  # [] int32
    next_mask: jax.Array | None  # [A] bool, legal in next_obs


@dataclass(frozen=True)
class Config:
    """What shapes the program: environment steps an update."""

    rollout_length: int = 64

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)


@struct.dataclass
class Hparams:
    """Traced numbers; epsilon falls linearly over the first `anneal_updates`."""

    learning_rate: float = hparam(0.1, 0.0, 1.0, "log")
    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(1.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    anneal_updates: float = hparam(50.0, 1.0, 1e9, "log")


@struct.dataclass
class Params:
    """What the policy needs to act."""

    q: dict[str, jax.Array]  # group -> [n, S, A] f32
    epsilon: jax.Array


@struct.dataclass
class State:
    params: Params
    play: Play


def tabular(
    env: Environment,
    config: Config,
    *,
    rule: Callable[[jax.Array, Transition, Any], jax.Array],
) -> Algorithm:
    """Returns the learner.

    Args:
      env: with Discrete observations and actions in every group.
      config: what shapes the program.
      rule: maps (q [S, A], transition, hparams) of one agent to its new table.

    Raises:
      ValueError: a group's observations or actions are not Discrete.
    """
    groups = dict(env.groups)
    for name, group in groups.items():
        for kind, space in (("observations", group.observation), ("actions", group.action)):
            if not isinstance(space, Discrete):
                raise ValueError(f'tabular: needs discrete {kind}, group "{name}" has {space}')
    world = episodic(env)

    def look_up(q, obs):
        return jax.vmap(lambda table, s: table[s])(q, obs)  # [n, A]

    def play_by(choose):
        def act(params, key, timestep, memory):
            actions = {}
            for i, name in enumerate(groups):
                q = look_up(params.q[name], timestep.observation[name])
                mask = timestep.action_mask.get(name)
                actions[name] = choose(jax.random.fold_in(key, i), q, params.epsilon, mask)
            return actions, memory

        return act

    best = play_by(lambda key, q, epsilon, mask: greedy(q, mask))
    policy = Policy(memory=lambda: (), act=play_by(epsilon_greedy), greedy=best)

    def learn(name, q, timestep, actions, following, hp):
        """Returns one group's tables [n, S, A] after a step."""
        transition = Transition(
            timestep.observation[name],
            actions[name],
            following.reward[name],
            following.discount[name],
            following.observation[name],
            following.action_mask.get(name),
        )
        learned = jax.vmap(rule, (0, 0, None))(q, transition, hp)
        counts = timestep.alive[name] & ~timestep.last
        return jnp.where(counts[:, None, None], learned, q)

    def init(key, hp):
        q = {
            name: jnp.zeros((g.size, g.observation.num_values, g.action.num_values))
            for name, g in groups.items()
        }
        params = Params(q, jnp.asarray(hp.epsilon, jnp.float32))
        return State(params, begin(key, world, ()))

    def update(key, state, hp, index):
        epsilon = linear(hp.epsilon, hp.final_epsilon, index / hp.anneal_updates)
        params = state.params.replace(epsilon=jnp.asarray(epsilon, jnp.float32))

        def step(carry, key):
            params, play = carry
            key_act, key_env = jax.random.split(key)
            actions, _ = policy.act(params, key_act, play.timestep, ())
            env_state, following = world.step(key_env, play.env_state, actions)
            q = {
                name: learn(name, params.q[name], play.timestep, actions, following, hp)
                for name in groups
            }
            return (params.replace(q=q), Play(env_state, following, ())), play.timestep

        keys = jax.random.split(key, config.rollout_length)
        (params, play), timesteps = jax.lax.scan(step, (params, state.play), keys)
        metrics = {"epsilon": params.epsilon} | episode_metrics(world, timesteps)
        return State(params, play), metrics

    return Algorithm(init, update, policy, Hparams(), config.rollout_length)
