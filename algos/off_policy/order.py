"""How actors climb their critics: all at once, or one after another in a drawn order.

An actor moves its own action to where the critics value it more, the others' actions held:

    at once       those that the replay holds, as MADDPG does
    in turn       those of the policies as they are now, whoever had its turn with its new one, as
                  HADDPG, HATD3 and HASAC do

In turn, each step is an improvement on what those before it have changed; Zhong et al., 2023,
arXiv:2304.09870, section 4.4.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.off_policy.batches import Batch, Observed, Vectors
from jaxmarl_core.algos.off_policy.critics import Critics
from jaxmarl_core.algos.off_policy.networks import (
    descend,
    optimiser,
    over_axes,
    per_agent,
)
from jaxmarl_core.algos.off_policy.options import Hparams, annealed
from jaxmarl_core.algos.off_policy.policies import Draw, PolicyKind, wanted_entropy
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.q_policies import soft_policy_loss, temperature_loss
from jaxmarl_core.learners.gradients import gradient_norm
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.learners.parameter_sharing import AgentStack, where_alive
from jaxmarl_core.learners.turns import pick, put
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Metrics


class Actors(NamedTuple):
    """Who acts, and how."""

    stacks: list[AgentStack]
    networks: dict[str, Any]  # stack -> Network, or Ensemble of them
    kind: PolicyKind


@struct.dataclass
class ActorState:
    """What actors learn, by stack; and by agent the logarithm of what its entropy weighs."""

    params: dict[str, Any]  # with a leading axis n where agents do not share
    optimiser: dict[str, Any]
    log_weight: Any  # [N] f32, or () where no entropy is earned
    weight_optimiser: Any


class Rates(NamedTuple):
    """The steps of a gradient step, [] f32."""

    actor: Any
    critic: Any
    weight: Any  # None where no entropy is earned
    belief: Any  # None where others' policies are known


def rates_at(hp: Hparams, update_index: jax.Array) -> Rates:
    """Returns the learning rates of an update."""
    of = lambda rate: None if rate is None else annealed(rate, hp, update_index)
    learnt = hp.learning_rate, hp.critic_learning_rate, hp.entropy_learning_rate
    return Rates(*map(of, (*learnt, hp.belief_learning_rate)))


Order = Callable[..., tuple[ActorState, Metrics]]
# (actors, critics, critics' parameters, state, batch, noise, hparams, rates, order [N] of agents)


def outputs(stack: AgentStack, network: Any, params: Any, inputs: Any, axis: int) -> jax.Array:
    """Returns what a stack's actors put out, [..., n, K]; `axis` is the agents' in the inputs."""
    return per_agent(stack, partial(apply, network), axis)(params, inputs)


def draws(
    actors: Actors,
    draw: Callable,
    params: dict[str, Any],
    observed: Observed,
    noise: Vectors,
    hp: Hparams,
) -> tuple[Vectors, jax.Array]:
    """Returns (what all agents do, leaves [b, n, E], log-probabilities [b, N]), 0 for the dead.

    Args:
      actors: all of them.
      draw: `draw` or `next_draw` of their kind.
      params: by stack.
      observed: what they see, leaves [b, n, ...].
      noise: stack -> [b, n, E].
      hp: the hparams.
    """
    vectors, log_probs = {}, []
    for stack in actors.stacks:
        name = stack.name
        out = outputs(stack, actors.networks[name], params[name], observed.for_actors(name), 1)
        drawn: Draw = draw(stack.action, out, observed.mask[name], noise[name], hp)
        vectors[name], log_prob = where_alive(observed.alive[name], tuple(drawn))
        log_probs.append(log_prob)
    return vectors, jnp.concatenate(log_probs, 1)


class Seat(NamedTuple):
    """What one agent of a stack brings to its loss; over all of them the last axes are AXES."""

    index: jax.Array  # [] int32, its number in the stack
    observation: Any  # [b, *space]
    inputs: Any  # [b, ...], the same for its actor
    mask: Any  # [b, A] bool, or None
    alive: jax.Array  # [b] bool
    noise: jax.Array  # [b, E]
    log_weight: Any  # [] f32 of its entropy, or ()


AXES: Any = Seat._make((0, 1, 1, 1, 1, 1, 0))  # where each field has the axis n


def seats(stack: AgentStack, observed: Observed, noise: Vectors, log_weight: Any) -> Seat:
    """Returns those of all agents of a stack, with an axis n at AXES."""
    own = slice(stack.first, stack.first + stack.size)
    weight = () if isinstance(log_weight, tuple) else log_weight[own]
    name = stack.name
    numbers = jnp.arange(stack.size)
    observation, mask, alive = observed.observation[name], observed.mask[name], observed.alive[name]
    inputs = observed.for_actors(name)
    return Seat(numbers, observation, inputs, mask, alive, noise[name], weight)


def actor_loss(
    params: Any,
    actors: Actors,
    value_of: Callable,
    stack: AgentStack,
    seat: Seat,
    own_critics: Any,
    others: Vectors,
    batch: Batch,
    hp: Hparams,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Returns (one agent's loss [], (log-probabilities [b], where its decision counts [b])).

        mean over what counts of  alpha log pi(a) - Q(x, (a, a_-i))  +  penalty mean(output^2)

    Args:
      params: of its actor.
      actors: all of them.
      value_of: of the critics.
      stack: the agent's.
      seat: the agent's.
      own_critics: parameters of those that value it.
      others: what all agents do; its own entry is not used.
      batch: the transitions; their actions are not used.
      hp: the hparams.
    """
    out = apply(actors.networks[stack.name], params, seat.inputs)
    drawn = actors.kind.draw(stack.action, out, seat.mask, seat.noise, hp)
    vector = where_alive(seat.alive, drawn.vector)
    is_own = (jnp.arange(stack.size) == seat.index)[:, None]
    everyone = jnp.where(is_own, vector[:, None], others[stack.name])
    vectors = others | {stack.name: everyone}
    q = value_of(own_critics, stack, batch.observed, vectors, seat.observation, vector)
    weight = 0.0 if isinstance(seat.log_weight, tuple) else jnp.exp(seat.log_weight)
    loss = soft_policy_loss(drawn.log_prob, actors.kind.of_critics(q), weight)
    loss += hp.output_penalty * jnp.mean(out**2, -1)
    counts = seat.alive & batch.counts
    return masked_mean(loss, counts), (drawn.log_prob, counts)


