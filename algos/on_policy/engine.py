"""The engine of on-policy actor-critics: play, estimate advantages, learn, forget.

One update plays `rollout_length` steps of `num_envs` environments with the current policies. The
critics say how much better than expected each action turned out; then the actors learn, all at once
or one after another, each by its way of improvement; then the critics learn what they should have
expected. What varies between algorithms is handed in:

    critics     who values states, from what          critics.py, views.py, counterfactual.py
    improve     how an actor climbs                    learning.py
    order       who climbs when                        order.py
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.on_policy.critics import Critics, CriticState, resets
from jaxmarl_core.algos.on_policy.learning import Batch, Improve
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.algos.on_policy.order import Order
from jaxmarl_core.functional.returns import standardise
from jaxmarl_core.learners.networks import initial_memory
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    agent_stacks,
    legal_actions,
    observe,
    split_groups,
    stack_groups,
)
from jaxmarl_core.play.rollout import Play, begin, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import zeros
from jaxmarl_core.types import Algorithm, Environment, Policy

__all__ = ["Config", "actor_critic"]

BuildCritics = Callable[[Environment, list[AgentStack], Config, dict[str, Actor]], Critics]
Sampling = Callable[[jax.Array, Any], jax.Array]  # (step of the episode, hparams) -> weight


@struct.dataclass
class Params:
    """What is learnt; the policy reads the actors."""

    actors: dict[str, Any]  # stack -> parameters, with a leading axis n if not shared
    critics: dict[str, Any]  # view -> parameters


@struct.dataclass
class State:
    params: Params
    optimiser: dict[str, Any]  # stack -> of its actors
    play: Play  # leaves [B, ...]
    critics: CriticState  # its parameters stand in `params`


def actor_critic(
    env: Environment,
    config: Config,
    hparams: Any,
    *,
    critics: BuildCritics,
    improve: Improve,
    order: Order,
    sampling: Sampling | None = None,
) -> Algorithm:
    """Returns the learner.

    Args:
      env: any number of groups, any actions, action masks, deaths.
      config: what shapes the program.
      hparams: the defaults.
      critics: builds the critics for (env, stacks, config, actors).
      improve: how an actor climbs.
      order: `at_once` or `one_by_one`.
      sampling: how much a state counts, from the steps since its episode began [T, B] int32; None:
        states count as often as they are met.

    Raises:
      ValueError: an option the environment's spaces or groups do not fit.
    """
    world = episodic(env)
    stacks = agent_stacks(env, config.share, config.agent_ids)
    actors = {stack.name: Actor(stack.observation, stack.action, config) for stack in stacks}
    judge = critics(env, stacks, config, actors)
    learn_actors = order(stacks, actors, improve)

    def each(stack, function, in_axes, out_axes=0):
        """Maps a function of one agent over the agents that do not share, at the given axes."""
        return jax.vmap(function, in_axes, out_axes) if stack.separate else function

    def memory_of(batch=()):
        return {u.name: initial_memory(config.memory_size, (*batch, u.size)) for u in stacks}

    # ---- acting

    def choose(name, params, key, memory, observation, mask, greedy):
        """Returns (action, log-probability, memory) of one agent, or of agents that share."""
        memory, pi = actors[name].policy(params, memory, observation, mask)
        action = pi.mode() if greedy else pi.sample(seed=key)
        return action, pi.log_prob(action), memory

    def play_by(greedy):
        def act(params, key, timestep, memory):
            actions, log_probs, carried = {}, {}, {}
            for i, stack in enumerate(stacks):
                name = stack.name
                keys = jax.random.fold_in(key, i)
                keys = jax.random.split(keys, stack.size) if stack.separate else keys
                one = each(stack, partial(choose, name, greedy=greedy), 0)
                action, log_probs[name], carried[name] = one(
                    params.actors[name],
                    keys,
                    memory[name],
                    observe(stack, timestep, 0),
                    legal_actions(stack, timestep, 0),
                )
                actions |= split_groups(stack, action, 0)
            return actions, carried, log_probs

        return act

    def without_log_prob(act):
        return lambda *args: act(*args)[:2]

    policy = Policy(memory_of, without_log_prob(play_by(False)), without_log_prob(play_by(True)))

    # ---- what the actors learn from

    def batch_of(stack, steps, memory, weight):
        """Returns a stack's Batch, its advantages still to come."""
        timestep = steps.timestep
        counts = stack_groups(stack, timestep.alive, 2) & ~timestep.last[..., None]
        return Batch(
            observation=observe(stack, timestep, 2),
            mask=legal_actions(stack, timestep, 2),
            action=stack_groups(stack, steps.actions, 2),
            log_prob=steps.extras[stack.name],
            advantage=jnp.zeros(counts.shape),
            weight=jnp.broadcast_to(weight[..., None], counts.shape),
            counts=counts,
            reset=resets(timestep.last),
            memory=memory[stack.name],
        )

    def normalised(advantages, batches):
        """Returns advantages by stack, with mean 0 and deviation 1 as the config asks."""
        if config.normalise_advantage == "none":
            return advantages
        alone = config.normalise_advantage == "agent"
        owner = [i if alone else team for i, team in enumerate(t for u in stacks for t in u.teams)]
        join = lambda by_stack: jnp.concatenate([by_stack[u.name] for u in stacks], -1)
        every = join(advantages)
        counts = join({name: batch.counts for name, batch in batches.items()})
        columns = [None] * len(owner)
        for who in dict.fromkeys(owner):
            own = [i for i, other in enumerate(owner) if other == who]
            which = np.array(own)
            scaled = standardise(every[..., which], counts[..., which])
            for at, i in enumerate(own):
                columns[i] = scaled[..., at]
        every = jnp.stack(columns, -1)
        return {u.name: every[..., u.first : u.first + u.size] for u in stacks}

    # ---- the learner

    def init(key, hp):
        key_actors, key_critics, key_play = jax.random.split(key, 3)
        params, opt_state = {}, {}
        for i, stack in enumerate(stacks):
            example = initial_memory(config.memory_size), zeros(stack.observation)
            fresh = lambda key, stack=stack, example=example: actors[stack.name].init(key, *example)
            stack_key = jax.random.fold_in(key_actors, i)
            keys = jax.random.split(stack_key, stack.size) if stack.separate else stack_key
            params[stack.name] = each(stack, fresh, 0)(keys)
            opt_state[stack.name] = each(stack, improve.start, 0)(params[stack.name])
        start = jax.vmap(lambda key: begin(key, world, policy.memory()))
        play = start(jax.random.split(key_play, config.num_envs))
        judged = judge.init(key_critics, hp)
        return State(Params(params, judged.params), opt_state, play, judged.replace(params=()))

    def update(key, state, hp, index):
        key_play, key_final, key_actors, key_critics = jax.random.split(key, 4)
        act = partial(play_by(False), state.params)
        on = lambda key, play: rollout(
            key, world, act, play, config.rollout_length, policy.memory()
        )
        keys = jax.random.split(key_play, config.num_envs)
        play, steps = jax.vmap(on, out_axes=(0, 1))(keys, state.play)

        weight = jnp.ones(steps.timestep.last.shape)
        if sampling is not None:
            weight = sampling(steps.timestep.extras["episode"].length, hp)
        batches = {u.name: batch_of(u, steps, state.play.memory, weight) for u in stacks}

        def final_actions():
            """What the actors would do next, [B, n, ...] by group."""
            keys = jax.random.split(key_final, config.num_envs)
            return jax.vmap(act)(keys, play.timestep, play.memory)[0]

        judged = state.critics.replace(params=state.params.critics)
        advantages, rows, judged = judge.estimate(
            judged, steps, play.timestep, hp, batches, state.params.actors, final_actions
        )
        advantages = normalised(advantages, batches)
        batches = {
            name: batch._replace(advantage=advantages[name]) for name, batch in batches.items()
        }
        params, opt_state, figures = learn_actors(
            key_actors, index, state.params.actors, state.optimiser, batches, hp
        )
        judged, found = judge.learn(key_critics, judged, rows, hp, index)
        metrics = figures | found | episode_metrics(world, steps.timestep)
        params = Params(params, judged.params)
        return State(params, opt_state, play, judged.replace(params=())), metrics

    env_steps = config.rollout_length * config.num_envs
    return Algorithm(init, update, policy, hparams, env_steps)
