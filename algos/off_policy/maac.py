"""MAAC: soft actors whose critics attend to the other agents, and whose baseline is their own.

    y_i = r_i + gamma (Q_i'(o', a') - alpha log pi_i'(a'_i | o'_i)),   and agent i climbs
    log pi_i(a_i | o_i) (Q_i(o, a) - sum over b of pi_i(b | o_i) Q_i(o, (b, a_-i)) - alpha log pi_i)

all agents' actions being drawn from their policies as they are now. The baseline is that of COMA:
it does not depend on a_i, so that it takes off variance and adds no bias. The weight of the
entropy, alpha, is the inverse of the program's reward scale, 1/100, and holds for rewards in units
of their deviation, which `normalise_reward` is here by default; the program takes their mean off,
too, and measures every agent's by itself. Where that puts batch normalisation,
`normalise_observation` does; its penalty on the attention's logits is left out, and what the
entropy adds to a target is discounted as the value that follows is.

Iqbal & Sha, 2019, arXiv:1810.02912, eq. 6 to 9.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.off_policy.attention import attention_critics
from jaxmarl_core.algos.off_policy.batches import Batch, Vectors
from jaxmarl_core.algos.off_policy.critics import Critics
from jaxmarl_core.algos.off_policy.engine import off_policy
from jaxmarl_core.algos.off_policy.networks import descend, optimiser, over_axes
from jaxmarl_core.algos.off_policy.options import Config, Hparams
from jaxmarl_core.algos.off_policy.order import (
    Actors,
    ActorState,
    Rates,
    climbing_metrics,
    draws,
    outputs,
)
from jaxmarl_core.algos.off_policy.policies import PolicyKind, soft
from jaxmarl_core.functional.distributions import masked_logits
from jaxmarl_core.functional.losses import chosen, masked_mean, policy_gradient
from jaxmarl_core.functional.returns import counterfactual_advantage
from jaxmarl_core.learners.gradients import gradient_norm
from jaxmarl_core.recipes import decided, with_own_options
from jaxmarl_core.spaces import discrete
from jaxmarl_core.types import Algorithm, Environment, Metrics


def score_loss(
    logits: jax.Array, mask: Any, q: jax.Array, action: jax.Array, weight: jax.Array
) -> jax.Array:
    """Returns minus what an agent climbs by its score, [...]; see above.

    Args:
      logits: [..., A] f32.
      mask: [..., A] bool, legal actions, or None.
      q: [..., A] f32, of every own action.
      action: [...] int32, what it did.
      weight: [] or [...] f32, alpha.
    """
    log_pi = jax.nn.log_softmax(masked_logits(logits, mask))
    log_prob = chosen(log_pi, action)
    advantage = counterfactual_advantage(q, jnp.exp(log_pi), action) - weight * log_prob
    return -policy_gradient(log_prob, jax.lax.stop_gradient(advantage))


def by_score(
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
    """Returns (state, metrics) after all actors took a step; see order.py."""
    observed = batch.observed
    vectors, _ = draws(actors, actors.kind.draw, state.params, observed, noise, hp)
    q = decided(critics.of_actions)(critic_params, observed, vectors)
    rule = optimiser(rates.actor, hp.max_grad_norm)
    params, opt_state, losses, norms = {}, {}, [], []
    for stack in actors.stacks:
        name, action = stack.name, vectors[stack.name].argmax(-1)
        counts = observed.alive[name] & batch.counts[:, None]
        weight = jnp.exp(state.log_weight[stack.first : stack.first + stack.size])

        def total(own, stack=stack, action=action, counts=counts, weight=weight):
            logits = outputs(
                stack, actors.networks[stack.name], own, observed.for_actors(stack.name), 1
            )
            loss = score_loss(logits, observed.mask[stack.name], q[stack.name], action, weight)
            loss += hp.output_penalty * jnp.mean(logits**2, -1)
            each = jax.vmap(masked_mean, 1)(loss, counts)
            return (each.sum() if stack.separate else each.mean()), each

        grads, each = jax.grad(total, has_aux=True)(state.params[name])
        params[name], opt_state[name] = descend(
            rule, int(stack.separate), grads, state.optimiser[name], state.params[name]
        )
        losses.append(each)
        norms.append(jnp.atleast_1d(over_axes(gradient_norm, int(stack.separate))(grads)))
    state = dataclasses.replace(state, params=params, optimiser=opt_state)
    return state, climbing_metrics(jnp.concatenate(losses), jnp.concatenate(norms))


def soft_with_targets(config: Config) -> PolicyKind:
    """Returns SAC's kind of policy, with target networks of its actors."""
    return soft(config)._replace(has_targets=True)


def maac(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns multi-actor-attention-critic, in any environment with discrete actions."""
    for group_name, group in env.groups.items():
        discrete(group.action, "maac", group_name)
    config = with_own_options("maac", config, normalise_reward=True, actor_period=1, num_heads=4)
    hparams = Hparams(entropy=0.01, tau=0.001, output_penalty=1e-3)
    return off_policy(
        "maac",
        env,
        config,
        hparams,
        kind=soft_with_targets,
        critics=attention_critics,
        order=by_score,
    )
