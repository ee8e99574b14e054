"""The engine of on-policy actor-critics: play, estimate advantages, learn, forget.

One update plays `rollout_length` steps of `num_envs` environments with the current policies. The
critics say how much better than expected each action turned out; then the actors learn, all at once
or one after another; then the critics learn what they should have expected. What varies between
algorithms is handed in:

    critics        who values states, from what     value_critics.py, counterfactual.py
    actor_update   how an actor climbs              learning.py
    order          who climbs when                  order.py

`update` reads in that order; its phases are the functions below it.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.on_policy.critics import Critics, Played, resets
from jaxmarl_core.algos.on_policy.learning import ActorUpdate, Batch
from jaxmarl_core.algos.on_policy.minibatches import sequences
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.algos.on_policy.options import Config, require_options
from jaxmarl_core.algos.on_policy.order import Actors, ActorState, Order
from jaxmarl_core.functional.returns import standardise
from jaxmarl_core.learners.networks import initial_memory
from jaxmarl_core.learners.observation_normalisation import (
    initial_statistics,
    normalised_observation,
    updated_statistics,
)
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    agent_stacks,
    legal_actions,
    observe,
    pay_while_it_comes,
    split_groups,
    stack_groups,
    where_alive,
)
from jaxmarl_core.play.rollout import Play, Step, begin, joint_rows, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import zeros
from jaxmarl_core.types import (
    Actions,
    Algorithm,
    Environment,
    Key,
    Memory,
    Metrics,
    Policy,
    TimeStep,
)

__all__ = ["Config", "actor_critic"]

BuildCritics = Callable[[Environment, list[AgentStack], Config, dict[str, Actor]], Critics]
Sampling = Callable[[jax.Array, Any], jax.Array]  # (step of the episode, hparams) -> weight


@struct.dataclass
class Params:
    """What is learnt; the policy reads the actors."""

    actors: dict[str, Any]  # stack -> parameters, with a leading axis n if not shared
    critics: dict[str, Any]  # critic -> parameters
    observation: dict[str, Any]  # stack -> statistics of what its agents see, or None


@struct.dataclass
class State:
    params: Params
    optimiser: dict[str, Any]  # stack -> of its actors
    play: Play  # leaves [B, ...]
    critics: Any  # the critics' state; its parameters stand in `params`


class Parts(NamedTuple):
    """What a learner is built of."""

    env: Environment  # episodic, resets itself
    config: Config
    actors: Actors
    critics: Critics
    order: Order
    sampling: Sampling | None


def actor_critic(
    env: Environment,
    config: Config,
    hparams: Any,
    *,
    critics: BuildCritics,
    actor_update: ActorUpdate,
    order: Order,
    sampling: Sampling | None = None,
) -> Algorithm:
    """Returns the learner.

    Args:
      env: any number of groups, any actions, action masks, deaths.
      config: what shapes the program; what recipes differ in is said.
      hparams: the defaults.
      critics: builds the critics for (env, stacks, config, actors).
      actor_update: how an actor climbs.
      order: `simultaneous_update` or `sequential_update`.
      sampling: how much a state counts, from the steps since its episode began [T, B] int32; None:
        states count as often as they are met.

    Raises:
      ValueError: an option the environment's spaces or groups do not fit, or that nobody gave.
    """
    parts = build(env, config, critics, actor_update, order, sampling)
    return Algorithm(
        partial(init, parts),
        partial(update, parts),
        policy(parts),
        hparams,
        config.rollout_length * config.num_envs,
    )


def build(
    env: Environment,
    config: Config,
    critics: BuildCritics,
    actor_update: ActorUpdate,
    order: Order,
    sampling: Sampling | None = None,
) -> Parts:
    """Returns the parts of a learner; arguments and errors as of `actor_critic`."""
    require_options(config, "share", "num_epochs", "num_minibatches")
    stacks = agent_stacks(env, decided(config.share), config.agent_ids)
    networks = {stack.name: Actor(stack.observation, stack.action, config) for stack in stacks}
    actors = Actors(stacks, networks, actor_update)
    built = critics(env, stacks, config, networks)
    return Parts(episodic(env), config, actors, built, order, sampling)


def init(parts: Parts, key: Key, hp: Any) -> State:
    """Returns the state before the first update."""
    key_actors, key_critics, key_play = jax.random.split(key, 3)
    actors = init_actors(parts, key_actors)
    start = jax.vmap(lambda key: begin(key, parts.env, first_memory(parts)))
    play = start(jax.random.split(key_play, parts.config.num_envs))
    critic_state = parts.critics.init(key_critics, hp)
    statistics = {
        stack.name: initial_statistics(stack.observation)
        if parts.config.normalise_observation
        else None
        for stack in parts.actors.stacks
    }
    params = Params(actors.params, critic_state.params, statistics)
    return State(params, actors.optimiser, play, critic_state.replace(params=()))


def update(
    parts: Parts, key: Key, state: State, hp: Any, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns (state, metrics) after one update."""
    key_play, key_final, key_actors, key_critics = jax.random.split(key, 4)
    play, steps, memory = play_on(parts, key_play, state)
    steps, final = heed_ends(steps, play.timestep)
    batches = actor_batches(parts, state.params, steps, memory, hp)
    played = Played(
        steps,
        final,
        batches,
        state.params.actors,
        partial(final_actions, parts, key_final, state.params, play),
    )
    critic_state = state.critics.replace(params=state.params.critics)
    advantages, critic_batches, critic_state = parts.critics.estimate(critic_state, played, hp)
    advantages = normalise_advantages(parts, advantages, batches)
    batches = {
        name: sequences(batch._replace(advantage=advantages[name]), parts.config)
        for name, batch in batches.items()
    }
    actors, metrics = parts.order(
        parts.actors,
        key_actors,
        ActorState(state.params.actors, state.optimiser),
        batches,
        hp,
        update_index,
    )
    critic_state, critic_metrics = parts.critics.learn(
        key_critics, critic_state, critic_batches, hp, update_index
    )
    metrics = metrics | critic_metrics | episode_metrics(parts.env, steps.timestep)
    seen = statistics_after(parts, state.params, steps.timestep)
    params = Params(actors.params, critic_state.params, seen)
    return State(params, actors.optimiser, play, critic_state.replace(params=())), metrics


