"""The counterfactual critic of COMA: what the team would earn, for each thing an agent might do.

    A_i(s, u) = Q(s, u) - sum over a of pi_i(a | o_i) Q(s, (u_-i, a))

One pass of the network gives Q for all own actions, the others' being among its inputs. It learns
lambda-returns of the team's mean reward, bootstrapped by a target network.

Foerster et al., 2018, arXiv:1705.08926.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxmarl_core.algos.on_policy.critics import Critics, arriving
from jaxmarl_core.algos.on_policy.learning import (
    OF_AGENTS,
    minibatches,
    policy,
    some_environments,
)
from jaxmarl_core.algos.on_policy.networks import Actor, Critic, optimiser
from jaxmarl_core.algos.on_policy.options import Config, annealed
from jaxmarl_core.algos.on_policy.views import team_views
from jaxmarl_core.functional.losses import chosen, huber, masked_mean
from jaxmarl_core.functional.returns import counterfactual_advantage, lambda_returns
from jaxmarl_core.learners.parameter_sharing import AgentStack, observe, stack_groups, state_space
from jaxmarl_core.spaces import Box, Composite, Discrete, zeros
from jaxmarl_core.types import Environment


@struct.dataclass
class State:
    params: dict[str, Any]  # stack -> parameters, shared by its agents
    target: dict[str, Any]
    optimiser: dict[str, Any]


class Rows(NamedTuple):
    """What a critic learns from, leaves [T, B, n, ...]."""

    inputs: Any
    action: jax.Array  # int32
    target: jax.Array  # f32
    counts: jax.Array  # bool
    memory: Any = ()


def counterfactual_critics(
    env: Environment,
    stacks: list[AgentStack],
    config: Config,
    actors: dict[str, Actor],
    target_period: int,
) -> Critics:
    """Returns the critics: one network for each stack, whose agents tell theirs by their number.

    Args:
      env: with a state, and Discrete actions.
      stacks: the agents.
      config: what shapes the program; the critic is feed-forward.
      actors: of the stacks.
      target_period: updates between two copies to the target network.

    Raises:
      ValueError: a group's actions are not Discrete.
    """
    for stack in stacks:
        if not isinstance(stack.action, Discrete):
            raise ValueError(
                f'coma: needs discrete actions, group "{stack.name}" has {stack.action}'
            )
    counts = [stack.action.num_values for stack in stacks for _ in range(stack.size)]
    state, (teams,) = state_space(env), team_views(env, stacks)
    feed_forward = dataclasses.replace(config, memory_size=0)
    spaces = {
        stack.name: Composite(
            {
                "state": state,
                "observation": stack.observation,
                "others": Box((sum(counts),)),
                "number": Discrete(stack.size),
            }
        )
        for stack in stacks
    }
    nets = {u.name: Critic(spaces[u.name], feed_forward, u.action.num_values) for u in stacks}

    def inputs(stack, timestep, actions, axis):
        """What the stack's critic sees, leaves [..., n, *space]."""
        done = [
            jax.nn.one_hot(stack_groups(other, actions, axis), other.action.num_values)
            for other in stacks
        ]
        done = [x.reshape(*x.shape[:axis], -1) for x in done]  # [..., agents * A] per stack
        done = jnp.concatenate(done, -1)
        owner = np.repeat(np.arange(len(counts)), counts)
        others = owner[None] != stack.first + np.arange(stack.size)[:, None]  # [n, sum A]
        leading = (*done.shape[:axis], stack.size)
        rows = jnp.expand_dims(timestep.state, axis)
        return {
            "state": jnp.broadcast_to(rows, (*leading, *state.shape)),
            "observation": observe(stack, timestep, axis),
            "others": jnp.where(others, done[..., None, :], 0.0),
            "number": jnp.broadcast_to(jnp.arange(stack.size, dtype=jnp.int32), leading),
        }

    def values(stack, params, seen_by_critic):
        """Returns Q(s, (u_-i, .)) [..., n, A]."""
        return nets[stack.name].apply(params, (), seen_by_critic)[1]

    def init(key, hp):
        params = {
            u.name: nets[u.name].init(jax.random.fold_in(key, i), (), zeros(spaces[u.name]))
            for i, u in enumerate(stacks)
        }
        start = optimiser(0.0, 1.0).init
        return State(params, params, {name: start(p) for name, p in params.items()})

    def estimate(state, steps, final, hp, batches, actor_params, final_actions):
        timestep, following = steps.timestep, final_actions()
        paid = arriving(teams.reward, timestep, final)
        going = hp.gamma * arriving(teams.discount, timestep, final)
        advantages, rows = {}, {}
        for stack in stacks:
            name, batch = stack.name, batches[stack.name]
            row = np.array(teams.row_of[name])
            now = inputs(stack, timestep, steps.actions, 2)
            value = chosen(values(stack, state.target[name], now), batch.action)
            last = values(stack, state.target[name], inputs(stack, final, following, 1))
            bootstrap = chosen(last, stack_groups(stack, following, 1))
            valid = jnp.broadcast_to(~timestep.last[..., None], value.shape)
            over = lambda f: jax.vmap(f, (1, 1, 1, 0, None, 1), 1)
            target = over(over(lambda_returns))(
                paid[..., row], going[..., row], value, bootstrap, hp.gae_lambda, valid
            )
            q = values(stack, state.params[name], now)
            probs = lambda params, batch, name=name: policy(actors[name], params, batch).probs
            probs = jax.vmap(probs, (0, OF_AGENTS), 2) if stack.separate else probs
            pi = probs(actor_params[name], batch)
            advantages[name] = counterfactual_advantage(q, pi, batch.action)
            rows[name] = Rows(now, batch.action, target, batch.counts)
        return advantages, rows, state

    def learn_one(stack, key, params, opt_state, rows, hp, index):
        rule = optimiser(annealed(hp.critic_learning_rate, hp, index), hp.max_grad_norm)

        def loss(params, some):
            error = chosen(values(stack, params, some.inputs), some.action) - some.target
            return masked_mean(huber(error, hp.huber), some.counts)

        def step(carry, which):
            params, opt_state = carry
            some = some_environments(rows, which, config)
            found, grads = jax.value_and_grad(loss)(params, some)
            updates, opt_state = rule.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), found

        (params, opt_state), losses = jax.lax.scan(
            step,
            (params, opt_state),
            minibatches(key, config, config.num_critic_epochs or config.num_epochs),
        )
        return params, opt_state, losses.mean()

    def learn(key, state, rows, hp, index):
        params, opt_state, figures = {}, {}, {}
        for i, stack in enumerate(stacks):
            name = stack.name
            params[name], opt_state[name], loss = learn_one(
                stack,
                jax.random.fold_in(key, i),
                state.params[name],
                state.optimiser[name],
                rows[name],
                hp,
                index,
            )
            figures["value_loss" + (f"_{name}" if len(stacks) > 1 else "")] = loss
        due = (index + 1) % target_period == 0
        target = jax.tree.map(lambda new, old: jnp.where(due, new, old), params, state.target)
        return State(params, target, opt_state), figures

    return Critics(init, estimate, learn)
