"""REINFORCE with a running baseline, one network for each group: an algorithm of one's own."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jaxmarl_core.functional.distributions import categorical
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.returns import gae, trajectory_terms
from jaxmarl_core.hparams import hparam
from jaxmarl_core.learners.networks import MLP, head
from jaxmarl_core.play.rollout import Play, acting, begin, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import flat_size, flatten, num_values
from jaxmarl_core.types import Algorithm, Environment, Policy


@dataclass(frozen=True)
class Config:  # shapes the program
    num_envs: int = 16
    rollout_length: int = 32
    hidden: int = 32


@struct.dataclass
class Hparams:  # only enter arithmetic: all their values are one program
    learning_rate: float = hparam(1e-2, 0.0, 1.0, "log")
    gamma: float = hparam(0.95, 0.0, 1.0)
    baseline_rate: float = hparam(0.1, 0.0, 1.0)


@struct.dataclass
class State:
    params: dict[str, Any]  # group -> of its network
    baseline: dict[str, jax.Array]  # group -> [] f32, the running mean of its returns
    optimiser: Any
    play: Play  # leaves [B, ...]


def advantages(baseline, gamma, reward, discount, last):
    """Returns [T] f32, returns less the baseline, of one agent's [T + 1] time steps."""
    reward, discount, valid = trajectory_terms(reward, discount, last)
    return gae(reward, gamma * discount, jnp.full(reward.shape, baseline), baseline, 1.0, valid)


def reinforce(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns the learner, for discrete actions in any number of groups."""
    world, groups = episodic(env), dict(env.groups)
    network = lambda g: nn.Sequential([MLP((config.hidden,)), head(num_values(g.action))])
    networks: Any = {name: network(group) for name, group in groups.items()}
    of_all = jax.vmap(jax.vmap(advantages, (None, None, 1, 1, None), 1), (None, None, 1, 1, 1), 1)

    def policy_of(params, name, timestep):
        x = flatten(groups[name].observation, timestep.observation[name])
        return categorical(networks[name].apply(params[name], x), timestep.action_mask.get(name))

    def act(greedy, params, key, timestep, memory):
        choices = {name: policy_of(params, name, timestep) for name in groups}
        choose = lambda pi, i: pi.mode() if greedy else pi.sample(seed=jax.random.fold_in(key, i))
        return {name: choose(pi, i) for i, (name, pi) in enumerate(choices.items())}, memory

    policy = Policy(lambda: (), partial(act, False), partial(act, True))

    def init(key, hp):
        sizes = {name: flat_size(group.observation) for name, group in groups.items()}
        params = {name: networks[name].init(key, jnp.zeros(sizes[name])) for name in groups}
        play = jax.vmap(lambda key: begin(key, world, ()))(jax.random.split(key, config.num_envs))
        baseline = {name: jnp.zeros(()) for name in groups}
        return State(params, baseline, optax.adam(hp.learning_rate).init(params), play)

    def update(key, state, hp, update_index):
        act, length = acting(policy, state.params), config.rollout_length
        one = lambda key, play: rollout(key, world, act, play, length)
        of_envs = jax.vmap(one, out_axes=(0, 1))
        play, steps = of_envs(jax.random.split(key, config.num_envs), state.play)
        join = lambda rows, after: jnp.concatenate([rows, after[None]])
        shown = jax.tree.map(join, steps.timestep, play.timestep)  # leaves [T + 1, B, ...]

        def loss(params):
            total, baseline = jnp.float32(0), {}
            for name, old in state.baseline.items():
                gain = of_all(old, hp.gamma, shown.reward[name], shown.discount[name], shown.last)
                counts = steps.timestep.alive[name] & ~steps.timestep.last[..., None]
                log_prob = policy_of(params, name, steps.timestep).log_prob(steps.actions[name])
                total -= masked_mean(jnp.asarray(log_prob) * gain, counts)
                baseline[name] = old + hp.baseline_rate * masked_mean(gain, counts)
            return total, baseline

        (value, baseline), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        changes, moved = optax.adam(hp.learning_rate).update(grads, state.optimiser)
        after = State(jax.tree.map(jnp.add, state.params, changes), baseline, moved, play)
        return after, {"loss": value} | episode_metrics(world, steps.timestep)

    return Algorithm(init, update, policy, Hparams(), config.num_envs * config.rollout_length)
