"""What agents believe of each other's policies, learnt from what the others were seen to do.

Every agent i keeps a model of each other agent j, fitted to j's latest actions by maximum
likelihood with a bonus for entropy,

    - mean of log m_ij(a_j | o_j)  -  weight H(m_ij(. | o_j))

and its critic's targets follow the models in place of the others' policies, which need then not be
known. Models see what j sees. Lowe et al., 2017, arXiv:1706.02275, section 4.2 and eq. 7 and 8.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.off_policy.action_vectors import leaves
from jaxmarl_core.algos.off_policy.batches import Observed, Vectors
from jaxmarl_core.algos.off_policy.critics import Critics
from jaxmarl_core.algos.off_policy.networks import (
    Network,
    descend,
    init_network,
    optimiser,
    over_axes,
)
from jaxmarl_core.algos.off_policy.options import Config, Hparams
from jaxmarl_core.algos.off_policy.order import Actors, outputs
from jaxmarl_core.algos.off_policy.policies import (
    LOG_STD_RANGE,
    hard_choice,
    soft_output_size,
)
from jaxmarl_core.functional.distributions import ClippedNormal, categorical
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.learners.parameter_sharing import AgentStack, where_alive
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Discrete, Space, flat_size
from jaxmarl_core.types import Key, Metrics

LEAST_SCALE = 1e-3  # of a policy without noise, so that its divergence is a number


class Latest(NamedTuple):
    """What was lately seen of all agents, b steps."""

    observed: Observed
    vectors: Vectors
    counts: jax.Array  # [b] bool, whether something was done


class Beliefs(NamedTuple):
    """The networks of models; parameters are by stack of who is modelled, leaves [N, n, ...]."""

    actors: Actors
    networks: dict[str, Network]  # by stack


def believed(config: Config, actors: Actors) -> Beliefs:
    """Returns what models are made of: networks like those of actors."""
    networks = {
        stack.name: Network(stack.observation, soft_output_size(stack.action), config, gain=0.01)
        for stack in actors.stacks
    }
    return Beliefs(actors, networks)


def num_agents(actors: Actors) -> int:
    """Returns N."""
    return sum(stack.size for stack in actors.stacks)


def first_beliefs(beliefs: Beliefs, key: Key) -> dict[str, Any]:
    """Returns models drawn afresh."""
    params = {}
    for i, stack in enumerate(beliefs.actors.stacks):
        shape = num_agents(beliefs.actors), stack.size
        keys = jax.random.split(jax.random.fold_in(key, i), shape)
        fresh = partial(init_network, beliefs.networks[stack.name])
        params[stack.name] = over_axes(fresh, 2)(keys)
    return params


def model_outputs(beliefs: Beliefs, stack: AgentStack, params: Any, observation: Any) -> jax.Array:
    """Returns what all agents' models of a stack put out, [N, b, n, K]."""
    of_one = lambda params, inputs: apply(beliefs.networks[stack.name], params, inputs)
    of_stack = jax.vmap(of_one, (0, 1), 1)
    return jax.vmap(of_stack, (0, None))(params, observation)


def model_parts(space: Space, output: jax.Array, mask: Any) -> list[tuple[slice, Any]]:
    """Returns (where in the vector, distribution) of every part of an action, as a model has it."""
    parts, scale_at = [], flat_size(space)
    for leaf in leaves(space, mask):
        own = output[..., leaf.at]
        if isinstance(leaf.space, Discrete):
            legal = None if leaf.mask is None else jnp.broadcast_to(leaf.mask, own.shape)
            parts.append((leaf.at, categorical(own, legal)))
        else:
            log_std = jnp.clip(output[..., scale_at : scale_at + own.shape[-1]], *LOG_STD_RANGE)
            scale_at += own.shape[-1]
            parts.append((leaf.at, ClippedNormal(own, log_std, -1.0, 1.0)))
    return parts


def model_loss(
    space: Space, output: jax.Array, mask: Any, vector: jax.Array, entropy: jax.Array
) -> jax.Array:
    """Returns what a model minimises, [...]; see above.

    Args:
      space: of an action.
      output: [..., K] f32, the model's.
      mask: legal actions, or None.
      vector: [..., E] f32, what was done.
      entropy: [] f32, weight of its bonus.
    """
    total = 0.0
    for (at, model), leaf in zip(model_parts(space, output, mask), leaves(space)):
        did = jnp.broadcast_to(vector[..., at], output[..., at].shape)
        did = did.argmax(-1) if isinstance(leaf.space, Discrete) else did
        total -= model.log_prob(did) + entropy * model.entropy()
    return jnp.asarray(total)


def divergence(
    space: Space, output: jax.Array, policy_output: jax.Array, mask: Any, scale: jax.Array
) -> jax.Array:
    """Returns KL(model || policy) in nats, [...], the policy being a deterministic one as played.

    Args:
      space: of an action.
      output: [..., K] f32, the model's.
      policy_output: [..., E] f32, the actor's.
      mask: legal actions, or None.
      scale: [] f32, deviation of the normal noise that a Box is played with.
    """
    total = 0.0
    for (at, model), leaf in zip(model_parts(space, output, mask), leaves(space, mask)):
        own = jnp.broadcast_to(policy_output[..., at], output[..., at].shape)
        if isinstance(leaf.space, Discrete):
            legal = None if leaf.mask is None else jnp.broadcast_to(leaf.mask, own.shape)
            played = categorical(own, legal)
        else:
            log_scale = jnp.full(own.shape, jnp.log(jnp.maximum(scale, LEAST_SCALE)))
            played = ClippedNormal(jnp.tanh(own), log_scale, -1.0, 1.0)
        total += model.kl_divergence(played)
    return jnp.asarray(total)


