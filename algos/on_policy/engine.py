"""The engine of on-policy actor-critics: play, estimate advantages, learn, forget.

One update plays `rollout_length` steps of `num_envs` environments with the current policies,
estimates advantages, and takes `num_epochs` passes over the data in minibatches of whole
environments, so that policies with memory are unrolled from where they stood. Each group of agents
has an actor and a critic, one pair for all its members or one pair each.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.distributions import distribution, head_size
from jaxmarl_core.hparams import hparam
from jaxmarl_core.lookup import lookup, require, require_sizes
from jaxmarl_core.losses import clipped_value, masked_mean
from jaxmarl_core.networks import Torso, head, initial_memory, unroll
from jaxmarl_core.returns import gae, standardise
from jaxmarl_core.rollout import Play, begin, rollout
from jaxmarl_core.spaces import Box, Space, zeros
from jaxmarl_core.types import Algorithm, Environment, Policy
from jaxmarl_core.wrappers import episode_metrics, episodic


@dataclass(frozen=True)
class Config:
    """What shapes the program.

    share: "group", the agents of a group share one actor and one critic; "none", each agent has
      its own.
    memory_size: cells of the GRU behind the dense layers; 0: feed-forward.
    """

    num_envs: int = 16
    rollout_length: int = 32
    num_epochs: int = 4
    num_minibatches: int = 4
    hidden: tuple[int, ...] = (64, 64)
    channels: tuple[int, ...] = ()  # of the convolutions over an image-like observation
    memory_size: int = 0
    share: str = "group"

    def __post_init__(self):
        for field in ("num_envs", "rollout_length", "num_epochs", "num_minibatches"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        divides = self.num_envs % self.num_minibatches == 0
        expected = f"a divisor of num_envs ({self.num_envs})"
        require(divides, "num_minibatches", expected, self.num_minibatches)
        for field in ("hidden", "channels"):
            require_sizes(field, getattr(self, field))
        require(self.memory_size >= 0, "memory_size", "at least 0", self.memory_size)
        lookup(dict.fromkeys(("group", "none")), self.share, "share")


@struct.dataclass
class Hparams:
    """Traced numbers."""

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    gamma: float = hparam(0.99, 0.0, 1.0)
    gae_lambda: float = hparam(0.95, 0.0, 1.0)
    clip: float = hparam(0.2, 0.0, 1e6, "log")  # of the policy's ratio, and of the value's step
    entropy: float = hparam(0.01, 0.0, 1e3, "log")
    value: float = hparam(0.5, 0.0, 1e3, "log")  # weight of the value loss
    max_grad_norm: float = hparam(0.5, 1e-6, 1e6, "log")


@struct.dataclass
class State:
    params: dict[str, Any]  # group -> {"actor", "critic"}, with a leading axis n if not shared
    optimiser: dict[str, Any]
    play: Play  # leaves [B, ...]
    critic_memory: dict[str, Any]  # group -> [B, n, h] or ()


class Batch(NamedTuple):
    """What one group learns from, leaves [T, B, n, ...]; an unshared agent sees no axis n."""

    observation: Any
    action_mask: jax.Array | None
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array
    counts: jax.Array  # bool: the agent was alive and the row is no end of an episode
    reset: jax.Array  # bool: the row begins an episode


class Actor(nn.Module):
    """(memory, observation) -> (memory, (head [..., K], log_std)); log_std is None if discrete."""

    space: Space
    action: Space
    config: Config

    @nn.compact
    def __call__(self, memory, observation):
        config = self.config
        torso = Torso(self.space, config.hidden, config.channels, config.memory_size)
        memory, features = torso(memory, observation)
        log_std = None
        if isinstance(self.action, Box):
            log_std = self.param("log_std", nn.initializers.zeros, self.action.shape)
        return memory, (head(head_size(self.action))(features), log_std)


class Critic(nn.Module):
    """(memory, observation) -> (memory, value [...])."""

    space: Space
    config: Config

    @nn.compact
    def __call__(self, memory, observation):
        config = self.config
        torso = Torso(self.space, config.hidden, config.channels, config.memory_size)
        memory, features = torso(memory, observation)
        return memory, head(1, gain=1.0)(features)[..., 0]


def actor_critic(env: Environment, config: Config, *, objective) -> Algorithm:
    """Returns the learner.

    Args:
      env: any number of groups, Discrete or Box actions, action masks, deaths.
      config: what shapes the program.
      objective: maps (ratio, advantage, hparams) to what a policy climbs, elementwise.

    Raises:
      ValueError: a group's actions are neither Discrete nor Box.
    """
    groups = dict(env.groups)
    for group in groups.values():
        head_size(group.action)  # refuses what has no distribution
    world = episodic(env)
    actors = {name: Actor(g.observation, g.action, config) for name, g in groups.items()}
    critics = {name: Critic(g.observation, config) for name, g in groups.items()}
    own = config.share == "none"

    def optimiser(hp):
        return optax.chain(
            optax.clip_by_global_norm(hp.max_grad_norm), optax.adam(hp.learning_rate)
        )

    def each(function, in_axes, out_axes=0):
        """Maps a function of one agent over the agents that do not share, at the given axes."""
        return jax.vmap(function, in_axes, out_axes) if own else function

    def memory_of(batch=()):
        return {
            name: initial_memory(config.memory_size, (*batch, group.size))
            for name, group in groups.items()
        }

    # ---- acting

    def choose(name, params, key, memory, observation, mask, greedy):
        """Returns (action, log-probability, memory) of one agent, or of a group that shares."""
        memory, (head, log_std) = actors[name].apply(params["actor"], memory, observation)
        pi = distribution(groups[name].action, head, mask, log_std)
        action = pi.mode() if greedy else pi.sample(seed=key)
        return action, pi.log_prob(action), memory

    def play_by(greedy):
        def act(params, key, timestep, memory):
            actions, log_probs, carried = {}, {}, {}
            for i, (name, group) in enumerate(groups.items()):
                group_key = jax.random.fold_in(key, i)
                keys = jax.random.split(group_key, group.size) if own else group_key
                one = each(partial(choose, name, greedy=greedy), 0)
                mask = timestep.action_mask.get(name)
                actions[name], log_probs[name], carried[name] = one(
                    params[name], keys, memory[name], timestep.observation[name], mask
                )
            return actions, carried, log_probs

        return act

    def without_log_prob(act):
        return lambda *args: act(*args)[:2]

    policy = Policy(memory_of, without_log_prob(play_by(False)), without_log_prob(play_by(True)))

    # ---- learning, for one agent or a group that shares

    def values(name, params, memory, observation, reset):
        """Returns (memory, V(s_t) [T, ...])."""
        critic = partial(critics[name].apply, params["critic"])
        return unroll(critic, memory, observation, reset)

    def loss(params, name, memories, batch, hp):
        actor_memory, critic_memory = memories
        actor = partial(actors[name].apply, params["actor"])
        _, (head, log_std) = unroll(actor, actor_memory, batch.observation, batch.reset)
        pi = distribution(groups[name].action, head, batch.action_mask, log_std)
        _, value = values(name, params, critic_memory, batch.observation, batch.reset)

        ratio = jnp.exp(pi.log_prob(batch.action) - batch.log_prob)
        advantage = standardise(batch.advantage, batch.counts)
        gain = masked_mean(objective(ratio, advantage, hp), batch.counts)
        entropy = masked_mean(pi.entropy(), batch.counts)
        value_loss = masked_mean(
            clipped_value(value, batch.value, batch.target, hp.clip), batch.counts
        )
        figures = {"policy_loss": -gain, "value_loss": value_loss, "entropy": entropy}
        return hp.value * value_loss - gain - hp.entropy * entropy, figures

    def step(carry, shuffled, name, memories, batch, hp):
        """One minibatch: the environments of `shuffled` [B / num_minibatches]."""
        params, opt_state = carry
        some = jax.tree.map(lambda x: x[:, shuffled], batch)
        from_where = jax.tree.map(lambda x: x[shuffled], memories)
        grads, figures = jax.grad(loss, has_aux=True)(params, name, from_where, some, hp)
        updates, opt_state = optimiser(hp).update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), figures

    def learn(params, opt_state, key, memories, batch, name, hp):
        """All epochs of one agent or group; returns (params, opt_state, figures)."""

        def epoch(key):
            return jax.random.permutation(key, config.num_envs).reshape(config.num_minibatches, -1)

        order = jax.vmap(epoch)(jax.random.split(key, config.num_epochs))
        order = order.reshape(config.num_epochs * config.num_minibatches, -1)
        one = partial(step, name=name, memories=memories, batch=batch, hp=hp)
        (params, opt_state), figures = jax.lax.scan(one, (params, opt_state), order)
        return params, opt_state, figures

    def estimate(name, params, memory, steps, final, hp):
        """Returns one group's Batch [T, B, n, ...] and its critic's memory after it."""
        timestep = steps.timestep
        reset = jnp.concatenate([jnp.zeros_like(timestep.last[:1]), timestep.last[:-1]])
        observation, last = timestep.observation[name], timestep.last[..., None]
        along = each(partial(values, name), (0, 1, 2, None), (1, 2))
        memory, value = along(params, memory, observation, reset)
        memory = jax.tree.map(lambda m: jnp.where(timestep.last[-1][:, None, None], 0, m), memory)
        now = jax.tree.map(lambda x: x[None], final.observation[name])
        never = jnp.zeros_like(reset[:1])
        bootstrap = along(params, memory, now, never)[1][0]

        arriving = lambda field: jnp.concatenate(
            [getattr(timestep, field)[name][1:], getattr(final, field)[name][None]]
        )
        valid = jnp.broadcast_to(~last, value.shape)
        over_agents = lambda f: jax.vmap(f, (1, 1, 1, 0, None, 1), 1)
        advantage = over_agents(over_agents(gae))(
            arriving("reward"), hp.gamma * arriving("discount"), value, bootstrap, hp.gae_lambda,
            valid,
        )  # fmt: skip
        batch = Batch(
            observation,
            timestep.action_mask.get(name),
            steps.actions[name],
            steps.extras[name],
            value,
            advantage,
            target=advantage + value,
            counts=timestep.alive[name] & valid,
            reset=reset,
        )
        return batch, memory

    # ---- the learner

    def init(key, hp):
        key_params, key_play = jax.random.split(key)
        params, opt_state = {}, {}
        for i, (name, group) in enumerate(groups.items()):
            example = initial_memory(config.memory_size), zeros(group.observation)

            def fresh(key, name=name, example=example):
                key_actor, key_critic = jax.random.split(key)
                return {
                    "actor": actors[name].init(key_actor, *example),
                    "critic": critics[name].init(key_critic, *example),
                }

            group_key = jax.random.fold_in(key_params, i)
            keys = jax.random.split(group_key, group.size) if own else group_key
            params[name] = each(fresh, 0)(keys)
            opt_state[name] = each(optimiser(hp).init, 0)(params[name])
        start = jax.vmap(lambda key: begin(key, world, policy.memory()))
        play = start(jax.random.split(key_play, config.num_envs))
        return State(params, opt_state, play, memory_of((config.num_envs,)))

    def update(key, state, hp, index):
        key_play, key_learn = jax.random.split(key)
        act = partial(play_by(False), state.params)
        on = lambda key, play: rollout(
            key, world, act, play, config.rollout_length, policy.memory()
        )
        keys = jax.random.split(key_play, config.num_envs)
        play, steps = jax.vmap(on, out_axes=(0, 1))(keys, state.play)

        params, opt_state, critic_memory, figures = {}, {}, {}, {}
        for i, (name, group) in enumerate(groups.items()):
            batch, critic_memory[name] = estimate(
                name, state.params[name], state.critic_memory[name], steps, play.timestep, hp
            )
            memories = state.play.memory[name], state.critic_memory[name]
            group_key = jax.random.fold_in(key_learn, i)
            keys = jax.random.split(group_key, group.size) if own else group_key
            axes = Batch(*[2] * (len(Batch._fields) - 1), None)
            one = each(partial(learn, name=name, hp=hp), (0, 0, 0, 1, axes))
            params[name], opt_state[name], learned = one(
                state.params[name], state.optimiser[name], keys, memories, batch
            )
            suffix = f"_{name}" if len(groups) > 1 else ""
            figures |= {f"{field}{suffix}": x.mean() for field, x in learned.items()}

        metrics = figures | episode_metrics(world, steps.timestep)
        return State(params, opt_state, play, critic_memory), metrics

    env_steps = config.rollout_length * config.num_envs
    return Algorithm(init, update, policy, Hparams(), env_steps)
