"""How MF-AC and its blind twin act and learn: an actor climbs a critic of one agent among many.

The critic is MF-Q's network, learnt by the same loss; a state is worth what the target actor's
policy earns there on average,

    v(s') = sum_a pi_-(a | s') Q_-(s', a, mean action).

The actor climbs the critic's mean over its own actions, beside the mean action that was played,

    sum_a pi(a | s) Q(s, a, mean action) + temperature H(pi(. | s)),

whose gradient is what the paper's log pi(a | s) Q samples with one action of the policy. At the
maximum pi is the Boltzmann policy of Q, that of MF-Q (eq. 12).

Yang et al., 2018, arXiv:1802.05438, eq. 13 and algorithm 2, from memory: replayed transitions, and
target networks of both. Ours departs in the mean over all actions, and in the entropy, which the
paper does not have and a `temperature` near 0 leaves out. The authors' program is another
algorithm by the same name: on-policy, one gradient step a game on log pi (R - V(s, mean action)),
R the discounted rewards bootstrapped at the end of an agent's life, whether it died or not, plus
0.08 of the entropy. Its twin `AC` is nearest to `ia2c` with `share="all"`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.mean_field.collecting import Learning, Method
from jaxmarl_core.algos.mean_field.networks import ActionNetwork
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.policy import temperature_unit
from jaxmarl_core.algos.mean_field.td_loss import (
    StoredStep,
    Transition,
    as_the_living_see,
    decided_and_led_on,
    learnt_beside,
    td_error_loss,
)
from jaxmarl_core.functional.exploration import boltzmann, boltzmann_probs, greedy
from jaxmarl_core.functional.losses import entropy, masked_mean, mean_field_value
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Space, zeros
from jaxmarl_core.types import Key, Metrics


@struct.dataclass
class Pair:
    """An actor and its critic: weights, target weights, or the optimisers' states."""

    actor: Any
    critic: Any


def drawn_action(actor, weights, key, observation, mean_action, mask, temperature):
    """Returns actions drawn from the policy, [n] int32; the temperature is the loss's alone."""
    return boltzmann(key, apply(actor, weights.actor, observation, mean_action), 1.0, mask)


def likeliest_action(actor, weights, key, observation, mean_action, mask, temperature):
    """Returns the policy's likeliest legal actions, [n] int32."""
    return greedy(apply(actor, weights.actor, observation, mean_action), mask)


def probabilities(actor: ActionNetwork, weights: Any, step: StoredStep) -> jax.Array:
    """Returns the policy at a stored step, [batch, A]."""
    logits = apply(actor, weights, step.observation, step.mean_action)
    return boltzmann_probs(logits, 1.0, step.action_mask)


def critic_loss(
    networks: Pair,
    weights: Any,
    target: Pair,
    transition: Transition,
    gamma: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns (loss, mean Q), both []: the TD error against the target actor's policy.

    Args:
      networks: the actor and the critic.
      weights: the critic's.
      target: of both.
      transition: leaves [batch, ...].
      gamma: [] f32.
      config: which variants.
    """

    def next_value(next_step):
        seen = next_step.observation, next_step.mean_action
        pi = probabilities(networks.actor, target.actor, next_step)
        return mean_field_value(apply(networks.critic, target.critic, *seen), pi)

    q_of = partial(apply, networks.critic, weights)
    return td_error_loss(q_of, next_value, transition, gamma, config)


def actor_loss(
    networks: Pair,
    weights: Any,
    critic: Any,
    transition: Transition,
    temperature: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns (what the actor minimises, the policy's mean entropy in nats), both [].

    The mean is over steps at which the agent decided, those that led to its end among them.

    Args:
      networks: the actor and the critic.
      weights: the actor's.
      critic: the critic's weights.
      transition: leaves [batch, ...].
      temperature: [] f32, weight of the entropy, in units of Q or as `temperature_unit` says.
      config: which variants.
    """
    step, _ = as_the_living_see(transition)
    q = apply(networks.critic, critic, step.observation, learnt_beside(transition, config))
    pi = probabilities(networks.actor, weights, step)
    random = entropy(pi)
    bonus = temperature * temperature_unit(config, q, step.action_mask)
    gain = mean_field_value(q, pi) + jax.lax.stop_gradient(bonus) * random
    counts = decided_and_led_on(step)
    return -masked_mean(gain, counts), masked_mean(random, counts)


def gradient_step(
    networks: Pair,
    config: Config,
    weights: Learning,
    transition: Transition,
    temperature: jax.Array,
    hp: Hparams,
) -> tuple[Learning, Metrics]:
    """Returns ((online, target, the optimisers' states), metrics) after one step of both.

    The actor climbs the critic as it was before the step.
    """
    online, target, opt_state = weights
    down_critic = jax.value_and_grad(partial(critic_loss, networks), has_aux=True)
    down_actor = jax.value_and_grad(partial(actor_loss, networks), has_aux=True)
    (loss, q), by_critic = down_critic(online.critic, target, transition, hp.gamma, config)
    (policy_loss, random), by_actor = down_actor(
        online.actor, online.critic, transition, temperature, config
    )
    actor_rate = decided(hp.actor_learning_rate)
    actor, actor_state = moved(actor_rate, by_actor, opt_state.actor, online.actor)
    critic, critic_state = moved(hp.learning_rate, by_critic, opt_state.critic, online.critic)
    target = Pair(
        optax.incremental_update(actor, target.actor, hp.tau),
        optax.incremental_update(critic, target.critic, hp.tau),
    )
    metrics = {"loss": loss, "q": q, "policy_loss": policy_loss, "entropy": random}
    return (Pair(actor, critic), target, Pair(actor_state, critic_state)), metrics


def moved(rate: Any, gradient: Any, opt_state: Any, weights: Any) -> tuple[Any, Any]:
    """Returns (weights, the optimiser's state) after one step of Adam at that rate."""
    changes, opt_state = optax.adam(rate).update(gradient, opt_state)
    return optax.apply_updates(weights, changes), opt_state


def actor_critic(space: Space, num_actions: int, config: Config) -> Method:
    """Returns the method; whether the actor sees the mean action is told or not."""
    layers = config.mean_action_hidden
    seen_by_actor = layers if config.actor_mean_action else None
    networks = Pair(
        # near uniform at first
        ActionNetwork(space, num_actions, config, seen_by_actor, gain=0.01),
        ActionNetwork(space, num_actions, config, layers),
    )

    def init(key: Key) -> Pair:
        key_actor, key_critic = jax.random.split(key)
        example = zeros(space), jnp.zeros(num_actions)
        return Pair(
            networks.actor.init(key_actor, *example), networks.critic.init(key_critic, *example)
        )

    def start(online: Pair, hp: Hparams) -> Pair:
        rate = optax.adam(hp.learning_rate)  # whose state does not hang on the rate
        return Pair(rate.init(online.actor), rate.init(online.critic))

    return Method(
        init,
        start,
        partial(drawn_action, networks.actor),
        partial(likeliest_action, networks.actor),
        partial(gradient_step, networks, config),
    )