def fitted(
    beliefs: Beliefs,
    params: dict[str, Any],
    opt_state: dict[str, Any],
    latest: Latest,
    hp: Hparams,
    rate: jax.Array,
) -> tuple[dict[str, Any], dict[str, Any], Metrics]:
    """Returns (parameters, optimisers' state, metrics) after a step of all models.

    Args:
      beliefs: what they are made of.
      params: by stack.
      opt_state: by stack.
      latest: what they are fitted to.
      hp: with `belief_entropy`.
      rate: [] f32, of the step.
    """
    rule = optimiser(rate, hp.max_grad_norm)
    moved, states, losses = {}, {}, []
    for stack in beliefs.actors.stacks:
        name = stack.name
        counts = latest.observed.alive[name] & latest.counts[:, None]

        def total(own, stack=stack, counts=counts):
            mask, did = latest.observed.mask[stack.name], latest.vectors[stack.name]
            out = model_outputs(beliefs, stack, own, latest.observed.observation[stack.name])
            loss = model_loss(stack.action, out, mask, did, hp.belief_entropy)
            each = jax.vmap(jax.vmap(masked_mean, 1), (0, None))(loss, counts)  # [N, n]
            return each.sum(), each

        grads, each = jax.grad(total, has_aux=True)(params[name])
        moved[name], states[name] = descend(rule, 2, grads, opt_state[name], params[name])
        losses.append(each.mean())
    return moved, states, {"belief_loss": jnp.stack(losses).mean()}


def values_by_beliefs(
    beliefs: Beliefs,
    params: dict[str, Any],
    critics: Critics,
    critic_params: Any,
    observed: Observed,
    vectors: Vectors,
    noise: Vectors,
) -> jax.Array:
    """Returns what each agent's critics make of a next step, [M, b, N].

    An agent's own action is that of its policy, the others' are drawn from its models of them.

    Args:
      beliefs: what models are made of.
      params: theirs, of the target networks.
      critics: one for each agent.
      critic_params: theirs, of the target networks.
      observed: the next step.
      vectors: what all agents' policies do there, leaves [b, n, E].
      noise: stack -> [b, n, E], that models draw with.
    """
    guessed = {}
    for stack in beliefs.actors.stacks:
        name = stack.name
        out = model_outputs(beliefs, stack, params[name], observed.observation[name])
        drawn = drawn_by_models(stack.action, out, observed.mask[name], noise[name])
        drawn = jax.vmap(where_alive, (None, 0))(observed.alive[name], drawn)
        observer = jnp.arange(num_agents(beliefs.actors))[:, None, None, None]
        itself = observer == stack.first + jnp.arange(stack.size)[:, None]
        guessed[name] = jnp.where(itself, vectors[name], drawn)  # [N, b, n, E]
    of_stack, value_of = decided(critics.of_stack), decided(critics.value_of)
    values = []
    for stack in beliefs.actors.stacks:
        own, axis = of_stack(critic_params, stack)
        by = slice(stack.first, stack.first + stack.size)
        one = lambda own, vectors, stack=stack: value_of(own, stack, observed, vectors, None, None)
        values.append(jax.vmap(one, (axis, 0))(own, {name: x[by] for name, x in guessed.items()}))
    return jnp.moveaxis(jnp.concatenate(values), 0, -1)


def drawn_by_models(space: Space, output: jax.Array, mask: Any, noise: jax.Array) -> jax.Array:
    """Returns actions that models draw with this noise, [..., E]."""
    pieces = []
    scale_at = flat_size(space)
    for leaf in leaves(space, mask):
        own, own_noise = output[..., leaf.at], noise[..., leaf.at]
        if isinstance(leaf.space, Discrete):
            pieces.append(hard_choice(own, leaf.mask, own_noise))
        else:
            log_std = jnp.clip(output[..., scale_at : scale_at + own.shape[-1]], *LOG_STD_RANGE)
            scale_at += own.shape[-1]
            pieces.append(jnp.clip(own + jnp.exp(log_std) * own_noise, -1.0, 1.0))
    return jnp.concatenate(pieces, -1)


def divergences(
    beliefs: Beliefs, params: Any, actor_params: Any, latest: Latest, scale: jax.Array
) -> jax.Array:
    """Returns the mean KL(model || policy) [] over all that was seen and all models of others."""
    total, count = jnp.zeros(()), jnp.zeros(())
    numbers = jnp.arange(num_agents(beliefs.actors))[:, None, None]
    for stack in beliefs.actors.stacks:
        name, observed = stack.name, latest.observed
        out = model_outputs(beliefs, stack, params[name], observed.observation[name])
        true = outputs(
            stack, beliefs.actors.networks[name], actor_params[name], observed.for_actors(name), 1
        )
        kl = divergence(stack.action, out, true, observed.mask[name], scale)  # [N, b, n]
        others = numbers != stack.first + jnp.arange(stack.size)
        counts = others & observed.alive[name] & latest.counts[:, None]
        total += jnp.where(counts, kl, 0.0).sum()
        count += counts.sum()
    return total / jnp.maximum(count, 1)
