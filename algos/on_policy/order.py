"""Who is improved when: all actors at once, or one after another in a drawn order.

One after another, each actor takes the changes of those before it into account: the advantage it
climbs is weighted by the ratio of their new policies to their old ones,

    M = prod over j before i of  pi_j(a_j | o_j) / pi_j_old(a_j | o_j)

so that by the advantage decomposition the sum of all their gains is a gain of the joint policy:
Kuba et al., 2021, arXiv:2109.11251, lemma 1 and proposition 2.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.on_policy.learning import OF_AGENTS, Batch, Improve, policy
from jaxmarl_core.algos.on_policy.networks import Actor
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.types import Metrics

Learn = Callable[..., tuple[dict[str, Any], dict[str, Any], Metrics]]
# (key, index, params, optimisers, batches, hparams), by stack -> params, optimisers, figures
Order = Callable[[list[AgentStack], Mapping[str, Actor], Improve], Learn]

_ORDER = 2109  # the seed of the order in which actors learn


def at_once(stacks: list[AgentStack], actors: Mapping[str, Actor], improve: Improve) -> Learn:
    """Returns the learning of all actors from the same batch, not minding each other."""

    def learn(key, index, params, optimisers, batches, hp):
        params, optimisers, figures = dict(params), dict(optimisers), {}
        for i, stack in enumerate(stacks):
            one = partial(improve.step, actors[stack.name], hp=hp, index=index)
            stack_key = jax.random.fold_in(key, i)
            if stack.separate:
                stack_key = jax.random.split(stack_key, stack.size)
                one = jax.vmap(one, (0, 0, 0, OF_AGENTS))
            params[stack.name], optimisers[stack.name], found = one(
                stack_key, params[stack.name], optimisers[stack.name], batches[stack.name]
            )
            suffix = f"_{stack.name}" if len(stacks) > 1 else ""
            figures |= {f"{name}{suffix}": x.mean() for name, x in found.items()}
        return params, optimisers, figures

    return learn


def drawn_order(index: jax.Array, num_agents: int) -> jax.Array:
    """Returns the order [N] int32 in which agents learn in an update.

    It hangs on the number of the update alone, which is the same in all runs of a sweep: picking
    an agent is then no gather, and a branch stays a branch.
    """
    key = jax.random.fold_in(jax.random.key(_ORDER), index)
    return jax.random.permutation(key, num_agents)


def one_by_one(stacks: list[AgentStack], actors: Mapping[str, Actor], improve: Improve) -> Learn:
    """Returns the sequential learning of all agents of all stacks, anew in a drawn order."""
    num_agents = sum(stack.size for stack in stacks)
    stack_of = jnp.array([k for k, stack in enumerate(stacks) for _ in range(stack.size)])
    team_of = jnp.array([team for stack in stacks for team in stack.teams])
    num_teams = 1 + max(team for stack in stacks for team in stack.teams)

    def learn(key, index, params, optimisers, batches, hp):
        shape = next(iter(batches.values())).advantage.shape[:2]
        log_m = jnp.zeros((num_teams, *shape))  # a team's; other teams' changes are the world's

        def of_stack(stack, agent, carry):
            params, optimisers, log_m = carry
            i, name, actor = agent - stack.first, stack.name, actors[stack.name]
            batch = _one_agent(batches[name], i)
            own = partial(_pick, i) if stack.separate else lambda tree: tree
            before, opt_state = own(params[name]), own(optimisers[name])
            team = team_of[agent]
            weighted = batch._replace(advantage=batch.advantage * jnp.exp(log_m[team]))
            agent_key = jax.random.fold_in(key, agent)
            after, opt_state, figures = improve.step(
                actor, agent_key, before, opt_state, weighted, hp, index
            )
            change = policy(actor, after, batch).log_prob(batch.action)
            # parameters that are shared have already moved since the batch was played
            was = (
                batch.log_prob
                if stack.separate
                else policy(actor, before, batch).log_prob(batch.action)
            )
            log_m = log_m.at[team].add(jnp.where(batch.counts, change - was, 0.0))
            put = partial(_put, i) if stack.separate else lambda _, new: new
            params = params | {name: put(params[name], after)}
            optimisers = optimisers | {name: put(optimisers[name], opt_state)}
            return (params, optimisers, log_m), figures

        def one(carry, agent):
            branches = [partial(of_stack, stack, agent) for stack in stacks]
            if len(branches) == 1:
                return branches[0](carry)
            return jax.lax.switch(stack_of[agent], branches, carry)

        order = drawn_order(index, num_agents)
        (params, optimisers, log_m), figures = jax.lax.scan(one, (params, optimisers, log_m), order)
        figures = jax.tree.map(jnp.mean, figures)
        figures["compound_ratio"] = jnp.exp(log_m).mean()
        return params, optimisers, figures

    return learn


def _pick(i: jax.Array, tree: Any, axis: int = 0) -> Any:
    one = partial(jax.lax.dynamic_index_in_dim, index=i, axis=axis, keepdims=False)
    return jax.tree.map(lambda leaf: one(leaf), tree)


def _put(i: jax.Array, tree: Any, new: Any) -> Any:
    put = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0)
    return jax.tree.map(lambda leaf, x: put(leaf, x), tree, new)


def _one_agent(batch: Batch, i: jax.Array) -> Batch:
    """Returns the batch of one agent, without the axis n."""
    fields = {
        name: leaf if axis is None else _pick(i, leaf, axis)
        for name, leaf, axis in zip(Batch._fields, batch, OF_AGENTS)
    }
    return Batch(**fields)
