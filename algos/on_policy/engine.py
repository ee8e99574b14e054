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
from jaxmarl_core.learners.parameter_sharing import Unit, apart, legal, seen, together, units
from jaxmarl_core.play.rollout import Play, begin, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import zeros
from jaxmarl_core.types import Algorithm, Environment, Policy

__all__ = ["Config", "actor_critic"]

BuildCritics = Callable[[Environment, list[Unit], Config, dict[str, Actor]], Critics]
Sampling = Callable[[jax.Array, Any], jax.Array]  # (step of the episode, hparams) -> weight


@struct.dataclass
class Params:
    """What is learnt; the policy reads the actors."""

    actors: dict[str, Any]  # unit -> parameters, with a leading axis n if not shared
    critics: dict[str, Any]  # view -> parameters


@struct.dataclass
class State:
    params: Params
    optimiser: dict[str, Any]  # unit -> of its actors
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
      critics: builds the critics for (env, units, config, actors).
      improve: how an actor climbs.
      order: `at_once` or `one_by_one`.
      sampling: how much a state counts, from the steps since its episode began [T, B] int32; None:
        states count as often as they are met.

    Raises:
      ValueError: an option the environment's spaces or groups do not fit.
    """
    world = episodic(env)
    whole = units(env, config.share, config.agent_ids)
    actors = {unit.name: Actor(unit.observation, unit.action, config) for unit in whole}
    judge = critics(env, whole, config, actors)
    learn_actors = order(whole, actors, improve)

    def each(unit, function, in_axes, out_axes=0):
        """Maps a function of one agent over the agents that do not share, at the given axes."""
        return jax.vmap(function, in_axes, out_axes) if unit.own else function

    def memory_of(batch=()):
        return {u.name: initial_memory(config.memory_size, (*batch, u.size)) for u in whole}

    # ---- acting

    def choose(name, params, key, memory, observation, mask, greedy):
        """Returns (action, log-probability, memory) of one agent, or of agents that share."""
        memory, pi = actors[name].policy(params, memory, observation, mask)
        action = pi.mode() if greedy else pi.sample(seed=key)
        return action, pi.log_prob(action), memory

    def play_by(greedy):
        def act(params, key, timestep, memory):
            actions, log_probs, carried = {}, {}, {}
            for i, unit in enumerate(whole):
                name = unit.name
                keys = jax.random.fold_in(key, i)
                keys = jax.random.split(keys, unit.size) if unit.own else keys
                one = each(unit, partial(choose, name, greedy=greedy), 0)
                action, log_probs[name], carried[name] = one(
                    params.actors[name],
                    keys,
                    memory[name],
                    seen(unit, timestep, 0),
                    legal(unit, timestep, 0),
                )
                actions |= apart(unit, action, 0)
            return actions, carried, log_probs

        return act

    def without_log_prob(act):
        return lambda *args: act(*args)[:2]

    policy = Policy(memory_of, without_log_prob(play_by(False)), without_log_prob(play_by(True)))

    # ---- what the actors learn from

    def batch_of(unit, steps, memory, weight):
        """Returns a unit's Batch, its advantages still to come."""
        timestep = steps.timestep
        counts = together(unit, timestep.alive, 2) & ~timestep.last[..., None]
        return Batch(
            observation=seen(unit, timestep, 2),
            mask=legal(unit, timestep, 2),
            action=together(unit, steps.actions, 2),
            log_prob=steps.extras[unit.name],
            advantage=jnp.zeros(counts.shape),
            weight=jnp.broadcast_to(weight[..., None], counts.shape),
            counts=counts,
            reset=resets(timestep.last),
            memory=memory[unit.name],
        )

    def normalised(advantages, batches):
        """Returns advantages by unit, with mean 0 and deviation 1 as the config asks."""
        if config.normalise_advantage == "none":
            return advantages
        alone = config.normalise_advantage == "agent"
        owner = [i if alone else team for i, team in enumerate(t for u in whole for t in u.teams)]
        stack = lambda by_unit: jnp.concatenate([by_unit[u.name] for u in whole], -1)
        every = stack(advantages)
        counts = stack({name: batch.counts for name, batch in batches.items()})
        columns = [None] * len(owner)
        for who in dict.fromkeys(owner):
            own = [i for i, other in enumerate(owner) if other == who]
            which = np.array(own)
            scaled = standardise(every[..., which], counts[..., which])
            for at, i in enumerate(own):
                columns[i] = scaled[..., at]
        every = jnp.stack(columns, -1)
        return {u.name: every[..., u.first : u.first + u.size] for u in whole}

    # ---- the learner

    def init(key, hp):
        key_actors, key_critics, key_play = jax.random.split(key, 3)
        params, opt_state = {}, {}
        for i, unit in enumerate(whole):
            example = initial_memory(config.memory_size), zeros(unit.observation)
            fresh = lambda key, unit=unit, example=example: actors[unit.name].init(key, *example)
            unit_key = jax.random.fold_in(key_actors, i)
            keys = jax.random.split(unit_key, unit.size) if unit.own else unit_key
            params[unit.name] = each(unit, fresh, 0)(keys)
            opt_state[unit.name] = each(unit, improve.start, 0)(params[unit.name])
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
        batches = {u.name: batch_of(u, steps, state.play.memory, weight) for u in whole}

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