def weight_gradient(
    log_weight: jax.Array,
    stack: AgentStack,
    mask: Any,
    log_prob: jax.Array,
    counts: jax.Array,
    hp: Hparams,
) -> jax.Array:
    """Returns the slope [] of one agent's temperature loss; arrays [b]."""
    wanted = wanted_entropy(stack.action, mask, log_prob.shape, hp)
    loss = lambda log_weight: masked_mean(temperature_loss(log_weight, log_prob, wanted), counts)
    return jax.grad(loss)(log_weight)


def at_once(
    actors: Actors,
    critics: Critics,
    critic_params: Any,
    state: ActorState,
    batch: Batch,
    noise: Vectors,
    hp: Hparams,
    rates: Rates,
    order: jax.Array,
) -> tuple[ActorState, Metrics]:
    """Returns (state, metrics) after all actors took a step, the others' actions as replayed."""
    rule, value_of = optimiser(rates.actor, hp.max_grad_norm), decided(critics.value_of)
    params, opt_state, slopes, losses, norms = {}, {}, [], [], []
    for stack in actors.stacks:
        name = stack.name
        own, own_axis = decided(critics.of_stack)(critic_params, stack)
        everyone = seats(stack, batch.observed, noise, state.log_weight)

        def total(params, stack=stack, everyone=everyone, own=own, own_axis=own_axis):
            loss = lambda params, seat, own: actor_loss(
                params, actors, value_of, stack, seat, own, batch.vectors, batch, hp
            )
            axes = (0 if stack.separate else None, AXES, own_axis)
            each, drawn = jax.vmap(loss, axes)(params, everyone, own)
            # every agent's loss is of its own parameters alone; who share one take the mean
            return (each.sum() if stack.separate else each.mean()), (each, drawn)

        grads, (loss, (log_prob, counts)) = jax.grad(total, has_aux=True)(state.params[name])
        params[name], opt_state[name] = descend(
            rule, int(stack.separate), grads, state.optimiser[name], state.params[name]
        )
        losses.append(loss)
        norms.append(jnp.atleast_1d(over_axes(gradient_norm, int(stack.separate))(grads)))
        if actors.kind.is_soft:
            one = lambda weight, mask, log_prob, counts, stack=stack: weight_gradient(
                weight, stack, mask, log_prob, counts, hp
            )
            each = jax.vmap(one, (0, 1, 0, 0))
            slopes.append(each(everyone.log_weight, everyone.mask, log_prob, counts))
    state = dataclasses.replace(state, params=params, optimiser=opt_state)
    if actors.kind.is_soft:
        state = move_weights(state, jnp.concatenate(slopes), rates)
    return state, climbing_metrics(jnp.concatenate(losses), jnp.concatenate(norms))


