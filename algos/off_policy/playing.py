"""How off-policy learners act and play, and what they keep of it."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.off_policy.action_vectors import action_of, standard_noise
from jaxmarl_core.algos.off_policy.batches import (
    Stored,
    observe_all,
    of_all_agents,
    stored_timestep,
    vectors_of,
)
from jaxmarl_core.algos.off_policy.beliefs import Latest
from jaxmarl_core.algos.off_policy.learner import Learner, Params, State
from jaxmarl_core.algos.off_policy.order import outputs
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners.observation_normalisation import updated_statistics
from jaxmarl_core.learners.parameter_sharing import (
    observe,
    pay_while_it_comes,
    split_groups,
    stack_groups,
)
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.rollout import Play, Step, rollout
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Actions, Key, Memory, Policy, TimeStep


class Recall(NamedTuple):
    """What the agents of a stack remember of their episode."""

    exploration: Any  # [n, E] f32, correlated noise; or ()
    policy: Any  # [n] int32, which of its policies each plays by, -1 before it is drawn; or ()


def first_memory(learner: Learner) -> Memory:
    """Returns what is remembered where an episode begins, stack -> Recall."""
    first, num_policies = learner.actors.kind.first_state, learner.config.num_policies

    def one(stack):
        noise = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (stack.size, *x.shape)), first(stack.action)
        )
        return Recall(noise, () if num_policies is None else jnp.full(stack.size, -1, jnp.int32))

    return {stack.name: one(stack) for stack in learner.actors.stacks}


def policies_drawn(learner: Learner, key: Key, memory: Memory) -> dict[str, Any]:
    """Returns which of its policies each agent plays by, drawn where an episode begins.

    Args:
      learner: what was built.
      key: randomness.
      memory: stack -> Recall.

    Returns:
      stack -> [n] int32, or () where agents have one policy.
    """
    num_policies = learner.config.num_policies
    if num_policies is None:
        return {stack.name: () for stack in learner.actors.stacks}
    anew = jax.random.randint(key, (learner.num_agents,), 0, num_policies, jnp.int32)
    found = {}
    for stack in learner.actors.stacks:
        before = memory[stack.name].policy
        own = anew[stack.first : stack.first + stack.size]
        found[stack.name] = jnp.where(before < 0, own, before)
    return found


def act(
    learner: Learner, greedy: bool, params: Params, key: Key, timestep: TimeStep, memory: Memory
) -> tuple[Actions, Memory]:
    """Returns what all agents of one environment do, exploring or not, and their memory."""
    stacks, networks, kind = learner.actors
    key_policy, key_noise = jax.random.split(key)
    policy = policies_drawn(learner, key_policy, memory)
    observed = observe_all(stacks, params.observation, timestep, policy, 0)
    actions, carried = {}, {}
    for i, stack in enumerate(stacks):
        name, state = stack.name, memory[stack.name].exploration
        out = outputs(stack, networks[name], params.actors[name], observed.for_actors(name), 0)
        if greedy:
            vector = kind.greedy(stack.action, out, observed.mask[name])
        else:
            noise = standard_noise(jax.random.fold_in(key_noise, i), stack.action, (stack.size,))
            vector, state = kind.explore(
                stack.action, out, observed.mask[name], noise, state, params.exploration
            )
        carried[name] = Recall(state, policy[name])
        actions |= split_groups(stack, action_of(stack.action, vector), 0)
    return actions, carried


def policy(learner: Learner) -> Policy:
    """Returns how the agents act."""
    return Policy(
        memory=partial(first_memory, learner),
        act=partial(act, learner, False),
        greedy=partial(act, learner, True),
    )


def play_on(
    learner: Learner, key: Key, params: Params, play: Play, warm: jax.Array
) -> tuple[Play, Step]:
    """Returns where play stands after a rollout, and its steps [T, B, ...].

    While `warm`, [] bool, agents act uniformly.
    """
    config, env = learner.config, learner.env
    uniform = random_policy(env).act

    def explore(key, timestep, memory):
        key_policy, key_uniform = jax.random.split(key)
        actions, carried = act(learner, False, params, key_policy, timestep, memory)
        anything, _ = uniform((), key_uniform, timestep, ())
        played_by = {name: recall.policy for name, recall in carried.items()}
        return select(warm, anything, actions), carried, played_by

    def what_is_read(step):
        state = step.timestep.state if learner.critics.uses_state else ()
        return step._replace(timestep=dataclasses.replace(step.timestep, state=state))

    one = lambda key, play: rollout(
        key, env, explore, play, config.rollout_length, first_memory(learner), what_is_read
    )
    return jax.vmap(one, out_axes=(0, 1))(jax.random.split(key, config.num_envs), play)


def stored(learner: Learner, steps: Step) -> Stored:
    """Returns what is stored of a rollout, leaves [T, B, ...]."""
    timestep = stored_timestep(steps.timestep, learner.critics.uses_state)
    return Stored(timestep, steps.actions, steps.extras)


def statistics_after(
    learner: Learner, state: State, steps: Step, final: TimeStep
) -> tuple[dict[str, Any], Any]:
    """Returns the statistics of observations, and of rewards, after a rollout.

    Args:
      learner: what was built.
      state: with the statistics before.
      steps: the rollout, leaves [T, B, ...].
      final: the time step after it, leaves [B, ...].
    """
    timestep, stacks = steps.timestep, learner.actors.stacks
    of_stack = lambda stack: updated_statistics(
        stack.observation,
        state.params.observation[stack.name],
        observe(stack, timestep, 2),
        stack_groups(stack, timestep.alive, 2),
    )
    statistics = {stack.name: of_stack(stack) for stack in stacks}
    if state.reward is None:
        return statistics, None
    join = lambda rollout, last: jnp.concatenate([rollout, last[None]])
    pay, going = (
        jax.tree.map(join, *both)
        for both in ((timestep.reward, final.reward), (timestep.discount, final.discount))
    )
    reward = of_all_agents(stacks, pay_while_it_comes(pay, going), 2)[1:]
    space = Box((learner.num_agents,))
    return statistics, updated_statistics(space, state.reward, reward, ~timestep.last)


def latest_transitions(learner: Learner, params: Params, new: Stored) -> Latest | None:
    """Returns what a rollout [T, B, ...] showed of everybody, for beliefs; None without them."""
    if learner.beliefs is None:
        return None
    stacks = learner.actors.stacks
    rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), new)
    observed = observe_all(stacks, params.observation, rows.timestep, rows.policy)
    return Latest(observed, vectors_of(stacks, observed, rows.actions), ~rows.timestep.last)
