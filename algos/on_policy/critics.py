"""Critics that predict returns, and how they learn; what they look at is in views.py."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxmarl_core.algos.on_policy.learning import minibatches, some_environments
from jaxmarl_core.algos.on_policy.networks import Critic, optimiser
from jaxmarl_core.algos.on_policy.options import Config, annealed
from jaxmarl_core.algos.on_policy.views import CENTRAL_VIEWS, View, own_views
from jaxmarl_core.functional.losses import clipped_value, huber, masked_mean
from jaxmarl_core.functional.returns import gae
from jaxmarl_core.learners import value_normalisation
from jaxmarl_core.learners.networks import initial_memory
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.learners.value_normalisation import Scale
from jaxmarl_core.spaces import zeros
from jaxmarl_core.types import Environment, Key, Metrics, TimeStep

SCALE_RATE = 0.01  # of the running moments of returns, per update


@struct.dataclass
class CriticState:
    params: dict[str, Any]  # view -> parameters
    optimiser: dict[str, Any]
    scale: dict[str, Scale]
    memory: dict[str, Any]  # view -> [B, k, h] or ()


class Critics(NamedTuple):
    """The critic's side of a learner."""

    init: Callable[[Key, Any], CriticState]
    estimate: Callable[..., tuple[dict[str, jax.Array], Any, CriticState]]
    # (state, steps, final time step, hparams, batches, actors' params, final actions) ->
    # advantages by stack, what there is to learn from, state
    learn: Callable[..., tuple[CriticState, Metrics]]
    # (key, state, what there is to learn from, hparams, index) -> state, figures


class Rows(NamedTuple):
    """What a critic learns from, leaves [T, B, k, ...]; an own critic sees no axis k."""

    inputs: Any
    value: jax.Array  # f32, predicted before, in the scale's units
    target: jax.Array  # f32, in units of return
    counts: jax.Array  # bool
    reset: jax.Array  # [T, B] bool
    memory: Any  # [B, k, h] or ()


OF_ROWS = Rows(2, 2, 2, 2, None, 1)


def value_loss(value: jax.Array, rows: Rows, hp: Any) -> jax.Array:
    """Returns the mean over rows of the clipped Huber loss, []; values and targets in one unit."""
    error = partial(huber, delta=hp.huber)
    each_row = clipped_value(value, rows.value, rows.target, hp.value_clip, error)
    return masked_mean(each_row, rows.counts)


def resets(last: jax.Array) -> jax.Array:
    """Returns where rows begin an episode, [T, B], as far as it was seen to end before them."""
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def arriving(field: Callable, timestep: TimeStep, final: TimeStep) -> jax.Array:
    """Returns a field of a view on arriving at rows 1 to T, [T, B, k]."""
    return jnp.concatenate([field(timestep, 2)[1:], field(final, 1)[None]])