def per_agent(stack: AgentStack, function: Callable) -> Callable:
    """Maps a function of one agent over the agents of a stack, if they do not share."""
    return jax.vmap(function) if stack.separate else function


def agent_keys(stack: AgentStack, key: Key, i: int) -> Key:
    """Returns the keys [n] of the agents of stack i, if they do not share; else one key."""
    key = jax.random.fold_in(key, i)
    return jax.random.split(key, stack.size) if stack.separate else key


def init_actors(parts: Parts, key: Key) -> ActorState:
    """Returns parameters drawn afresh, and the optimisers' state."""
    params, opt_state = {}, {}
    stacks, networks, actor_update = parts.actors
    for i, stack in enumerate(stacks):
        name = stack.name
        example = initial_memory(parts.config.memory_size), zeros(stack.observation)
        init = lambda key, name=name, example=example: networks[name].init(key, *example)
        params[name] = per_agent(stack, init)(agent_keys(stack, key, i))
        opt_state[name] = per_agent(stack, actor_update.init)(params[name])
    return ActorState(params, opt_state)


def first_memory(parts: Parts) -> Memory:
    """Returns what the actors remember when an episode begins, stack -> [n, h] or ()."""
    size = parts.config.memory_size
    return {stack.name: initial_memory(size, (stack.size,)) for stack in parts.actors.stacks}


def act(
    parts: Parts, greedy: bool, params: Params, key: Key, timestep: TimeStep, memory: Memory
) -> tuple[Actions, Memory, dict[str, jax.Array]]:
    """Returns (actions, memory, log-probabilities [n] by stack) in one environment."""
    actions, log_probs, carried = {}, {}, {}
    for i, stack in enumerate(parts.actors.stacks):
        name = stack.name
        choose = per_agent(stack, partial(choose_action, parts.actors.networks[name], greedy))
        action, log_probs[name], carried[name] = choose(
            params.actors[name],
            agent_keys(stack, key, i),
            memory[name],
            observation_of(stack, params, timestep, 0),
            legal_actions(stack, timestep, 0),
        )
        actions |= split_groups(stack, action, 0)
    return actions, carried, log_probs


def observation_of(stack: AgentStack, params: Params, timestep: TimeStep, axis: int) -> Any:
    """Returns what a stack's networks see, leaves [..., n, *space]; `axis` is the agents'."""
    observation = observe(stack, timestep, axis)
    return normalised_observation(stack.observation, params.observation[stack.name], observation)


def statistics_after(parts: Parts, params: Params, timestep: TimeStep) -> dict[str, Any]:
    """Returns the statistics of observations after a rollout [T, B, ...], of whom was alive."""
    return {
        stack.name: updated_statistics(
            stack.observation,
            params.observation[stack.name],
            observe(stack, timestep, 2),
            stack_groups(stack, timestep.alive, 2),
        )
        for stack in parts.actors.stacks
    }


def choose_action(
    actor: Actor, greedy: bool, params: Any, key: Key, memory: Any, observation: Any, mask: Any
) -> tuple[Any, jax.Array, Any]:
    """Returns (action, log-probability, memory) of one agent, or of all that share."""
    memory, pi = actor.policy(params, memory, observation, mask)
    action = pi.mode() if greedy else pi.sample(seed=key)
    return action, pi.log_prob(action), memory


def policy(parts: Parts) -> Policy:
    """Returns how the agents act."""
    without_log_prob = lambda greedy: lambda *args: act(parts, greedy, *args)[:2]
    return Policy(partial(first_memory, parts), without_log_prob(False), without_log_prob(True))


