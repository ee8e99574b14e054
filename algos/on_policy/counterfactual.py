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
from jaxmarl_core.learners.parameter_sharing import Unit, seen, state_space, together
from jaxmarl_core.spaces import Box, Composite, Discrete, zeros
from jaxmarl_core.types import Environment


@struct.dataclass
class State:
    params: dict[str, Any]  # unit -> parameters, shared by its agents
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
    units: list[Unit],
    config: Config,
    actors: dict[str, Actor],
    target_period: int,
) -> Critics:
    """Returns the critics: one network for each unit, whose agents tell theirs by their number.

    Args:
      env: with a state, and Discrete actions.
      units: the agents.
      config: what shapes the program; the critic is feed-forward.
      actors: of the units.
      target_period: updates between two copies to the target network.

    Raises:
      ValueError: a group's actions are not Discrete.
    """
    for unit in units:
        if not isinstance(unit.action, Discrete):
            raise ValueError(f'coma: needs discrete actions, group "{unit.name}" has {unit.action}')
    counts = [unit.action.num_values for unit in units for _ in range(unit.size)]
    state, (teams,) = state_space(env), team_views(env, units)
    feed_forward = dataclasses.replace(config, memory_size=0)
    spaces = {
        unit.name: Composite(
            {
                "state": state,
                "observation": unit.observation,
                "others": Box((sum(counts),)),
                "number": Discrete(unit.size),
            }
        )
        for unit in units
    }
    nets = {u.name: Critic(spaces[u.name], feed_forward, u.action.num_values) for u in units}

    def inputs(unit, timestep, actions, axis):
        """What the unit's critic sees, leaves [..., n, *space]."""
        done = [
            jax.nn.one_hot(together(other, actions, axis), other.action.num_values)
            for other in units
        ]
        done = [x.reshape(*x.shape[:axis], -1) for x in done]  # [..., agents * A] per unit
        done = jnp.concatenate(done, -1)
        owner = np.repeat(np.arange(len(counts)), counts)
        others = owner[None] != unit.first + np.arange(unit.size)[:, None]  # [n, sum A]
        leading = (*done.shape[:axis], unit.size)
        rows = jnp.expand_dims(timestep.state, axis)
        return {
            "state": jnp.broadcast_to(rows, (*leading, *state.shape)),
            "observation": seen(unit, timestep, axis),
            "others": jnp.where(others, done[..., None, :], 0.0),
            "number": jnp.broadcast_to(jnp.arange(unit.size, dtype=jnp.int32), leading),
        }

    def values(unit, params, seen_by_critic):
        """Returns Q(s, (u_-i, .)) [..., n, A]."""
        return nets[unit.name].apply(params, (), seen_by_critic)[1]

    def init(key, hp):
        params = {
            u.name: nets[u.name].init(jax.random.fold_in(key, i), (), zeros(spaces[u.name]))
            for i, u in enumerate(units)
        }
        start = optimiser(0.0, 1.0).init
        return State(params, params, {name: start(p) for name, p in params.items()})

    def estimate(state, steps, final, hp, batches, actor_params, final_actions):
        timestep, following = steps.timestep, final_actions()
        paid = arriving(teams.reward, timestep, final)
        going = hp.gamma * arriving(teams.discount, timestep, final)
        advantages, rows = {}, {}
        for unit in units:
            name, batch = unit.name, batches[unit.name]
            row = np.array(teams.row_of[name])
            now = inputs(unit, timestep, steps.actions, 2)
            value = chosen(values(unit, state.target[name], now), batch.action)
            last = values(unit, state.target[name], inputs(unit, final, following, 1))
            bootstrap = chosen(last, together(unit, following, 1))
            valid = jnp.broadcast_to(~timestep.last[..., None], value.shape)
            over = lambda f: jax.vmap(f, (1, 1, 1, 0, None, 1), 1)
            target = over(over(lambda_returns))(
                paid[..., row], going[..., row], value, bootstrap, hp.gae_lambda, valid
            )
            q = values(unit, state.params[name], now)
            probs = lambda params, batch, name=name: policy(actors[name], params, batch).probs
            probs = jax.vmap(probs, (0, OF_AGENTS), 2) if unit.own else probs
            pi = probs(actor_params[name], batch)
            advantages[name] = counterfactual_advantage(q, pi, batch.action)
            rows[name] = Rows(now, batch.action, target, batch.counts)
        return advantages, rows, state

    def learn_one(unit, key, params, opt_state, rows, hp, index):
        rule = optimiser(annealed(hp.critic_learning_rate, hp, index), hp.max_grad_norm)

        def loss(params, some):
            error = chosen(values(unit, params, some.inputs), some.action) - some.target
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
        for i, unit in enumerate(units):
            name = unit.name
            params[name], opt_state[name], loss = learn_one(
                unit,
                jax.random.fold_in(key, i),
                state.params[name],
                state.optimiser[name],
                rows[name],
                hp,
                index,
            )
            figures["value_loss" + (f"_{name}" if len(units) > 1 else "")] = loss
        due = (index + 1) % target_period == 0
        target = jax.tree.map(lambda new, old: jnp.where(due, new, old), params, state.target)
        return State(params, target, opt_state), figures

    return Critics(init, estimate, learn)
