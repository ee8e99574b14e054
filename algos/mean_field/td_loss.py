"""The temporal-difference loss of single agents' transitions in a large population."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.algos.mean_field.policy import temperature_unit
from jaxmarl_core.functional.exploration import boltzmann_probs
from jaxmarl_core.functional.losses import (
    chosen,
    double_q_value,
    masked_mean,
    mean_field_value,
    squared,
    td_target,
)
from jaxmarl_core.learners.parameter_sharing import where_alive


@struct.dataclass
class StoredStep:
    """What the replay buffer keeps of a time step, leaves [B, n, ...].

    A transition is a stored step with the one after it.
    """

    observation: Any
    mean_action: jax.Array
    action_mask: jax.Array | None
    action: jax.Array
    reward: jax.Array  # of the transition that led here, as `discount`
    discount: jax.Array
    alive: jax.Array
    last: jax.Array


Transition = tuple[StoredStep, StoredStep]


def as_the_living_see(transition: Transition) -> Transition:
    """Returns the transition with zeros for what the dead are shown.

    Selected away before any arithmetic, it reaches no gradient.
    """
    step, next_step = (
        dataclasses.replace(step, observation=where_alive(step.alive, step.observation))
        for step in transition
    )
    return step, next_step


def learnt_beside(transition: Transition, config: Config) -> jax.Array:
    """Returns the mean action [batch, A] beside which Q(s_t, a_t, .) is learned, as configured."""
    step, next_step = transition
    return (next_step if config.mean_action == "current" else step).mean_action


def decided_and_led_on(step: StoredStep) -> jax.Array:
    """Returns in which transitions the agent was alive and its episode went on, [batch] bool."""
    return step.alive & ~step.last


def td_error_loss(
    q_of: Callable[[Any, jax.Array], jax.Array],
    next_value_of: Callable[[StoredStep], jax.Array],
    transition: Transition,
    gamma: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns (loss, mean Q of the actions taken), both [], over single agents' transitions.

        mean over those in the loss of (r + gamma discount v(s') - Q(s, a, mean action))^2 / 2

    In the loss are those in which the agent was alive and its episode went on; no gradient flows
    into the target.

    Args:
      q_of: maps (observation, mean action [batch, A]) to Q-values [batch, A].
      next_value_of: maps the following step to v(s') [batch].
      transition: a step and the one that follows it, leaves [batch, ...].
      gamma: [] f32.
      config: which variants.
    """
    step, next_step = as_the_living_see(transition)
    q = chosen(q_of(step.observation, learnt_beside(transition, config)), step.action)
    in_loss = decided_and_led_on(step)
    reward = jnp.where(in_loss, next_step.reward, 0.0)
    error = td_target(reward, gamma * next_step.discount, next_value_of(next_step)) - q
    if config.ends == "mask":
        in_loss &= (next_step.discount > 0) & ~next_step.last
    return masked_mean(squared(error), in_loss), masked_mean(q, in_loss)


def td_loss(
    q_of: Callable[[Any, Any, jax.Array], jax.Array],
    online: Any,
    target: Any,
    transition: Transition,
    temperature: jax.Array,
    gamma: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns MF-Q's `td_error_loss`, v(s') being that of the Boltzmann policy, or double-Q's.

    Yang et al., 2018, eq. 8 to 10, and its program's variants; see `Config`.

    Args:
      q_of: maps (weights, observation, mean action [batch, A]) to Q-values [batch, A].
      online, target: weights.
      transition: a step and the one that follows it, leaves [batch, ...].
      temperature, gamma: [] f32.
      config: which variants.
    """

    def next_value(next_step):
        seen, mask = (next_step.observation, next_step.mean_action), next_step.action_mask
        next_q = q_of(target, *seen)
        if config.target == "double":
            return double_q_value(q_of(online, *seen), next_q, mask)
        pi = boltzmann_probs(next_q, temperature * temperature_unit(config, next_q, mask), mask)
        return mean_field_value(next_q, pi)

    return td_error_loss(partial(q_of, online), next_value, transition, gamma, config)