def value_critics(
    env: Environment, stacks: list[AgentStack], config: Config, views: list[View]
) -> Critics:
    """Returns critics that predict lambda-returns, and generalised advantages from them."""
    nets = {view.name: Critic(view.space, config) for view in views}

    def each(view, function, in_axes, out_axes=0):
        return jax.vmap(function, in_axes, out_axes) if view.own else function

    def values(view, params, memory, inputs, reset):
        """Returns (memory, V(s_t) [T, B, ...]) of a row, or of rows that share a critic."""
        memory, value = nets[view.name].apply(params, memory, inputs, reset)
        return memory, value[..., 0]

    def init(key, hp):
        params, opt_state, scale, memory = {}, {}, {}, {}
        for i, view in enumerate(views):
            example = initial_memory(config.memory_size), zeros(view.space)
            fresh = lambda key, view=view, example=example: nets[view.name].init(key, *example)
            view_key = jax.random.fold_in(key, i)
            keys = jax.random.split(view_key, view.size) if view.own else view_key
            params[view.name] = each(view, fresh, 0)(keys)
            opt_state[view.name] = each(view, optimiser(0.0, 1.0).init, 0)(params[view.name])
            blank = jax.tree.map(
                lambda x, n=view.size: jnp.repeat(x, n), value_normalisation.initial_scale()
            )
            scale[view.name] = blank if view.own else value_normalisation.initial_scale()
            memory[view.name] = initial_memory(config.memory_size, (config.num_envs, view.size))
        return CriticState(params, opt_state, scale, memory)

    def estimate(state, steps, final, hp, batches, actors, final_actions):
        timestep = steps.timestep
        reset = resets(timestep.last)
        advantages, rows, memories = {}, {}, {}
        for view in views:
            params, scale = state.params[view.name], state.scale[view.name]
            memory, inputs = state.memory[view.name], view.inputs(timestep, 2)
            along = each(view, partial(values, view), (0, 1, 2, None), (1, 2))
            after, value = along(params, memory, inputs, reset)
            forgot = timestep.last[-1][:, None, None]
            after = jax.tree.map(lambda m, forgot=forgot: jnp.where(forgot, 0, m), after)
            now = jax.tree.map(lambda x: x[None], view.inputs(final, 1))
            bootstrap = along(params, after, now, jnp.zeros_like(reset[:1]))[1][0]
            predicted = value_normalisation.denormalised(scale, value)
            valid = jnp.broadcast_to(~timestep.last[..., None], value.shape)
            over_rows = lambda f: jax.vmap(f, (1, 1, 1, 0, None, 1), 1)
            advantage = over_rows(over_rows(gae))(
                arriving(view.reward, timestep, final),
                hp.gamma * arriving(view.discount, timestep, final),
                predicted,
                value_normalisation.denormalised(scale, bootstrap),
                hp.gae_lambda,
                valid,
            )
            rows[view.name] = Rows(
                inputs,
                value,
                advantage + predicted,
                view.alive(timestep, 2) & valid,
                reset,
                memory,
            )
            memories[view.name] = after
            for name, index in view.row_of.items():
                same = index == list(range(view.size))
                advantages[name] = advantage if same else advantage[..., np.array(index)]
        return advantages, rows, state.replace(memory=memories)

    def learn_one(view, key, params, opt_state, scale, rows, hp, index):
        """All epochs of one critic; returns (params, optimiser state, scale, figures)."""
        new = scale
        if config.normalise_value != "none":
            new = value_normalisation.updated(scale, rows.target, rows.counts, SCALE_RATE)
        if config.normalise_value == "popart":
            layers = dict(params["params"])
            layers["head"] = value_normalisation.rescaled(layers["head"], scale, new)
            params = {"params": layers}
        predicted = value_normalisation.denormalised(scale, rows.value)
        rows = rows._replace(
            value=value_normalisation.normalised(new, predicted)
            if config.normalise_value == "popart"
            else rows.value,
            target=value_normalisation.normalised(new, rows.target),
        )
        rule = optimiser(annealed(hp.critic_learning_rate, hp, index), hp.max_grad_norm)

        def loss(params, some):
            _, value = values(view, params, some.memory, some.inputs, some.reset)
            return value_loss(value, some, hp)

        def step(carry, which):
            params, opt_state = carry
            some = some_environments(rows, which, config)
            found, grads = jax.value_and_grad(loss)(params, some)
            updates, opt_state = rule.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), found

        order = minibatches(key, config, config.num_critic_epochs or config.num_epochs)
        (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), order)
        return params, opt_state, new, {"value_loss": losses.mean()}

    def learn(key, state, rows, hp, index):
        params, opt_state, scale, figures = {}, {}, {}, {}
        for i, view in enumerate(views):
            one = partial(learn_one, view, hp=hp, index=index)
            one = each(view, one, (0, 0, 0, 0, OF_ROWS))
            view_key = jax.random.fold_in(key, i)
            keys = jax.random.split(view_key, view.size) if view.own else view_key
            name = view.name
            params[name], opt_state[name], scale[name], found = one(
                keys, state.params[name], state.optimiser[name], state.scale[name], rows[name]
            )
            suffix = f"_{name}" if len(views) > 1 else ""
            figures |= {f"{field}{suffix}": x.mean() for field, x in found.items()}
        state = state.replace(params=params, optimiser=opt_state, scale=scale)
        return state, figures

    return Critics(init, estimate, learn)


def own_critics(env: Environment, stacks: list[AgentStack], config: Config, actors: Any) -> Critics:
    """Returns critics that see what their agents see."""
    return value_critics(env, stacks, config, own_views(env, stacks))


def central_critics(
    env: Environment, stacks: list[AgentStack], config: Config, actors: Any
) -> Critics:
    """Returns critics that see the state, as `config.critic` asks."""
    return value_critics(env, stacks, config, CENTRAL_VIEWS[config.critic](env, stacks))