def play_on(parts: Parts, key: Key, state: State) -> tuple[Play, Step, Memory]:
    """Returns where play stands after a rollout, its steps, and what was remembered meanwhile.

    Steps are [T, B, ...]; the memory before each of C chunks is stack -> [C, B, n, h] or ().
    """
    drawn = partial(act, parts, False, state.params)
    length = parts.config.chunk_length or parts.config.rollout_length
    num_chunks = parts.config.rollout_length // length

    def chunk(play, key):
        memory, keep = first_memory(parts), partial(what_is_read, parts)
        after, steps = rollout(key, parts.env, drawn, play, length, memory, keep)
        return after, (steps, play.memory)

    def one(key, play):
        keys = jax.random.split(key, num_chunks) if num_chunks > 1 else key[None]
        play, (steps, memory) = jax.lax.scan(chunk, play, keys)
        return play, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps), memory

    keys = jax.random.split(key, parts.config.num_envs)
    return jax.vmap(one, out_axes=(0, 1, 1))(keys, state.play)


def what_is_read(parts: Parts, step: Step) -> Step:
    """Returns a step without what neither losses nor metrics read."""
    timestep = step.timestep
    state = timestep.state if parts.critics.uses_state else ()
    read = ("episode", "opponent")
    extras = {name: timestep.extras[name] for name in read if name in timestep.extras}
    kept = dataclasses.replace(timestep, state=state, mean_action={}, extras=extras)
    return step._replace(timestep=kept)


def heed_ends(steps: Step, final: TimeStep) -> tuple[Step, TimeStep]:
    """Returns the rollout [T, ...] and the time step after it, paid only while pay can come."""
    timestep = steps.timestep
    reward = pay_while_it_comes(
        joint_rows(timestep.reward, final.reward),
        joint_rows(timestep.discount, final.discount),
    )
    part = lambda cut: jax.tree.map(lambda x: x[cut], reward)
    steps = steps._replace(timestep=dataclasses.replace(timestep, reward=part(slice(None, -1))))
    return steps, dataclasses.replace(final, reward=part(-1))


def final_actions(parts: Parts, key: Key, params: Params, play: Play) -> Actions:
    """Returns what the actors would do next, [B, n, ...] by group."""
    keys = jax.random.split(key, parts.config.num_envs)
    return jax.vmap(partial(act, parts, False, params))(keys, play.timestep, play.memory)[0]


def actor_batches(
    parts: Parts, params: Params, steps: Step, memory: Memory, hp: Any
) -> dict[str, Batch]:
    """Returns what each stack's actors learn from, the advantages still to come.

    Args:
      parts: the learner.
      params: those that played.
      steps: the rollout, leaves [T, B, ...].
      memory: what the actors remembered before its C chunks, stack -> [C, B, n, h] or ().
      hp: the hparams.
    """
    timestep = steps.timestep
    weight = jnp.ones(timestep.last.shape)
    if parts.sampling is not None:
        weight = parts.sampling(timestep.extras["episode"].length, hp)
    batches = {}
    for stack in parts.actors.stacks:
        alive = stack_groups(stack, timestep.alive, 2)
        counts = alive & ~timestep.last[..., None]
        batches[stack.name] = Batch(
            observation=observation_of(stack, params, timestep, 2),
            mask=legal_actions(stack, timestep, 2),
            action=where_alive(alive, stack_groups(stack, steps.actions, 2)),
            log_prob=steps.extras[stack.name],
            advantage=jnp.zeros(counts.shape),
            weight=jnp.broadcast_to(weight[..., None], counts.shape),
            counts=counts,
            reset=resets(timestep.last),
            memory=memory[stack.name],
        )
    return batches


def normalise_advantages(
    parts: Parts, advantages: dict[str, jax.Array], batches: dict[str, Batch]
) -> dict[str, jax.Array]:
    """Returns advantages [T, B, n] by stack, with mean 0 and deviation 1 as the config asks."""
    how, stacks = parts.config.normalise_advantage, parts.actors.stacks
    if how == "none":
        return advantages
    teams = [team for stack in stacks for team in stack.teams]
    owner = list(range(len(teams))) if how == "agent" else teams
    join = lambda by_stack: jnp.concatenate([by_stack[stack.name] for stack in stacks], -1)
    of_all = join(advantages)
    counts = join({name: batch.counts for name, batch in batches.items()})
    columns: dict[int, jax.Array] = {}
    for who in dict.fromkeys(owner):
        own = np.array([i for i, other in enumerate(owner) if other == who])
        scaled = standardise(of_all[..., own], counts[..., own])
        for at, i in enumerate(own):
            columns[i] = scaled[..., at]
    of_all = jnp.stack([columns[i] for i in range(len(owner))], -1)
    return {s.name: of_all[..., s.first : s.first + s.size] for s in stacks}
