"""Who values what: critics of all agents' actions, or of an agent's own.

    central_critics   Q(x, a_1 ... a_N), one for a team or one for each agent; x is the state, or
                      what all agents observe
    own_critics       Q_i(o_i, a_i), of what agent i sees and does

K are valued: agents, or teams. M critics value each: two, of which the lower is believed, or one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.algos.off_policy.batches import Batch, Observed, Vectors
from jaxmarl_core.algos.off_policy.networks import (
    critic_network,
    init_network,
    over_axes,
    per_agent,
)
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    state_space,
    values_of_teams_for_the_dead,
)
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Box, Composite, flat_size
from jaxmarl_core.types import Environment, Key


class Pay(NamedTuple):
    """What K are paid over a batch of transitions."""

    reward: jax.Array  # [b, K] f32
    discount: jax.Array  # [b, K] f32
    counts: jax.Array  # [b, K] bool, whether it is learnt from


class Critics(NamedTuple):
    """Who values what. Parameters are leaves [M, ...], by critic."""

    init: Callable[[Key], dict[str, Any]]
    axes: dict[str, int]  # critic -> how many first axes tell its networks apart
    uses_state: bool
    values: Callable[[Any, Observed, Vectors], jax.Array]  # (params, ...) -> [M, b, K]
    pay: Callable[[Batch], Pay]
    summed: Callable[
        [jax.Array], jax.Array
    ]  # of agents [b, N] -> [b, K], over who is valued as one
    next_values: Callable[[jax.Array, Observed], jax.Array]
    # [M, b, K] as `values` makes them -> those to bootstrap from, where some are dead
    # How actors learn what their critics say: along the action that they draw, or from what every
    # action is worth.
    of_stack: Callable[[Any, AgentStack], tuple[Any, int | None]] | None = None
    # (params, stack) -> (those that value each of its agents, their axis n; None: all the same)
    value_of: Callable[[Any, AgentStack, Observed, Vectors, Any, Any], jax.Array] | None = None
    # (one agent's of `of_stack`, its stack, all others' observations and vectors, what it sees
    # [b, *space], its vector [b, E]) -> [M, b]
    of_actions: Callable[[Any, Observed, Vectors], dict[str, jax.Array]] | None = None
    # (params, ...) -> stack -> [b, n, A], what every own action is worth, the others' held


BuildCritics = Callable[[Environment, list[AgentStack], Config], Critics]


def alive_of_all(stacks: list[AgentStack], observed: Observed) -> jax.Array:
    """Returns who decides, [b, N] bool."""
    return jnp.concatenate([observed.alive[stack.name] for stack in stacks], 1)


class Valued(NamedTuple):
    """The K that are valued: `Critics` has these functions."""

    size: int
    place: dict[str, list[int]]  # stack -> of each agent, who is valued for it
    pay: Callable[[Batch], Pay]
    summed: Callable[[jax.Array], jax.Array]
    next_values: Callable[[jax.Array, Observed], jax.Array]


def each_agent(stacks: list[AgentStack]) -> Valued:
    """Returns all N agents: paid their own, and learnt from while they are alive."""

    def pay(batch):
        alive = alive_of_all(stacks, batch.observed)
        return Pay(batch.reward, batch.discount, alive & batch.counts[:, None])

    def next_values(values, observed):
        # what is to come for the fallen, who act no more, their mates know
        alive = jnp.broadcast_to(alive_of_all(stacks, observed), values.shape)
        return values_of_teams_for_the_dead(values, alive, stacks)

    place = {stack.name: list(range(stack.first, stack.first + stack.size)) for stack in stacks}
    return Valued(sum(stack.size for stack in stacks), place, pay, lambda x: x, next_values)


def each_team(stacks: list[AgentStack]) -> Valued:
    """Returns the teams: paid their members' mean, while pay can come to one of them."""
    team_of = [team for stack in stacks for team in stack.teams]
    teams = sorted(set(team_of))
    members = np.array([[team == other for other in team_of] for team in teams])  # [K, N]
    share = (members / members.sum(1, keepdims=True)).T.astype(np.float32)

    def pay(batch):
        alive = alive_of_all(stacks, batch.observed)[:, None]
        counts = (alive & members).any(-1) & batch.counts[:, None]
        discount = jnp.where(members, batch.discount[:, None], 0.0).max(-1)
        return Pay(batch.reward @ share, discount, counts)

    summed = lambda x: x @ members.T.astype(np.float32)
    place = {stack.name: [teams.index(team) for team in stack.teams] for stack in stacks}
    return Valued(len(teams), place, pay, summed, lambda values, observed: values)


