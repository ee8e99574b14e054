"""Which actors are updated when: all at once, or one after another in a drawn order.

One after another, each actor takes the changes of those before it into account: the advantage it
climbs is weighted by the ratio of their new policies to their old ones,

    M = prod over j before i of  pi_j(a_j | o_j) / pi_j_old(a_j | o_j)

so that by the advantage decomposition the sum of all their gains is a gain of the joint policy:
Kuba et al., 2021, arXiv:2109.11251, lemma 1 and proposition 2.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.on_policy.learning import (
    AGENT_AXES,
    ActorUpdate,
    Batch,
    action_distribution,
    bounded,
)
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.learners.turns import drawn_order, pick, put
from jaxmarl_core.types import Key, Metrics


class Actors(NamedTuple):
    """Who learns, and how."""

    stacks: list[AgentStack]
    networks: Mapping[str, Actor]  # by stack
    actor_update: ActorUpdate


class ActorState(NamedTuple):
    """By stack, with a leading axis n where agents do not share."""

    params: dict[str, Any]
    optimiser: dict[str, Any]


Order = Callable[
    [Actors, Key, ActorState, Mapping[str, Batch], Any, jax.Array], tuple[ActorState, Metrics]
]  # (actors, key, state, batches by stack, hparams, update_index) -> state, metrics


def simultaneous_update(
    actors: Actors,
    key: Key,
    state: ActorState,
    batches: Mapping[str, Batch],
    hp: Any,
    update_index: jax.Array,
) -> tuple[ActorState, Metrics]:
    """Returns (state, metrics) after all actors learnt from the same batch, not minding others."""
    params, optimiser, metrics = {}, {}, {}
    for i, stack in enumerate(actors.stacks):
        network, name = actors.networks[stack.name], stack.name
        update = partial(actors.actor_update.update, network, hp=hp, update_index=update_index)
        stack_key = jax.random.fold_in(key, i)
        if stack.separate:
            stack_key = jax.random.split(stack_key, stack.size)
            update = jax.vmap(update, (0, 0, 0, AGENT_AXES))
        params[name], optimiser[name], found = update(
            stack_key, state.params[name], state.optimiser[name], batches[name]
        )
        suffix = f"_{name}" if len(actors.stacks) > 1 else ""
        metrics |= {f"{field}{suffix}": x.mean() for field, x in found.items()}
    return ActorState(params, optimiser), metrics


def sequential_update(
    actors: Actors,
    key: Key,
    state: ActorState,
    batches: Mapping[str, Batch],
    hp: Any,
    update_index: jax.Array,
) -> tuple[ActorState, Metrics]:
    """Returns (state, metrics) after all agents of all stacks learnt in turn, in a drawn order.

    `compound_ratio` among the metrics is the mean of M after the last one.
    """
    stacks = actors.stacks
    num_agents = sum(stack.size for stack in stacks)
    num_teams = 1 + max(team for stack in stacks for team in stack.teams)
    team_of = jnp.array([team for stack in stacks for team in stack.teams])
    stack_of = jnp.array([k for k, stack in enumerate(stacks) for _ in range(stack.size)])
    shape = next(iter(batches.values())).advantage.shape[:2]
    log_m = jnp.zeros((num_teams, *shape))  # a team's; other teams' changes are the world's

    def next_agent(carry, agent):
        team = team_of[agent]
        turns = [
            partial(take_turn, actors, stack, agent, team, key, batches, hp, update_index)
            for stack in stacks
        ]
        if len(turns) == 1:
            return turns[0](carry)
        return jax.lax.switch(stack_of[agent], turns, carry)

    order = drawn_order(update_index, num_agents)
    (state, log_m), metrics = packed_scan(next_agent, (state, log_m), order)
    metrics = jax.tree.map(jnp.mean, metrics)
    metrics["compound_ratio"] = jnp.exp(bounded(log_m)).mean()
    return state, metrics


def take_turn(
    actors: Actors,
    stack: AgentStack,
    agent: jax.Array,
    team: jax.Array,
    key: Key,
    batches: Mapping[str, Batch],
    hp: Any,
    update_index: jax.Array,
    carry: tuple[ActorState, jax.Array],
) -> tuple[tuple[ActorState, jax.Array], Metrics]:
    """Returns ((state, log M [teams, T, B]), metrics) after one agent of a stack has learnt.

    Args:
      actors: all of them.
      stack: the agent's.
      agent: [] int32, its number among all agents.
      team: [] int32, its team.
      key: randomness of the whole update.
      batches: by stack.
      hp: the hparams.
      update_index: [] int32.
      carry: the state, and log M of each team, before.
    """
    state, log_m = carry
    name, network, i = stack.name, actors.networks[stack.name], agent - stack.first
    batch = batch_of_one(batches[name], i)
    own = partial(pick, i) if stack.separate else lambda tree: tree
    before, opt_state = own(state.params[name]), own(state.optimiser[name])
    weighted = batch._replace(advantage=batch.advantage * jnp.exp(bounded(log_m[team])))
    agent_key = jax.random.fold_in(key, agent)
    after, opt_state, metrics = actors.actor_update.update(
        network, agent_key, before, opt_state, weighted, hp, update_index
    )
    metrics = jax.tree.map(lambda x: x.astype(jnp.float32), metrics)  # the same of all stacks
    log_prob = lambda params: action_distribution(network, params, batch).log_prob(batch.action)
    new = log_prob(after)
    # parameters that are shared have already moved since the batch was played
    old = batch.log_prob if stack.separate else log_prob(before)
    log_m = log_m.at[team].add(jnp.where(batch.counts, new - old, 0.0))
    put_back = partial(put, i) if stack.separate else lambda _, new: new
    state = ActorState(
        state.params | {name: put_back(state.params[name], after)},
        state.optimiser | {name: put_back(state.optimiser[name], opt_state)},
    )
    return (state, log_m), metrics


def batch_of_one(batch: Batch, i: jax.Array) -> Batch:
    """Returns the batch of agent i of a stack, without the axis n."""
    fields = {
        name: leaf if axis is None else pick(i, leaf, axis)
        for name, leaf, axis in zip(Batch._fields, batch, AGENT_AXES)
    }
    return Batch(**fields)
