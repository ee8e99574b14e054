"""The temporal-difference loss of single agents' transitions in a large population."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.algos.mean_field.policy import unit
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


def td_loss(
    q_of: Callable[[Any, Any, jax.Array], jax.Array],
    online: Any,
    target: Any,
    transition: Transition,
    temperature: jax.Array,
    gamma: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns (loss, mean Q of the actions taken), both [], over single agents' transitions.

        mean over those in the loss of (r + gamma discount v(s') - Q(s, a, mean action))^2 / 2

    Yang et al., 2018, eq. 8 to 10, and its program's variants; see `Config`. In the loss are those
    in which the agent was alive and its episode went on; no gradient flows into the target.

    Args:
      q_of: maps (weights, observation, mean action [batch, A]) to Q-values [batch, A].
      online, target: weights.
      transition: a step and the one that follows it, leaves [batch, ...].
      temperature, gamma: [] f32.
      config: which variants.
    """
    # selected away before any arithmetic: what the dead are shown reaches no gradient
    step, next_step = (
        dataclasses.replace(step, observation=where_alive(step.alive, step.observation))
        for step in transition
    )
    beside = next_step if config.mean_action == "current" else step
    q = chosen(q_of(online, step.observation, beside.mean_action), step.action)

    next_input = next_step.observation, next_step.mean_action
    next_q = q_of(target, *next_input)
    if config.target == "mean_field":
        scale = unit(config, next_q, next_step.action_mask)
        pi = boltzmann_probs(next_q, temperature * scale, next_step.action_mask)
        next_value = mean_field_value(next_q, pi)
    else:
        next_value = double_q_value(q_of(online, *next_input), next_q, next_step.action_mask)

    in_loss = step.alive & ~step.last
    reward = jnp.where(in_loss, next_step.reward, 0.0)
    error = td_target(reward, gamma * next_step.discount, next_value) - q
    if config.ends == "mask":
        in_loss &= (next_step.discount > 0) & ~next_step.last
    return masked_mean(squared(error), in_loss), masked_mean(q, in_loss)