VALUED = {"agent": each_agent, "environment": each_team}


def joint_vector(stacks: list[AgentStack], vectors: Vectors) -> jax.Array:
    """Returns what all agents do, side by side, [b, sum of n E]."""
    return jnp.concatenate([x.reshape(len(x), -1) for x in (vectors[s.name] for s in stacks)], -1)


def central_critics(
    env: Environment, stacks: list[AgentStack], config: Config, num_critics: int = 1
) -> Critics:
    """Returns critics of all agents' actions, as the config has it: `critic` and `central`."""
    valued = VALUED[decided(config.critic)](stacks)
    uses_state = config.central == "state"
    parts = {f"{stack.name}_{i}": stack.observation for stack in stacks for i in range(stack.size)}
    spaces = {"state": state_space(env)} if uses_state else parts
    num_entries = sum(stack.size * flat_size(stack.action) for stack in stacks)
    network = critic_network(Composite(spaces | {"actions": Box((num_entries,))}), config)

    def inputs(observed, vectors):
        found = {"state": observed.state}
        if not uses_state:
            found = {}
            for stack in stacks:
                for i in range(stack.size):
                    one = jax.tree.map(lambda x, i=i: x[:, i], observed.observation[stack.name])
                    found[f"{stack.name}_{i}"] = one
        return found | {"actions": joint_vector(stacks, vectors)}

    def init(key):
        keys = jax.random.split(key, (num_critics, valued.size))
        return {"central": over_axes(partial(init_network, network), 2)(keys)}

    def values(params, observed, vectors):
        one = lambda params: apply(network, params, inputs(observed, vectors))[..., 0]
        return jnp.swapaxes(over_axes(one, 2)(params["central"]), 1, 2)

    def of_stack(params, stack):
        place = np.array(valued.place[stack.name])
        if len(set(place)) == 1:
            return jax.tree.map(lambda x: x[:, place[0]], params["central"]), None
        return jax.tree.map(lambda x: x[:, place].swapaxes(0, 1), params["central"]), 0

    def value_of(own, stack, observed, vectors, observation, vector):
        one = lambda params: apply(network, params, inputs(observed, vectors))[..., 0]
        return over_axes(one, 1)(own)

    return Critics(
        init,
        {"central": 2},
        uses_state,
        values,
        valued.pay,
        valued.summed,
        valued.next_values,
        of_stack,
        value_of,
    )


def own_critics(
    env: Environment, stacks: list[AgentStack], config: Config, num_critics: int = 1
) -> Critics:
    """Returns critics of what an agent itself sees and does, shared as their actors are."""
    valued = each_agent(stacks)
    networks = {}
    for stack in stacks:
        own = {"observation": stack.observation, "action": Box((flat_size(stack.action),))}
        networks[stack.name] = critic_network(Composite(own), config)

    def init(key):
        params = {}
        for i, stack in enumerate(stacks):
            shape = (num_critics, stack.size) if stack.separate else (num_critics,)
            keys = jax.random.split(jax.random.fold_in(key, i), shape)
            fresh = partial(init_network, networks[stack.name])
            params[stack.name] = over_axes(fresh, len(shape))(keys)
        return params

    def values(params, observed, vectors):
        found = []
        for stack in stacks:
            inputs = {
                "observation": observed.observation[stack.name],
                "action": vectors[stack.name],
            }
            one = per_agent(stack, partial(apply, networks[stack.name]), 1)
            of_twins = jax.vmap(one, (0, None))
            found.append(of_twins(params[stack.name], inputs)[..., 0])
        return jnp.concatenate(found, -1)

    def of_stack(params, stack):
        if not stack.separate:
            return params[stack.name], None
        return jax.tree.map(lambda x: x.swapaxes(0, 1), params[stack.name]), 0

    def value_of(own, stack, observed, vectors, observation, vector):
        inputs = {"observation": observation, "action": vector}
        one = lambda params: apply(networks[stack.name], params, inputs)[..., 0]
        return over_axes(one, 1)(own)

    return Critics(
        init,
        {stack.name: 1 + stack.separate for stack in stacks},
        False,
        values,
        valued.pay,
        valued.summed,
        valued.next_values,
        of_stack,
        value_of,
    )
