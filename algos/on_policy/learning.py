"""How an actor learns from a batch: by gradient ascent on an objective, or a trust-region step.

An `ActorUpdate` sees the batch of one agent, or of several that share their parameters; whose turn
it is when is another matter (order.py).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.on_policy.minibatches import memory_before, minibatch_of, minibatches
from jaxmarl_core.algos.on_policy.networks import Actor, optimiser
from jaxmarl_core.algos.on_policy.options import Config, annealed, entropy_weight, required_hparam
from jaxmarl_core.functional.losses import masked_mean, masked_means, policy_gradient, ppo_clip
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.trust_region import trust_region_step
from jaxmarl_core.learners.gradients import gradient_norm
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Key, Metrics

MAX_LOG_RATIO = 20.0


class Batch(NamedTuple):
    """What actors learn from, leaves [T, B, n, ...]; an agent by itself sees no axis n.

    Learnt from are its sequences, [L, S, n, ...]; see minibatches.py.
    """

    observation: Any
    mask: Any  # legal actions, or None
    action: Any
    log_prob: jax.Array  # f32, of the policy that played
    advantage: jax.Array  # f32
    weight: jax.Array  # f32, how much a step counts
    counts: jax.Array  # bool: the agent was alive and the step is no end of an episode
    reset: jax.Array  # [T, B] bool: the step begins an episode
    memory: Any  # [C, B, n, h], what the actors remembered before each of C chunks; or ()


AGENT_AXES: Any = Batch._make((*[2] * 7, None, 2))  # where each field has the axis n


class ActorUpdate(NamedTuple):
    """How an actor is updated."""

    init: Callable[[Any], Any]  # params -> optimiser state, what it carries from update to update
    update: Callable[..., tuple[Any, Any, Metrics]]
    # (actor, key, params, optimiser state, batch, hparams, update_index) -> the new params and
    # optimiser state, and metrics


class Ratio(NamedTuple):
    """How a policy differs from the one that played, entry by entry."""

    ratio: jax.Array  # [...] f32, pi(a | o) / pi_old(a | o)
    advantage: jax.Array  # [...] f32
    kl: Callable[[], jax.Array]  # () -> [...] f32, KL(pi_old || pi), computed if asked for


Objective = Callable[[Ratio, Any], jax.Array]  # (ratio, hparams) -> [...], what the policy climbs
Drift = Callable[[Ratio, Any], jax.Array]  # (ratio, hparams) -> [...] >= 0, what it is held back by


def importance_weighted(x: Ratio, hp: Any) -> jax.Array:
    """Returns `r A`, whose gradient at the policy that played is that of `log pi(a | o) A`."""
    return policy_gradient(x.ratio, x.advantage)


def clipped(x: Ratio, hp: Any) -> jax.Array:
    """Returns PPO's objective; raises ValueError without `clip` among the hparams."""
    return ppo_clip(x.ratio, x.advantage, required_hparam(hp, "clip"))


def clipping_drift(x: Ratio, hp: Any) -> jax.Array:
    """Returns what PPO's clipping takes off `r A`.

        max(0, (r - clip(r, 1 - c, 1 + c)) A)

    Zhong et al., 2023, arXiv:2304.09870, section 4.3.
    """
    return importance_weighted(x, hp) - clipped(x, hp)


def less_drift(drift: Drift | None) -> Objective:
    """Returns the objective `r A - drift`."""
    if drift is None:
        return importance_weighted
    return lambda x, hp: importance_weighted(x, hp) - drift(x, hp)


def action_distribution(actor: Actor, params: Any, batch: Batch) -> Any:
    """Returns the distributions that the batch's actions would be drawn from."""
    memory = memory_before(batch)
    return actor.policy(params, memory, batch.observation, batch.mask, batch.reset)[1]


def surrogate_loss(
    params: Any,
    old_params: Any,
    actor: Actor,
    batch: Batch,
    objective: Callable[[Ratio], jax.Array],
    entropy: Any,
    clip: Any = None,
) -> tuple[jax.Array, Metrics]:
    """Returns what gradient ascent minimises, and metrics.

        - mean over what counts of  weight objective(pi) + entropy H(pi)

    Args:
      params: of the policy pi.
      old_params: those of the policy that the drift is measured from.
      actor: the network.
      batch: what was played.
      objective: maps a Ratio to what the policy climbs, entry by entry.
      entropy: [] f32, weight of the bonus.
      clip: [] f32; if not None, the share of ratios further than that from 1 is among the metrics.
    """
    pi = action_distribution(actor, params, batch)
    log_ratio = bounded(pi.log_prob(batch.action) - batch.log_prob)
    ratio = jnp.exp(log_ratio)
    kl = lambda: action_distribution(actor, old_params, batch).kl_divergence(pi)
    figures = {
        "gain": batch.weight * objective(Ratio(ratio, batch.advantage, kl)),
        "entropy": pi.entropy(),
        "kl": ratio - 1 - log_ratio,
    }
    if clip is not None:
        figures["clip_fraction"] = (jnp.abs(ratio - 1) > clip).astype(jnp.float32)
    metrics = masked_means(figures, batch.counts)
    gain = metrics.pop("gain")
    return -gain - entropy * metrics["entropy"], metrics | {"policy_loss": -gain}


