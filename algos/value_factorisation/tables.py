"""What a team's learner says every joint action is worth: a table over small action spaces."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.factorisation import (
    Factorise,
    chosen_utilities,
)
from jaxmarl_core.algos.value_factorisation.networks import agent_network
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.sequences import (
    Sequences,
    agent_values,
    central_input,
    initial_memories,
)
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.spaces import num_values
from jaxmarl_core.types import Environment, TimeStep


def joint_tables(
    factorise: Factorise, env: Environment, config: Config, params: Any, timestep: TimeStep
) -> tuple[jax.Array, jax.Array, Any]:
    """Returns (joint values [A_1, ..., A_N], sums of utilities [A_1, ..., A_N], utilities).

    The last are [N, A] where all agents have as many actions, else a list. With a memory the time
    step is taken for the first of an episode.

    Args:
      factorise: of the algorithm.
      env: the environment that it learns in.
      config: what shaped its program, with all that the factorisation reads.
      params: of its state.
      timestep: of one environment.
    """
    stacks = agent_stacks(env, config.share, config.agent_ids)
    networks = {stack.name: agent_network(stack, config) for stack in stacks}
    sizes = [num_values(stack.action) for stack in stacks for _ in range(stack.size)]
    every = jnp.stack(
        jnp.meshgrid(*[jnp.arange(size) for size in sizes], indexing="ij"), -1
    ).reshape(-1, len(sizes))
    copies = lambda tree: jax.tree.map(lambda x: jnp.broadcast_to(x, (prod(sizes), *x.shape)), tree)
    one_step = jax.tree.map(lambda x: copies(x)[None], timestep)  # [1, M, ...]
    nothing = {
        name: jnp.zeros((0, prod(sizes), group.size), jnp.int32)
        for name, group in env.groups.items()
    }
    is_first = jnp.ones(prod(sizes), bool)
    sequences = Sequences(one_step, nothing, copies(initial_memories(stacks, config)), is_first)
    values = agent_values(stacks, networks, params.agents, sequences)
    own = lambda stack: every[None, :, stack.first : stack.first + stack.size]
    joint_action = tuple(jax.nn.one_hot(own(stack), num_values(stack.action)) for stack in stacks)
    factorisation = factorise("tables", env, stacks, config)
    central = central_input(stacks, one_step)
    value = factorisation.value(params.joint, values, joint_action, central)[0, :, 0]
    total = chosen_utilities(values.q, joint_action)[0].sum(-1)
    each = [utility for q in values.q for utility in q[0, 0]]
    utilities = jnp.stack(each) if len(set(sizes)) == 1 else each
    return value.reshape(sizes), total.reshape(sizes), utilities