def move_weights(state: ActorState, slopes: jax.Array, rates: Rates) -> ActorState:
    """Returns the state after a step of what entropy weighs, by its slopes [N]."""
    slopes = slopes.astype(state.log_weight.dtype)  # a loop keeps its carry's type
    changes, moved = optax.adam(rates.weight).update(slopes, state.weight_optimiser)
    log_weight = optax.apply_updates(state.log_weight, changes)
    return dataclasses.replace(state, log_weight=log_weight, weight_optimiser=moved)


def climbing_metrics(losses: jax.Array, norms: jax.Array) -> Metrics:
    """Returns figures [] of all agents' losses and of their gradients' norms."""
    return {"policy_loss": losses.mean(), "actor_grad_norm": norms.mean()}


def in_turn(
    actors: Actors,
    critics: Critics,
    critic_params: Any,
    state: ActorState,
    batch: Batch,
    noise: Vectors,
    hp: Hparams,
    rates: Rates,
    order: jax.Array,
) -> tuple[ActorState, Metrics]:
    """Returns (state, metrics) after all actors took a step one after another, in this order."""
    stacks = actors.stacks
    stack_of = jnp.array([k for k, stack in enumerate(stacks) for _ in range(stack.size)])
    vectors, _ = draws(actors, actors.kind.draw, state.params, batch.observed, noise, hp)
    vectors = jax.lax.stop_gradient(vectors)

    def next_agent(carry, agent):
        turns = [
            partial(take_turn, actors, critics, critic_params, stack, agent) for stack in stacks
        ]
        turns = [partial(turn, batch, noise, hp, rates) for turn in turns]
        if len(turns) == 1:
            return turns[0](carry)
        return jax.lax.switch(stack_of[agent], turns, carry)

    (state, _), (losses, norms, slopes) = packed_scan(next_agent, (state, vectors), order)
    if actors.kind.is_soft:
        state = move_weights(state, jnp.zeros(len(order)).at[order].set(slopes), rates)
    return state, climbing_metrics(losses, norms)


def take_turn(
    actors: Actors,
    critics: Critics,
    critic_params: Any,
    stack: AgentStack,
    agent: jax.Array,
    batch: Batch,
    noise: Vectors,
    hp: Hparams,
    rates: Rates,
    carry: tuple[ActorState, Vectors],
) -> tuple[tuple[ActorState, Vectors], tuple[jax.Array, jax.Array, jax.Array]]:
    """Returns ((state, what all agents do now), (loss, gradient's norm, slope of its weight)).

    Args:
      actors: all of them.
      critics: all of them.
      critic_params: their parameters.
      stack: the agent's.
      agent: [] int32, its number among all.
      batch: the transitions; their actions are not used.
      noise: stack -> [b, n, E].
      hp: the hparams.
      rates: of this update.
      carry: the state, and what all agents do, before.
    """
    state, vectors = carry
    name, i = stack.name, agent - stack.first
    everyone = seats(stack, batch.observed, noise, state.log_weight)
    seat = Seat(*(pick(i, leaf, axis) for leaf, axis in zip(everyone, AXES)))
    own, own_axis = decided(critics.of_stack)(critic_params, stack)
    own = own if own_axis is None else pick(i, own, own_axis)
    mine = partial(pick, i) if stack.separate else lambda tree: tree
    before, opt_state = mine(state.params[name]), mine(state.optimiser[name])
    gradient = jax.value_and_grad(actor_loss, has_aux=True)
    (loss, (log_prob, counts)), grads = gradient(
        before, actors, decided(critics.value_of), stack, seat, own, vectors, batch, hp
    )
    rule = optimiser(rates.actor, hp.max_grad_norm)
    after, opt_state = descend(rule, 0, grads, opt_state, before)
    out = apply(actors.networks[name], after, seat.inputs)
    drawn = actors.kind.draw(stack.action, out, seat.mask, seat.noise, hp)
    moved = where_alive(seat.alive, drawn.vector)
    slope = jnp.zeros(())
    if actors.kind.is_soft:
        slope = weight_gradient(seat.log_weight, stack, seat.mask, log_prob, counts, hp)
    put_back = partial(put, i) if stack.separate else lambda _, new: new
    state = dataclasses.replace(
        state,
        params=state.params | {name: put_back(state.params[name], after)},
        optimiser=state.optimiser | {name: put_back(state.optimiser[name], opt_state)},
    )
    vectors = vectors | {name: put(i, vectors[name], moved, 1)}
    return (state, vectors), (loss, gradient_norm(grads), slope)
