"""What the engine asks of critics: to estimate advantages, and to learn from what was played.

Critics of returns are in value_critics.py, that of joint actions is in counterfactual.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.on_policy.learning import Batch
from jaxmarl_core.algos.on_policy.minibatches import minibatch, minibatches, sequences
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.play.rollout import Step
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Actions, Key, Metrics, TimeStep


class Played(NamedTuple):
    """What a rollout gave the critics to estimate advantages from."""

    steps: Step  # leaves [T, B, ...]
    final: TimeStep  # the time step after the last, leaves [B, ...]
    batches: dict[str, Batch]  # stack -> what its actors learn from
    actors: dict[str, Any]  # stack -> the parameters that played
    final_actions: Callable[[], Actions]  # () -> what the actors would do next, [B, n, ...]


class Critics(NamedTuple):
    """The critics' side of a learner."""

    init: Callable[[Key, Any], Any]  # (key, hparams) -> state
    estimate: Callable[[Any, Played, Any], tuple[dict[str, jax.Array], Any, Any]]
    # (state, what was played, hparams) -> advantages [T, B, n] by stack, batches for `learn`, state
    learn: Callable[[Key, Any, Any, Any, jax.Array], tuple[Any, Metrics]]
    # (key, state, batches, hparams, update_index) -> state, metrics


def resets(last: jax.Array) -> jax.Array:
    """Returns where steps begin an episode, [T, B], as far as it was seen to end before them."""
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def on_arrival(
    field: Callable[[TimeStep, int], jax.Array], timestep: TimeStep, final: TimeStep
) -> jax.Array:
    """Returns a field of a CriticInput on arriving at steps 1 to T, [T, B, k]."""
    return jnp.concatenate([field(timestep, 2)[1:], field(final, 1)[None]])


def over_environments(function: Callable) -> Callable:
    """Returns a function of one sequence, mapped over B and k.

    Like `gae` it takes (reward, discount, value, bootstrap, lam, valid), [T, B, k] each but for the
    bootstrap [B, k] and lam [].
    """
    over_one = lambda f: jax.vmap(f, (1, 1, 1, 0, None, 1), 1)
    return over_one(over_one(function))


def descend(
    key: Key,
    loss: Callable[[Any, Any], jax.Array],
    rule: optax.GradientTransformation,
    params: Any,
    opt_state: Any,
    batch: Any,
    config: Config,
) -> tuple[Any, Any, jax.Array]:
    """Returns (params, optimiser state, losses [steps]) after a critic's epochs of minibatches.

    Args:
      key: orders the minibatches.
      loss: (params, minibatch) -> [].
      rule: the optimiser.
      params, opt_state: before.
      batch: leaves [T, B, ...], with a field `memory`.
      config: of the critic.
    """
    batch = sequences(batch, config)

    def step(carry, which):
        params, opt_state = carry
        found, grads = jax.value_and_grad(loss)(params, minibatch(batch, which, config))
        changes, opt_state = rule.update(grads, opt_state, params)
        return (optax.apply_updates(params, changes), opt_state), found

    steps = minibatches(key, config, config.num_critic_epochs or decided(config.num_epochs))
    (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), steps)
    return params, opt_state, losses
