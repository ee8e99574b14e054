"""What a team's learner says every joint action is worth: a table over small action spaces."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.factorisation import Factorise, taken
from jaxmarl_core.algos.value_factorisation.networks import agent
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.sequences import (
    Sequences,
    memory_of,
    outlook,
    sight,
)
from jaxmarl_core.learners.parameter_sharing import agent_stacks
from jaxmarl_core.types import Environment, TimeStep


def joint_tables(
    factorise: Factorise, env: Environment, config: Config, params: Any, timestep: TimeStep
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns (joint values [A_1, ..., A_N], sums of utilities [A_1, ..., A_N], utilities).

    The last are [N, A] where all agents have as many actions, else a list. With a memory the time
    step is taken for the first of an episode.

    Args:
      factorise: of the algorithm.
      env: the environment that it learns in.
      config: what shaped its program.
      params: of its state.
      timestep: of one environment.
    """
    stacks = agent_stacks(env, config.share, config.agent_ids)
    nets = {stack.name: agent(stack, config) for stack in stacks}
    sizes = [stack.action.num_values for stack in stacks for _ in range(stack.size)]
    every = jnp.stack(
        jnp.meshgrid(*[jnp.arange(size) for size in sizes], indexing="ij"), -1
    ).reshape(-1, len(sizes))
    copies = lambda tree: jax.tree.map(lambda x: jnp.broadcast_to(x, (prod(sizes), *x.shape)), tree)
    one_row = jax.tree.map(lambda x: copies(x)[None], timestep)  # [1, M, ...]
    nothing = {
        name: jnp.zeros((0, prod(sizes), group.size), jnp.int32)
        for name, group in env.groups.items()
    }
    view = outlook(
        stacks, nets, params.agents, Sequences(one_row, nothing, copies(memory_of(stacks, config)))
    )
    own = lambda stack: every[None, :, stack.first : stack.first + stack.size]
    choice = tuple(jax.nn.one_hot(own(stack), stack.action.num_values) for stack in stacks)
    factors = factorise("tables", env, stacks, config)
    value = factors.value(params.joint, view, choice, sight(stacks, one_row))[0, :, 0]
    total = taken(view.q, choice)[0].sum(-1)
    each = [row for q in view.q for row in q[0, 0]]
    utilities = jnp.stack(each) if len(set(sizes)) == 1 else each
    return value.reshape(sizes), total.reshape(sizes), utilities