def bounded(log_ratio: jax.Array) -> jax.Array:
    """Returns a log-ratio of probabilities within +-20, where its exponential is a number.

    A policy that is this far from the one that played learns nothing from it either way.
    """
    return jnp.clip(log_ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO)


def gradient_ascent(config: Config, objective: Objective) -> ActorUpdate:
    """Returns epochs of gradient ascent on minibatches; see `surrogate_loss`.

    With `target_kl` among the hparams, no step follows one that found the policy further than that
    from the one that played: mean of r - 1 - log r, an unbiased estimate of KL(pi_old || pi)
    (Schulman, 2020, "Approximating KL divergence").
    """
    update = partial(ascend, config=config, objective=objective)
    return ActorUpdate(optimiser(0.0, 1.0).init, update)


def ascend(
    actor: Actor,
    key: Key,
    params: Any,
    opt_state: Any,
    batch: Batch,
    hp: Any,
    update_index: jax.Array,
    *,
    config: Config,
    objective: Objective,
) -> tuple[Any, Any, Metrics]:
    """Returns (params, optimiser state, metrics) after all epochs; see `gradient_ascent`."""
    rule = optimiser(annealed(hp.learning_rate, hp, update_index), hp.max_grad_norm)
    target_kl = getattr(hp, "target_kl", None)
    loss = partial(
        surrogate_loss,
        old_params=params,
        actor=actor,
        objective=lambda ratio: objective(ratio, hp),
        entropy=entropy_weight(hp, update_index),
        clip=getattr(hp, "clip", None),
    )

    def step(carry, which):
        params, opt_state, near = carry
        some = batch_at(which)
        grads, metrics = jax.grad(loss, has_aux=True)(params, batch=some)
        changes, moved = rule.update(grads, opt_state, params)
        after = optax.apply_updates(params, changes), moved
        if target_kl is not None:
            near = near & (metrics["kl"] <= target_kl)
            after = jax.tree.map(partial(jnp.where, near), after, (params, opt_state))
        return (*after, near), metrics | {"actor_grad_norm": gradient_norm(grads)}

    batch_at = minibatch_of(batch, config)
    steps = minibatches(key, config, decided(config.num_epochs))
    start = (params, opt_state, jnp.bool_(True))
    (params, opt_state, _), metrics = packed_scan(step, start, steps)
    return params, opt_state, jax.tree.map(jnp.mean, metrics)


def trust_region(num_iterations: int = 10, num_tries: int = 10) -> ActorUpdate:
    """Returns one natural-gradient step on the whole batch, as long as `hp.max_kl` allows.

    The mean KL(pi_old || pi) over what counts is the true one, in nats. There is no entropy bonus,
    and no learning rate. Kuba et al., 2021, arXiv:2109.11251, eq. 10 to 13.
    """
    search = partial(trust_region_step, num_iterations=num_iterations, num_tries=num_tries)
    return ActorUpdate(lambda params: (), partial(step_in_trust_region, search=search))


def step_in_trust_region(
    actor: Actor,
    key: Key,
    params: Any,
    opt_state: Any,
    batch: Batch,
    hp: Any,
    update_index: jax.Array,
    *,
    search: Callable,
) -> tuple[Any, Any, Metrics]:
    """Returns (params, (), metrics) after one step; see `trust_region`.

    Raises:
      ValueError: no `max_kl` or `damping` among the hparams.
    """
    old = action_distribution(actor, params, batch)

    def gain(params):
        log_prob = action_distribution(actor, params, batch).log_prob(batch.action)
        ratio = jnp.exp(bounded(log_prob - batch.log_prob))
        return masked_mean(batch.weight * ratio * batch.advantage, batch.counts)

    def divergence(params):
        kl = old.kl_divergence(action_distribution(actor, params, batch))
        return masked_mean(kl, batch.counts)

    damping = required_hparam(hp, "damping")
    found = search(gain, divergence, params, required_hparam(hp, "max_kl"), damping=damping)
    metrics = {
        "policy_loss": -gain(found.params),
        "entropy": masked_mean(old.entropy(), batch.counts),
        "kl": found.divergence,
        "improvement": found.gain,
        "accepted": found.accepted.astype(jnp.float32),
        "actor_grad_norm": found.grad_norm,
    }
    return found.params, (), metrics
