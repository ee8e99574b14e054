"""How critics learn returns: in units of their own deviation, and held near what they said before.

A critic's batch is a NamedTuple with the fields `value`, what the critic predicted in its scale's
units; `target`, in units of return; `counts` and `memory`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.on_policy.minibatches import minibatch_of, minibatches, sequences
from jaxmarl_core.algos.on_policy.networks import optimiser
from jaxmarl_core.algos.on_policy.options import Config, annealed, required_hparam
from jaxmarl_core.functional.losses import clipped_value, huber, masked_mean
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.returns import explained_variance
from jaxmarl_core.learners import value_normalisation
from jaxmarl_core.learners.gradients import gradient_norm
from jaxmarl_core.learners.value_normalisation import Scale
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Key, Metrics


def predicted_returns(config: Config, scale: Scale, value: jax.Array) -> jax.Array:
    """Returns what a critic predicts, in units of return; its value is in those of the scale.

    Where values are normalised and none was seen yet there is no unit, and the prediction is 0:
    what a critic says by chance would drown small rewards.
    """
    returns = value_normalisation.denormalised(scale, value)
    if config.normalise_value == "none":
        return returns
    return jnp.where(scale.weight > 0, returns, 0.0)


def rescale(config: Config, scale: Scale, batch: Any, hp: Any) -> tuple[Scale, Any]:
    """Returns (scale, batch) in units of the returns seen so far, if the config asks for it.

    With "popart" the critic's last layer will follow them, and `value` does; see `follow_units`.
    """
    new = scale
    if config.normalise_value != "none":
        rate = required_hparam(hp, "scale_rate")
        new = value_normalisation.updated(scale, batch.target, batch.counts, rate)
    value = batch.value
    if config.normalise_value == "popart":
        predicted = value_normalisation.denormalised(scale, value)
        value = jnp.where(scale.weight > 0, value_normalisation.normalised(new, predicted), value)
    target = value_normalisation.normalised(new, batch.target)
    return new, batch._replace(value=value, target=target)


def follow_units(config: Config, params: Any, old: Scale, new: Scale) -> Any:
    """Returns a critic's parameters after its units moved.

    With "popart" the last layer is rescaled, so that predictions of returns stay as they were, if
    there were any.
    """
    if config.normalise_value != "popart":
        return params
    layers = dict(params["params"])
    head = value_normalisation.rescaled(layers["head"], old, new)
    known = old.weight > 0
    layers["head"] = jax.tree.map(partial(jnp.where, known), head, dict(layers["head"]))
    return {"params": layers}


def value_loss(value: jax.Array, batch: Any, hp: Any) -> jax.Array:
    """Returns the mean over what counts of the clipped Huber loss, []; all in one unit."""
    error = partial(huber, delta=hp.huber)
    clip = required_hparam(hp, "value_clip")
    losses = clipped_value(value, batch.value, batch.target, clip, error)
    return masked_mean(losses, batch.counts)


def fit(
    values: Callable[[Any, Any], jax.Array],
    config: Config,
    key: Key,
    params: Any,
    opt_state: Any,
    scale: Scale,
    batch: Any,
    hp: Any,
    update_index: jax.Array,
) -> tuple[Any, Any, Scale, Metrics]:
    """Returns (params, optimiser state, scale, metrics) after a critic's epochs of minibatches.

    Args:
      values: (params, some of the batch) -> what is predicted there, in the scale's units.
      config: of the critic.
      key: orders the minibatches.
      params, opt_state, scale: before.
      batch: leaves [T, B, ...]; `target` in units of return.
      hp: the hparams.
      update_index: [] int32.
    """
    predicted = predicted_returns(config, scale, batch.value)
    explained = explained_variance(predicted, batch.target, batch.counts)
    new, batch = rescale(config, scale, batch, hp)
    params = follow_units(config, params, scale, new)
    rule = optimiser(annealed(hp.critic_learning_rate, hp, update_index), hp.max_grad_norm)
    batch_at = minibatch_of(sequences(batch, config), config)

    def step(carry, which):
        params, opt_state = carry
        some = batch_at(which)
        loss = lambda params: value_loss(values(params, some), some, hp)
        found, grads = jax.value_and_grad(loss)(params)
        changes, opt_state = rule.update(grads, opt_state, params)
        metrics = {"value_loss": found, "critic_grad_norm": gradient_norm(grads)}
        return (optax.apply_updates(params, changes), opt_state), metrics

    steps = minibatches(key, config, config.num_critic_epochs or decided(config.num_epochs))
    (params, opt_state), metrics = packed_scan(step, (params, opt_state), steps)
    metrics = jax.tree.map(jnp.mean, metrics) | {"explained_variance": explained}
    return params, opt_state, new, metrics
